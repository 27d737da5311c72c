"""Sets of grouped classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from prepared_files import Run, write_root

from face_parsing.data.mask_palettes import IdRule
from face_parsing.data.masks import read_mask
from face_parsing.data.provenance import labels_of_set, read_provenance
from face_parsing.labels import group_labels


def test_six_classes(tmp_path: Path, run: Run, root: Path) -> None:
    source = write_root(tmp_path / "s", {"train": 2, "val": 1, "test": 1})
    classes = root / "configs" / "earlier" / "six_classes.yaml"
    out = tmp_path / "out"
    assert run("group", "--source", source, "--output", out, "--classes", classes)[0] == 0
    theirs = {4: 1, 5: 1, 6: 2, 7: 2, 2: 3, 10: 4, 11: 5, 12: 5}
    mask = read_mask(source / "train" / "masks" / "a1.png")
    expected = np.vectorize(lambda i: theirs.get(i, 0))(mask)
    rule = IdRule(palette=labels_of_set(out).palette)
    np.testing.assert_array_equal(read_mask(out / "train" / "masks" / "a1.png", rule), expected)
    with Image.open(out / "train" / "masks" / "a1.png") as picture:
        assert picture.getpalette()[3:6] == [51, 51, 255]  # type: ignore[index]  # eyes, as the left one
    assert (out / "test" / "images" / "a0.png").is_file()
    record = read_provenance(out)
    assert record is not None
    assert [name for name, _ in record["recipe"]["classes"]] == [
        "background",
        "eyes",
        "eyebrows",
        "nose",
        "mouth",
        "lips",
    ]
    for name, more in (("group", ["--classes", str(classes)]), ("flip", [])):
        status, _, complaint = run(name, "--source", out, "--output", tmp_path / "again", *more)
        assert status == 2
        assert "is a grouped set;" in complaint


def test_classes_as_a_mapping_by_itself(tmp_path: Path, run: Run) -> None:
    groups = {"rest": [], "lips": ["u_lip", "l_lip"]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(groups, sort_keys=False), "utf-8")
    source = write_root(tmp_path / "s", {"train": 1})
    assert run("group", "--source", source, "--output", tmp_path / "out", "--classes", tmp_path / "c.yaml")[0] == 0
    mask = read_mask(source / "train" / "masks" / "a0.png")
    rule = IdRule(palette=labels_of_set(tmp_path / "out").palette)
    found = read_mask(tmp_path / "out" / "train" / "masks" / "a0.png", rule)
    np.testing.assert_array_equal(found, group_labels(groups).table[mask])
    assert set(np.unique(found)) == {0, 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{a: [skin], b: [ski]}", "b lists 'ski'"),
        ("{a: [], b: [l_eye]}", "one side of a left/right pair"),
        ("[skin]", "holds no classes"),
        ("data: {root: x}", "holds no classes"),
        ("{a: [], b: skin}", "b must be a name with a list"),
        ("{a: [", "cannot be read"),
    ],
)
def test_wrong_classes(tmp_path: Path, run: Run, text: str, reason: str) -> None:
    (tmp_path / "c.yaml").write_text(text, "utf-8")
    status, _, complaint = run("group", "--source", tmp_path, "--output", "o", "--classes", tmp_path / "c.yaml")
    assert status == 2
    assert str(tmp_path / "c.yaml") in complaint
    assert reason in complaint
