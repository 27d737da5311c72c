"""Masks whose palette was changed by an optimizer, and every place that reads masks."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

import audit
import draw
import evaluate
import prepare
from face_parsing.config.data import Data
from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import MASK_IDS, IdRule, PaletteKind
from face_parsing.data.masks import ids_of_colors, read_mask, save_mask
from face_parsing.data.problems import DataError
from face_parsing.inference.run_py import SubmissionError
from face_parsing.inference.submission import _read_mask
from face_parsing.labels import NUM_CLASSES, PALETTE, group_labels
from face_parsing.synthetic.dataset import make_pair

IDS = make_pair(0, size=48)[1]
GREYS = tuple((g, g, g) for g in range(NUM_CLASSES))
VOC = tuple((i * 7 % 256, i * 31 % 256, 128) for i in range(NUM_CLASSES))

Palette = Sequence[tuple[int, int, int]]


def renumbered(mask: np.ndarray, colors: Palette = PALETTE) -> Image.Image:
    """The mask with its ids' colors at the indices 0, 1, ..., those of the last ids first, as an optimizer may do."""
    ids = np.unique(mask)[::-1]
    places = np.zeros(256, dtype=np.uint8)
    places[ids] = np.arange(len(ids))
    picture = Image.fromarray(places[mask])
    picture.putpalette([value for i in ids for value in colors[i]])
    return picture


def indexed(mask: np.ndarray, colors: Palette) -> Image.Image:
    """The mask by index, under a palette."""
    picture = Image.fromarray(mask)
    picture.putpalette([value for color in colors for value in color])
    return picture


def look(path: Path, rule: IdRule | None = None) -> tuple[np.ndarray, PaletteKind]:
    log = MaskLog()
    mask = read_mask(path, rule or IdRule(), log)
    return mask, log.seen[str(path)].palette


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (Image.fromarray(IDS), PaletteKind.OWN),
        (indexed(IDS, PALETTE), PaletteKind.OWN),
        (indexed(IDS, GREYS), PaletteKind.OWN),
        (renumbered(IDS), PaletteKind.RENUMBERED),
        (renumbered(IDS, GREYS), PaletteKind.RENUMBERED),
        (indexed(IDS, VOC), PaletteKind.UNKNOWN),
        (indexed(IDS, [(0, 0, 0)] * 256), PaletteKind.UNKNOWN),
        (indexed(IDS, [(13 * i, 13 * i, 13 * i) for i in range(NUM_CLASSES)]), PaletteKind.UNKNOWN),
    ],
    ids=["grey", "own", "grey palette", "renumbered", "renumbered greys", "voc", "all black", "spread greys"],
)
def test_the_ids_are_found_whatever_the_palette(tmp_path: Path, picture: Image.Image, kind: PaletteKind) -> None:
    picture.save(tmp_path / "m.png")
    found, what = look(tmp_path / "m.png")
    np.testing.assert_array_equal(found, IDS)
    assert what is kind


def test_own_masks_with_ignored_pixels_and_classes_on_their_own_stay_what_they_are(tmp_path: Path) -> None:
    for i, mask in enumerate(
        (np.where(IDS == 1, 255, IDS), np.full((4, 4), 3), np.full((4, 4), 255), np.zeros((4, 4)))
    ):
        save_mask(mask.astype(np.uint8), tmp_path / f"{i}.png")
        found, what = look(tmp_path / f"{i}.png")
        np.testing.assert_array_equal(found, mask)
        assert what is PaletteKind.OWN


def test_an_ignored_pixel_stays_one_beside_moved_colors(tmp_path: Path) -> None:
    mask = np.where(IDS == 2, 255, IDS).astype(np.uint8)
    colors = [PALETTE[i] for i in range(NUM_CLASSES)][::-1] + [(9, 9, 9)] * (256 - NUM_CLASSES)
    indexed(np.where(mask == 255, 255, 18 - mask).astype(np.uint8), colors).save(tmp_path / "m.png")
    np.testing.assert_array_equal(look(tmp_path / "m.png")[0], mask)


