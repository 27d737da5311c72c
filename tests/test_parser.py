"""FaceParser: photos of any kind in, masks and files out, and what it says where it cannot."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from face_parsing import FaceParser, ParsedPhoto
from face_parsing.cli import main
from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.inference.postprocess_settings import Postprocessing
from face_parsing.labels import CELEBAMASK, NUM_CLASSES, colorize
from face_parsing.models import build_model
from face_parsing.models.checkpoint import save_checkpoint
from face_parsing.parser import default_weights
from face_parsing.system.commands import a_network
from face_parsing.weights import LICENCE, find_weights

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "docs" / "images" / "astronaut.jpg"
TINY = {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1]}


@pytest.fixture(scope="module")
def parser() -> FaceParser:
    """The shipped network, as nobody names another."""
    return FaceParser()


@pytest.fixture(scope="module")
def result(parser: FaceParser) -> ParsedPhoto:
    return parser(PHOTO)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "best_model.pth"
    torch.manual_seed(0)
    network = build_model(TINY, NUM_CLASSES)
    torch.nn.init.normal_(network.head[1].weight, std=0.3)
    content: dict[str, Any] = {"inference": {"scales": [1.0], "flip": True}, "track": "challenge", "scores": {}}
    save_checkpoint(path, state_dict=network.state_dict(), model=TINY, image_size=64, **content)
    return path


def test_a_parser_says_what_it_is(parser: FaceParser) -> None:
    assert parser.weights.files == (find_weights("face_parsing_open.onnx"),)
    assert (parser.weights.track, parser.weights.licence) == ("open", LICENCE)
    assert repr(parser) == f"<FaceParser: {parser.weights}>"
    assert parser.labels == CELEBAMASK
    assert parser.checkpoint is None


def test_a_result_has_mask_classes_and_pictures(result: ParsedPhoto) -> None:
    assert (result.mask.shape, result.mask.dtype) == ((512, 512), np.uint8)
    np.testing.assert_array_equal(result.photo, read_photo(PHOTO))
    np.testing.assert_array_equal(result["hair"], result.mask == CELEBAMASK.names.index("hair"))
    assert 0.05 < result["hair"].mean() < 0.25
    np.testing.assert_array_equal(result.color(), colorize(result.mask))
    np.testing.assert_array_equal(result.overlay(alpha=1.0)[result["hair"]], result.color()[result["hair"]])
    assert result.overlay().shape == result.photo.shape
    with pytest.raises(KeyError, match="there is no class 'wig'; choose from background, skin"):
        result["wig"]


def from_rgba(path: Path) -> Any:
    return Image.open(path).convert("RGBA")


KINDS: dict[str, Callable[[Path], Any]] = {
    "text": str,
    "path": Path,
    "image": Image.open,
    "transparent": from_rgba,
    "pixels": read_photo,
    "read-only": lambda path: np.asarray(Image.open(path)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_photos_of_any_kind_get_the_same_mask(parser: FaceParser, result: ParsedPhoto, kind: str) -> None:
    found = parser(KINDS[kind](PHOTO))
    np.testing.assert_array_equal(found.mask, result.mask)
    assert found.name == ("astronaut" if kind in ("text", "path", "image") else "photo")


def test_a_list_gives_a_list(parser: FaceParser, result: ParsedPhoto) -> None:
    found = parser([PHOTO, result.photo[:300, :200]])
    assert [one.name for one in found] == ["astronaut", "photo"]
    np.testing.assert_array_equal(found[0].mask, result.mask)
    assert found[1].mask.shape == (300, 200)
    assert parser([]) == []


def test_an_image_is_turned_upright(parser: FaceParser, result: ParsedPhoto, tmp_path: Path) -> None:
    lying = Image.fromarray(result.photo).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    lying.save(tmp_path / "lying.png", exif=exif)
    with Image.open(tmp_path / "lying.png") as image:
        np.testing.assert_array_equal(parser(image).mask, result.mask)


@pytest.mark.parametrize(
    ("photo", "shape"),
    [
        (np.zeros((4, 4), np.uint8), r"\(4, 4\)"),
        (np.zeros((4, 4, 3)), "float64"),
        (np.zeros((0, 4, 3), np.uint8), "0, 4"),
    ],
    ids=["grey", "float", "empty"],
)
def test_other_arrays_are_refused(parser: FaceParser, photo: np.ndarray, shape: str) -> None:
    with pytest.raises(ValueError, match=rf"a photo is \(height, width, 3\) uint8 RGB, and this array is .*{shape}"):
        parser(photo)


def test_a_file_that_is_no_photo_is_named(parser: FaceParser, tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_text("no photo")
    with pytest.raises(PhotoError, match=r"no\.jpg: cannot be read as a photo"):
        parser(tmp_path / "no.jpg")
    with pytest.raises(PhotoError, match="there is no such file"):
        parser(tmp_path / "nowhere.jpg")


def test_files_are_those_of_the_command_and_not_replaced_unasked(result: ParsedPhoto, tmp_path: Path) -> None:
    words = ["--input", str(PHOTO), "--output", str(tmp_path / "command"), "--color", "--overlay"]
    assert main(words) == 0
    written = result.save(tmp_path / "own", color=True, overlay=True)
    assert written == {
        "mask": tmp_path / "own" / "masks" / "astronaut.png",
        "color": tmp_path / "own" / "color" / "astronaut.png",
        "overlay": tmp_path / "own" / "overlay" / "astronaut.jpg",
    }
    for path in written.values():
        assert path.read_bytes() == (tmp_path / "command" / path.relative_to(tmp_path / "own")).read_bytes()
    with pytest.raises(FileExistsError, match=r"astronaut\.png would be replaced; pass overwrite=True"):
        result.save(tmp_path / "own")
    assert set(result.save(tmp_path / "own", overwrite=True)) == {"mask"}


def test_a_checkpoint_does_what_the_command_does_with_it(checkpoint: Path, tmp_path: Path) -> None:
    for name, words, options in (
        ("plain", [], {}),
        ("tta", ["--tta", "--size", "96"], {"tta": True, "size": 96}),
        ("smooth", ["--postprocess", "smooth"], {"postprocess": Postprocessing(steps=("smooth",))}),
    ):
        output = tmp_path / name
        assert main(["--model_path", str(checkpoint), "--input", str(PHOTO), "--output", str(output), *words]) == 0
        parser = FaceParser(str(checkpoint), device="cpu", **options)
        with Image.open(output / "masks" / "astronaut.png") as mask:
            np.testing.assert_array_equal(parser(PHOTO).mask, np.array(mask))
    assert parser.checkpoint is not None
    assert parser.checkpoint.content["image_size"] == 64
    assert parser.weights.files == (checkpoint,)


def test_an_option_of_checkpoints_takes_the_shipped_checkpoint() -> None:
    for options in ({"tta": True}, {"size": 256}, {"precision": "bf16"}, {"postprocess": Postprocessing()}):
        assert FaceParser(**options).weights.files == (find_weights("face_parsing_open.pth"),)
    with pytest.raises(ValueError, match=r"predicts as it is, by itself: leave out tta, size"):
        FaceParser(find_weights("face_parsing.onnx"), tta=True, size=256)
    with pytest.raises(ValueError, match="allows no ensemble"):
        FaceParser([find_weights("face_parsing.pth")] * 2)


def test_a_shipped_network_is_found_by_its_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fast = FaceParser("face_parsing_fast.onnx")
    assert fast.weights.files == (find_weights("face_parsing_fast.onnx"),)
    assert fast.faces == "off"  # as with every file that somebody names
    shipped = r"one that is shipped: face_parsing\.onnx, .*face_parsing_fast\.onnx"
    for name in ("weights/face_parsing_fast.onnx", "fast.onnx", str(tmp_path / "face_parsing_fast.onnx")):
        with pytest.raises(FileNotFoundError, match=f"There is no file {name}; name an existing one, or {shipped}"):
            FaceParser(name)
    (tmp_path / "face_parsing_fast.onnx").write_bytes(b"one's own")
    with pytest.raises(ValueError, match=r"face_parsing_fast\.onnx is no file that export\.py wrote"):
        FaceParser("face_parsing_fast.onnx")


def test_commands_find_a_shipped_network_by_its_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert a_network("face_parsing_fast.onnx") == find_weights("face_parsing_fast.onnx")
    for name in ("fast.onnx", "weights/face_parsing_fast.onnx"):
        assert a_network(name) == Path(name)
    (tmp_path / "face_parsing_fast.onnx").write_bytes(b"one's own")
    assert a_network("face_parsing_fast.onnx") == Path("face_parsing_fast.onnx")


WITHOUT_TORCH = """
import json, sys
sys.path.insert(0, sys.argv[1])
sys.modules["torch"] = None
from face_parsing import FaceParser
said = []
for arguments, options in json.loads(sys.argv[2]):
    try:
        FaceParser(*arguments, **options)
    except ValueError as error:
        said.append(str(error))
