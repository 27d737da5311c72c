"""Microsoft's FaceSynthetics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from prepared_files import SIZE, Run, write_image, write_mask

from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import find_pairs
from face_parsing.data.provenance import broken_rule
from face_parsing.preparation.face_synthetics import IDS
from face_parsing.synthetic.dataset import make_pair


def test_face_synthetics(tmp_path: Path, run: Run) -> None:
    text = "0:0 1:1 2:2 3:5 4:4 5:7 6:6 7:9 8:8 9:10 10:11 11:12 12:17 13:13 14:1 15:18 16:3 17:14 18:0 255:255"
    assert {int(a): int(b) for a, b in (word.split(":") for word in text.split())} == IDS
    ids = np.array([[*range(19), 255]], np.uint8).repeat(20, 0)
    source = tmp_path / "s"
    for stem in ("000000", "000001"):
        write_image(make_pair(1, size=SIZE)[0][:20, :20], source / f"{stem}.png")
        write_mask(ids, source / f"{stem}_seg.png", mode="L")
    (source / "000000_ldmks.txt").write_text("1 2\n", "utf-8")
    write_image(make_pair(1, size=SIZE)[0], source / "000002.png")
    write_mask(ids, source / "000003_seg.png")
    write_image(make_pair(1, size=SIZE)[0][:20, :20], source / "000004.png")
    write_mask(np.full((20, 20), 19, np.uint8), source / "000004_seg.png")
    out = tmp_path / "out"
    status, said, complaint = run("face-synthetics", "--source", source, "--output", out)
    assert status == 1
    assert "train 2 pairs; 2 made" in said
    assert "000002.png: no mask 000002_seg.png" in complaint
    assert "000003_seg.png: no image 000003.png" in complaint
    assert "000004_seg.png: label 19" in complaint
    expected = [0, 1, 2, 5, 4, 7, 6, 9, 8, 10, 11, 12, 17, 13, 1, 18, 3, 14, 0, 255]
    pairs = find_pairs(out / "train")
    assert [pair.stem for pair in pairs] == ["000000", "000001"]
    assert read_mask(pairs[0].mask)[3].tolist() == expected
    assert pairs[0].image.read_bytes() == (source / "000000.png").read_bytes()
    assert broken_rule(out) == "external_data"


def test_a_folder_that_is_no_face_synthetics(tmp_path: Path, run: Run) -> None:
    complaint = run("face-synthetics", "--source", tmp_path, "--output", tmp_path / "out")[2]
    assert "looked for pairs such as 000000.png and 000000_seg.png" in complaint