def test_the_rule_decides(tmp_path: Path) -> None:
    renumbered(IDS).save(tmp_path / "moved.png")
    raw = np.array(Image.open(tmp_path / "moved.png"))
    np.testing.assert_array_equal(look(tmp_path / "moved.png", IdRule(mask_ids="index"))[0], raw)
    np.testing.assert_array_equal(look(tmp_path / "moved.png", IdRule(mask_ids="palette"))[0], IDS)
    indexed(IDS, VOC).save(tmp_path / "voc.png")
    with pytest.raises(
        DataError, match=r"voc\.png: the palette's color \(.*\) at index 0 is no id's; .*--mask_ids index"
    ):
        read_mask(tmp_path / "voc.png", IdRule(mask_ids="palette"))


def test_grouped_masks_are_compared_with_their_own_palette(tmp_path: Path) -> None:
    labels = group_labels({"rest": [], "eyes": ["l_eye", "r_eye"], "lips": ["u_lip", "l_lip"]})
    mask = labels.table[IDS]
    save_mask(mask, tmp_path / "own.png", labels)
    renumbered(mask, labels.palette).save(tmp_path / "moved.png")
    for name, kind in (("own", PaletteKind.OWN), ("moved", PaletteKind.RENUMBERED)):
        found, what = look(tmp_path / f"{name}.png", IdRule(palette=labels.palette))
        np.testing.assert_array_equal(found, mask)
        assert what is kind


def test_black_in_one_bit_is_background_and_white_is_refused(tmp_path: Path) -> None:
    Image.new("1", (8, 8)).save(tmp_path / "black.png")
    assert not read_mask(tmp_path / "black.png").any()
    Image.new("1", (8, 8), 1).save(tmp_path / "white.png")
    with pytest.raises(DataError, match="mode 1; a mask is single-channel"):
        read_mask(tmp_path / "white.png")


def test_colors_and_greys_become_ids_again() -> None:
    for colors in (PALETTE, GREYS):
        picture = np.array(colors, dtype=np.uint8)[IDS]
        mask, exact = ids_of_colors(picture)
        np.testing.assert_array_equal(mask, IDS)
        assert exact.all()


def test_config_and_files_know_the_same_rules() -> None:
    assert get_args(get_type_hints(Data)["mask_ids"]) == MASK_IDS


def test_notes_are_told_once_a_set(tmp_path: Path) -> None:
    log = MaskLog()
    for i in range(3):
        renumbered(IDS).save(tmp_path / f"{i}.png")
        indexed(IDS, VOC).save(tmp_path / f"voc{i}.png")
        for name in (f"{i}.png", f"voc{i}.png"):
            read_mask(tmp_path / name, log=log)
    moved, unknown = log.notes()
    assert moved.startswith("Note: 3 masks hold the palette's colors at other indices")
    assert moved.endswith(f"the first: {tmp_path / '0.png'}.")
    assert unknown.startswith("Warning: 3 masks hold a palette that is neither")


# --- every command ----------------------------------------------------------------------------------


@pytest.fixture
def optimized(tmp_path: Path, faces: Path) -> Path:
    """The faces with renumbered masks: colors in train, greys in val."""
    out = tmp_path / "optimized"
    shutil.copytree(faces, out)
    (out / "provenance.json").unlink(missing_ok=True)
    for split, colors in (("train", PALETTE), ("val", GREYS)):
        for path in (out / split / "masks").iterdir():
            mask = np.array(Image.open(path))
            renumbered(mask, colors).save(path)
    return out


Words = Mapping[str, object]


def call(main: Callable[[Sequence[str]], int], *words: object) -> int:
    return main([str(word) for word in words])


