"""Faces with every kind of network: checkpoints, tta, logits, blocks of them, bytes and masks; and probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import pixel_shuffle

import export
from face_parsing import FaceParser, ParsedPhoto
from face_parsing.cli import main
from face_parsing.data.photos import read_photo
from face_parsing.inference.onnx_network import CERTAIN, ExportedNetwork, masks_of, read_onnx
from face_parsing.inference.postprocess_settings import Postprocessing
from face_parsing.labels import CELEBAMASK, NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.models.checkpoint import save_checkpoint
from face_parsing.weights import DETECTOR, EIGHT_BITS, find_weights

PHOTO = Path(__file__).resolve().parents[2] / "docs" / "images" / "astronaut.jpg"
TINY = {"name": "light_unet", "channels": [4, 8, 8]}


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return read_photo(PHOTO)


@pytest.fixture(scope="module")
def lying(portrait: np.ndarray) -> np.ndarray:
    """A small photo whose face is on its side."""
    return np.asarray(Image.fromarray(np.rot90(portrait)).resize((256, 256)))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "best_model.pth"
    torch.manual_seed(0)
    model = build_model(TINY, NUM_CLASSES).train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(2, 3, 64, 64))
    content: dict[str, Any] = {"inference": {"scales": [1.0], "flip": True}, "track": "challenge", "scores": {}}
    save_checkpoint(path, state_dict=model.state_dict(), model=TINY, image_size=64, **content)
    return path


def agreement(first: ParsedPhoto, second: ParsedPhoto) -> float:
    return float((first.mask == second.mask).mean())


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    """The checkpoint's graph, which gives logits in blocks."""
    pytest.importorskip("onnxscript")
    path = checkpoint.with_name("blocks.onnx")
    assert export.main(["--model_path", str(checkpoint), "--output", str(path)]) == 0
    return path


def as_mask(network: ExportedNetwork) -> ExportedNetwork:
    """What --mask would have written."""
    size = (network.image_size,) * 2
    run = network.run
    return replace(network, run=lambda photos: masks_of(run(photos), size, NUM_CLASSES), score_scale=CERTAIN)


def as_logits(network: ExportedNetwork) -> ExportedNetwork:
    """What --logits would have written."""
    run = network.run
    return replace(network, run=lambda photos: pixel_shuffle(torch.from_numpy(run(photos)), 2).numpy())


@pytest.mark.parametrize("kind", [None, as_logits, as_mask], ids=["blocks", "logits", "mask"])
def test_exported_files_parse_faces_as_their_checkpoint(
    kind: Any, exported: Path, checkpoint: Path, lying: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = FaceParser(checkpoint, faces="all", device="cpu", soft=True)(lying)
    assert (wanted.found, len(wanted.faces)) == ("faces", 1)
    assert wanted.faces[0].roll == pytest.approx(-90, abs=15)
    assert wanted.faces[0].crop.shape == (64, 64, 3)
    if kind is not None:
        monkeypatch.setattr("face_parsing.parser.read_onnx", lambda *words: kind(read_onnx(*words)))
    found = FaceParser(exported, faces="all", soft=True)(lying)
    np.testing.assert_allclose(found.faces[0].points, wanted.faces[0].points, atol=0.01)
    # A network of chance speckles, and there is nothing between two ids.
    assert agreement(found, wanted) > (0.8 if kind is as_mask else 0.999)
    assert found.probabilities is not None
    assert wanted.probabilities is not None
    inside = (found.instances > 0) & (wanted.instances > 0)
    if kind is as_mask:
        assert (found.probabilities.max(2)[inside] > 120).mean() > 0.99
    else:
        np.testing.assert_allclose(found.probabilities[inside], wanted.probabilities[inside], atol=3)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"tta": True},
    {"precision": "bf16"},
    {"postprocess": Postprocessing(steps=("components",), biases=tuple(i / 9 for i in range(NUM_CLASSES)))},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("several", [False, True])
def test_a_checkpoint_gives_mask_and_scores_at_once(
    checkpoint: Path, lying: np.ndarray, options: dict[str, Any], several: bool
) -> None:
    paths = [checkpoint] * (2 if several else 1)
    network = FaceParser(paths, faces="off", device="cpu", track="open" if several else "challenge", **options).network
    mask, scores = network.mask_and_scores(lying)
    np.testing.assert_array_equal(mask, network.parse([lying])[0])
    np.testing.assert_array_equal(scores, network.scores([lying])[0])