FaceParser()
print(json.dumps(said))
"""


def test_without_torch_one_sentence_names_the_extra(checkpoint: Path) -> None:
    tries = json.dumps([[[str(checkpoint)], {}], [[], {"tta": True}]])
    command = [sys.executable, "-c", WITHOUT_TORCH, str(ROOT / "src"), tries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    needs = 'needs PyTorch: pip install "face-parsing[train]", or parse with an ONNX file.'
    assert json.loads(done.stdout) == [
        f"{checkpoint} {needs}", f"What was asked for takes a checkpoint, which {needs}"
    ]  # fmt: skip


def test_a_clip_is_sent_to_the_function_for_clips(parser: FaceParser) -> None:
    with pytest.raises(PhotoError, match=r"a\.MP4 is a clip; face_parsing\.video\.parse_video parses clips"):
        parser("a.MP4")


def test_what_is_no_photo_is_told() -> None:
    with pytest.raises(
        TypeError, match="a photo is a path, a Pillow image or an array, or a list of these, and not int"
    ):
        FaceParser()(3)  # type: ignore[call-overload]


def test_probabilities_that_nobody_asked_for_are_refused_before_anything_is_written(
    result: ParsedPhoto, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="astronaut has no probabilities to save; make the parser with soft=True"):
        result.save(tmp_path / "out", color=True, json=True, soft=True)
    assert not (tmp_path / "out").exists()


def test_a_face_outside_the_photo_is_refused(parser: FaceParser) -> None:
    with pytest.raises(ValueError, match=r"the box 600, 0, 50, 50 of a face lies outside the photo of 512x512 pixels"):
        parser(PHOTO, [[600, 0, 50, 50]])


def test_a_gpu_is_for_onnx_files_too_where_there_is_no_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert default_weights(checkpoint=False, device="cuda") == find_weights("face_parsing_open.pth")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else real(name, *rest))
    assert default_weights(checkpoint=False, device="cuda") == find_weights("face_parsing_open.onnx")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    assert main(["--input", str(PHOTO), "--output", str(tmp_path / "out"), "--device", "cuda"]) == 2
    assert "put onnxruntime-gpu in the place of onnxruntime with pip" in capsys.readouterr().err
    assert main(["--input", str(PHOTO), "--output", str(tmp_path / "out"), "--tta"]) == 2
    assert "What was asked for takes a checkpoint, which needs PyTorch" in capsys.readouterr().err


def test_the_line_of_weights_is_one_sentence(parser: FaceParser) -> None:
    assert "research and education alone; faces are found by face_detector.onnx" in str(parser.weights)
