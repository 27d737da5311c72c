"""Mean and deviation of the training photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from prepared_files import Run, write_image

from face_parsing.preparation.statistics import from_histogram, histogram


def test_statistics_are_numpys(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, high, (h, w, 3), dtype=np.uint8) for high, h, w in ((256, 9, 7), (90, 5, 11), (2, 3, 3))]
    for i, image in enumerate(images):
        write_image(image, tmp_path / "train" / "images" / f"{i}.png")
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64) / 255
    target = tmp_path / "figures.json"
    status, said, _ = run("statistics", "--source", tmp_path, "--json", target)
    assert status == 0
    figures = json.loads(target.read_text())
    assert (figures["images"], figures["pixels"]) == (3, len(pixels))
    np.testing.assert_allclose(figures["mean"], pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(figures["std"], pixels.std(0), rtol=1e-12)
    values: dict[str, tuple[float, ...]] = {}
    exec(said, values)
    np.testing.assert_allclose(values["MEAN"], pixels.mean(0), atol=5e-7)
    np.testing.assert_allclose(values["STD"], pixels.std(0), atol=5e-7)

    assert "would be replaced; add --overwrite" in run("statistics", "--source", tmp_path, "--json", target)[2]
    (tmp_path / "train" / "images" / "bad.jpg").write_bytes(b"no photo")
    status, again, complaint = run("statistics", "--source", tmp_path, "--json", target, "--overwrite")
    assert (status, again) == (1, said)
    assert "1 problem; " in complaint
    assert "bad.jpg" in complaint


def test_statistics_of_one_color(tmp_path: Path) -> None:
    write_image(np.full((4, 4, 3), (51, 102, 255), np.uint8), tmp_path / "a.png")
    figures = from_histogram(histogram(tmp_path / "a.png"), 1)
    assert figures.mean == (0.2, 0.4, 1.0)
    assert figures.std == (0.0, 0.0, 0.0)


def test_statistics_without_images(tmp_path: Path, run: Run) -> None:
    assert "holds no training images; looked for" in run("statistics", "--source", tmp_path)[2]
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "images" / "a.png").write_bytes(b"")
    status, _, complaint = run("statistics", "--source", tmp_path)
    assert status == 2
    assert "None of the 1 images can be read" in complaint