@pytest.mark.parametrize("kind", [None, as_logits, as_mask, "bytes"], ids=["blocks", "logits", "mask", "bytes"])
def test_a_soft_photo_goes_through_a_graph_once(
    kind: Any, exported: Path, lying: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = read_onnx(find_weights(EIGHT_BITS) if kind == "bytes" else exported, 1)
    network = kind(network) if callable(kind) else network
    mask, (scores,) = network.parse([lying])[0], network.scores([lying])
    runs: list[int] = []

    def run(photos: np.ndarray) -> np.ndarray:
        runs.append(len(photos))
        return network.run(photos)

    monkeypatch.setattr("face_parsing.parser.read_onnx", lambda *words: replace(network, run=run))
    result = FaceParser(exported, faces="off", soft=True)(lying)
    assert runs == [1]
    np.testing.assert_array_equal(result.mask, mask)
    assert result.probabilities is not None
    again = network.mask_and_scores(lying)[1]
    np.testing.assert_array_equal(again, scores)


def test_tta_and_a_size_are_of_the_crops_too(checkpoint: Path, lying: np.ndarray) -> None:
    plain = FaceParser(checkpoint, faces="all", device="cpu")(lying)
    both = FaceParser(checkpoint, faces="all", device="cpu", tta=True)(lying)
    large = FaceParser(checkpoint, faces="all", device="cpu", size=96)(lying)
    assert [one.found for one in (plain, both, large)] == ["faces"] * 3
    assert 0.2 < agreement(plain, both) < 1
    assert large.faces[0].crop_mask.shape == (96, 96)


def test_probabilities_agree_with_the_mask(portrait: np.ndarray, lying: np.ndarray) -> None:
    parser = FaceParser(soft=True)
    for photo, how in ((portrait, "faces"), (lying, "faces"), (np.full((90, 120, 3), 90, np.uint8), "whole")):
        result = parser(photo)
        assert result.found in (how, "portrait")
        soft = result.probabilities
        assert soft is not None
        assert (soft.shape, soft.dtype) == ((*photo.shape[:2], len(CELEBAMASK)), np.uint8)
        assert (soft.argmax(2) == result.mask).mean() > 0.97
        sums = soft.sum(2, dtype=np.int32)
        assert abs(sums - 255).max() <= 9
        assert (result.instances[result.mask > 0] > 0).all() or result.found == "whole"
    assert FaceParser()(lying).probabilities is None


@pytest.mark.parametrize("no_face", ["empty", "skip"])
def test_probabilities_of_a_photo_that_is_left_out_are_background(no_face: Any) -> None:
    result = FaceParser(soft=True, no_face=no_face)(np.full((40, 50, 3), 90, np.uint8))
    assert (result.found, result.mask.any(), result.faces) == (no_face, False, ())
    assert result.probabilities is not None
    assert (result.probabilities[..., 0] == 255).all()


def test_a_mirrored_photo_has_its_left_and_right_where_they_are_seen(portrait: np.ndarray) -> None:
    """Sides of a mask are the photo's, as those of the data set: they change places with the mirror."""
    parser = FaceParser(faces="all")
    first, second = parser(portrait), parser(np.ascontiguousarray(portrait[:, ::-1]))
    for name in ("l_brow", "r_brow", "l_eye", "r_eye"):
        other = {"l": "r", "r": "l"}[name[0]] + name[1:]
        x, mirrored = (result[part].nonzero()[1].mean() for result, part in ((first, name), (second, other)))
        assert mirrored == pytest.approx(511 - x, abs=10), name
    for result in (first, second):
        sides = [result[name].nonzero()[1].mean() for name in ("r_eye", "nose", "l_eye")]
        assert sides in (sorted(sides), sorted(sides, reverse=True))
    ahead = [result["l_eye"].nonzero()[1].mean() > result["r_eye"].nonzero()[1].mean() for result in (first, second)]
    assert ahead[0] == ahead[1]


def test_a_damaged_detector_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = find_weights(DETECTOR).read_bytes()
    damaged = tmp_path / "face_detector.onnx"
    monkeypatch.setattr(
        "face_parsing.parser.find_weights", lambda name: damaged if name == DETECTOR else find_weights(name)
    )
    output = tmp_path / "out"
    words = ["--input", str(PHOTO), "--output", str(output)]
    for content in (whole[:-5000], b"", b"no graph", find_weights("face_parsing.onnx").read_bytes()):
        damaged.write_bytes(content)
        assert main(words) == 2
        error = capsys.readouterr().err.strip()
        assert len(error.splitlines()) == 1
        assert f"{damaged} is not the face detector of this project" in error
        assert "install it anew, or use --faces off" in error
        assert not output.exists()
    damaged.unlink()
    assert main(words) == 2
    assert "There is no face detector at" in capsys.readouterr().err
    assert not output.exists()
