"""Pictures of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from judged_files import ids, run

from face_parsing.evaluation.panels import choose_faces


def test_faces_are_chosen_by_score() -> None:
    scores = np.array([0.5, 0.9, 0.1, 0.7])
    assert choose_faces(scores, 2, "worst") == [2, 0]
    assert choose_faces(scores, 3, "best") == [1, 3, 0]
    assert choose_faces(scores, 9, "worst") == [2, 0, 3, 1]
    drawn = choose_faces(scores, 2, "random")
    assert len(set(drawn)) == 2
    assert drawn == choose_faces(scores, 2, "random")


def test_pictures_of_masks_and_of_a_network(
    folders: tuple[Path, Path], model: Path, faces: Path, tmp_path: Path
) -> None:
    predictions, truth = folders
    out = tmp_path / "new"
    words = ["--predictions", predictions, "--truth", truth, "--confusion", out / "c.png", "--worst", out / "w.png"]
    assert run(*words, "--panels", out / "p.png", "--faces", 2) == 0
    assert run("--model_path", model, "--data", faces, "--panels", out / "n.png", "--faces", 1, "--threads", 1) == 0
    sizes = {path.name: ids(path).shape[1::-1] for path in out.iterdir()}
    assert set(sizes) == {"c.png", "w.png", "p.png", "n.png"}
    assert 2 * 256 < sizes["w.png"][0] < 2.2 * 256  # truth, prediction
    assert sizes["w.png"][1] > 3 * 256
    assert 3 * 256 < sizes["p.png"][0] < 3.2 * 256  # and where they differ
    assert 2 * 256 < sizes["p.png"][1] < 3 * 256
    assert 4 * 256 < sizes["n.png"][0] < 4.2 * 256  # and the photo