def test_evaluate_reads_truth_and_predictions_by_color(
    optimized: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for truth, predictions in ((optimized, faces), (faces, optimized)):
        out = tmp_path / f"{truth.name}.json"
        words = ("--predictions", predictions / "val/masks", "--truth", truth / "val/masks", "--json", out)
        assert call(evaluate.main, *words) == 0
        assert json.loads(out.read_text())["f_score"] == pytest.approx(1)
        assert capsys.readouterr().err.count("other indices") == 1
        assert call(evaluate.main, *words, "--overwrite", "--mask_ids", "index") == 0
        assert json.loads(out.read_text())["f_score"] < 0.5
        capsys.readouterr()


def test_what_the_judges_would_misread_is_refused(
    optimized: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "submission.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for mask in (optimized / "val/masks").iterdir():
            archive.write(mask, f"masks/{mask.name}")
    words = ("--predictions", path, "--truth", faces / "val/masks")
    assert call(evaluate.main, *words) == 2
    assert "masks/00000.png: its palette says that its indices are no ids" in capsys.readouterr().err
    assert call(evaluate.main, *words, "--mask_ids", "index") == 0
    assert call(evaluate.main, *words, "--mask_ids", "palette") == 2
    data = (optimized / "val/masks/00000.png").read_bytes()
    with pytest.raises(SubmissionError, match="m: its palette says that its indices are no ids"):
        _read_mask(data, "m")


def test_audit_and_preparations_read_by_color(
    optimized: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(audit.main, "--root", optimized, "--output", tmp_path / "audit") == 0
    notes = json.loads((tmp_path / "audit/audit.json").read_text())["notes"]
    assert len(notes) == 1
    assert notes[0].startswith("Note: 16 masks hold the palette's colors at other indices")
    for name in ("layout", "flip"):
        out = tmp_path / name
        capsys.readouterr()
        assert call(prepare.main, name, "--source", optimized, "--output", out) == 0
        assert capsys.readouterr().err.count("16 masks hold the palette's colors at other indices") == 1
        for path in sorted((faces / "train/masks").iterdir()):
            with Image.open(out / "train/masks" / path.name) as new, Image.open(path) as old:
                np.testing.assert_array_equal(np.array(new), np.array(old))


def test_conversions_write_the_ids(optimized: Path, faces: Path, tmp_path: Path) -> None:
    assert call(draw.main, "to-ids", "--masks", optimized / "val/masks", "--output", tmp_path / "ids") == 0
    assert call(draw.main, "color", "--input", optimized / "val/masks", "--output", tmp_path / "color") == 0
    for path in (faces / "val/masks").iterdir():
        mask = np.array(Image.open(path))
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "ids" / path.name)), mask)
        colors = np.array(PALETTE, dtype=np.uint8)[mask]
        np.testing.assert_array_equal(np.array(Image.open(tmp_path / "color" / path.name)), colors)


def test_a_grouped_set_is_drawn_and_converted_by_its_own_ids(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("{rest: [], eyes: [l_eye, r_eye], lips: [u_lip, l_lip]}")
    out = tmp_path / "grouped"
    assert call(prepare.main, "group", "--source", faces, "--output", out, "--classes", tmp_path / "c.yaml") == 0
    assert call(draw.main, "to-ids", "--masks", out / "val/masks", "--output", tmp_path / "ids") == 0
    found = np.array(Image.open(tmp_path / "ids/00000.png"))
    assert set(np.unique(found)) <= {0, 1, 2}
    assert call(audit.main, "--root", out, "--output", tmp_path / "audit") == 0
    assert "other indices" not in (tmp_path / "audit/audit.json").read_text()


def test_another_order_is_read_by_index_and_greys_are_not_fooled(faces: Path, tmp_path: Path) -> None:
    source = tmp_path / "zll"
    shutil.copytree(faces / "train", source / "train")
    order = [0, 1, 10, 6, 4, 5, 2, 3, 7, 8, 11, 12, 13, 17, 18, 9, 15, 14, 16]  # of our ids, theirs
    for i, path in enumerate(sorted((source / "train/masks").iterdir())):
        theirs = np.array(order, dtype=np.uint8)[np.array(Image.open(path))]
        (indexed(theirs, PALETTE) if i % 2 else renumbered(theirs, GREYS)).save(path)
    words = ("layout", "--source", source, "--output", tmp_path / "out", "--order", "zllrunning")
    assert call(prepare.main, *words) == 0
    for path in (faces / "train/masks").iterdir():
        np.testing.assert_array_equal(
            np.array(Image.open(tmp_path / "out/train/masks" / path.name)), np.array(Image.open(path))
        )
    assert call(prepare.main, *words, "--mask_ids", "palette", "--overwrite") == 2
