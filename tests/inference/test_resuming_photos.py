"""--resume of photos: what is there stays byte for byte, and results of two ways of parsing are never mixed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from face_parsing import FaceParser, cli
from face_parsing.inference.outputs import RECORD

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """a.png and b.png, the portrait, small."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(ROOT / "docs" / "images" / "astronaut.jpg") as portrait:
        for i, name in enumerate(("a", "b")):
            portrait.resize((96 + 16 * i, 96)).save(folder / f"{name}.png")
    return folder


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def contents(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def listed(output: Path) -> list[list[str]]:
    """The files of each way of parsing."""
    return [each["files"] for each in json.loads((output / RECORD).read_text(encoding="utf-8"))]


def test_further_results_leave_what_is_there(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    words = ("--input", photos, "--output", output)
    assert run(*words, "--json") == 0
    before = contents(output)
    (output / "masks" / "a.png").write_bytes(b"mine")  # somebody corrected it
    assert run(*words, "--json", "--overlay", "--resume") == 0
    said = capsys.readouterr().out
    assert f"wrote 0 of 0 masks to {output / 'masks'}; 2 were there already, and 2 photos got further files" in said
    assert (output / "masks" / "a.png").read_bytes() == b"mine"
    after = contents(output)
    assert all(after[name] == before[name] for name in ("json/a.json", "json/b.json", "masks/b.png"))
    assert listed(output) == [sorted(f"{kind}.{end}" for kind, end in (
        ("masks/a", "png"), ("masks/b", "png"), ("json/a", "json"), ("json/b", "json"), ("overlay/a", "jpg"),
        ("overlay/b", "jpg"),
    ))]  # fmt: skip
    (output / "masks" / "b.png").unlink()
    assert run(*words, "--resume") == 0
    assert "wrote 1 of 1 masks" in capsys.readouterr().out
    assert contents(output)["masks/b.png"] == before["masks/b.png"]


OTHERS = [
    (("--faces", "off"), "choice of faces"),
    (("--faces", "all", "--no_face", "empty"), "choice of faces"),
    (("--least_score", "0.9"), "least score"),
    (("--least_size", "40"), "least size"),
    (("--margin", "1.5"), "margin"),
    (("--bits", "12"), "number of --bits"),
    (("--points", "faces.json"), "choice of faces, file of --points"),
    (("--model_path", ROOT / "weights" / "face_parsing.pth", "--faces", "auto", "--device", "cpu"), "weights"),
]


@pytest.mark.parametrize(("more", "named"), OTHERS)
@pytest.mark.parametrize("further", [(), ("--overlay",)])
def test_another_way_is_refused(
    more: tuple[object, ...],
    named: str,
    further: tuple[str, ...],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("faces.json").write_text(json.dumps({"a.png": [], "b.png": []}), encoding="utf-8")
    words = ("--input", photos, "--output", "out")
    assert run(*words, "--json") == 0
    before = contents(Path("out"))
    assert run(*words, *more, *further, "--resume") == 2
    sentence = (
        f"inference.py: out/masks/a.png was made with another {named}; parse as then, give --overwrite instead of "
        "--resume, or choose another --output.\n"
    )
    assert capsys.readouterr().err.endswith(sentence)
    assert contents(Path("out")) == before


def test_a_checkpoint_says_what_is_another(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--input", photos / "a.png", "--output", tmp_path, "--device", "cpu", "--size", "64", "--faces", "off")
    assert run(*words, "--tta") == 0
    for more, named in (
        ((), "test-time augmentation (tta)"),
        (("--tta", "--precision", "bf16"), "precision"),
        (("--tta", "--postprocess", "components"), "post-processing"),
        (("--tta", "--size", "96"), "size"),
    ):
        assert run(*words, *more, "--resume") == 2
        assert f"a.png was made with another {named}; parse as then" in capsys.readouterr().err
    assert run(*words, "--tta", "--resume") == 0


def test_what_nobody_knows_is_refused(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--input", photos, "--output", tmp_path / "out")
    FaceParser(faces="off")(photos / "b.png").save(tmp_path / "out")  # from Python
    before = contents(tmp_path / "out")
    assert run(*words, "--resume") == 2
    assert "masks/b.png lies there, and nothing says how it was made, as of an earlier" in capsys.readouterr().err
    assert contents(tmp_path / "out") == before
    assert run("--input", photos / "a.png", "--output", tmp_path / "out", "--resume") == 0
    assert run(*words, "--resume") == 2
    (tmp_path / "out" / "masks" / "b.png").unlink()
    assert run(*words, "--resume") == 0
    assert listed(tmp_path / "out") == [["masks/a.png", "masks/b.png"]]
    (tmp_path / "out" / RECORD).write_text("{", encoding="utf-8")
    assert run(*words, "--resume") == 2
    assert f"{RECORD}, the record of how these results were made, is damaged; remove it" in capsys.readouterr().err


def test_photos_of_two_ways_may_share_a_folder(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    a, b = (("--input", photos / f"{name}.png", "--output", output) for name in "ab")
    assert run(*a) == 0
    assert run(*b, "--faces", "off") == 0
    assert sorted(listed(output)) == [["masks/a.png"], ["masks/b.png"]]
    assert run(*a, "--resume", "--color") == 0
    assert run(*b, "--resume", "--color", "--faces", "off") == 0
    assert run(*b, "--resume") == 2


def test_what_is_overwritten_is_of_the_new_way(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    words = ("--input", photos, "--output", output)
    assert run(*words, "--json") == 0
    assert run(*words, "--overwrite", "--faces", "off") == 0
    assert sorted(listed(output)) == [["json/a.json", "json/b.json"], ["masks/a.png", "masks/b.png"]]
    assert run(*words, "--resume", "--faces", "off", "--color") == 2
    assert "json/a.json was made with another choice of faces" in capsys.readouterr().err
    for name in ("a", "b"):
        (output / "json" / f"{name}.json").unlink()
    assert run(*words, "--resume", "--faces", "off", "--color") == 0


@pytest.mark.parametrize("more", [(), ("--overwrite",), ("--overwrite", "--faces", "off")])
def test_an_interrupted_run(
    more: tuple[str, ...],
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on; one that replaces results of another way does not, as nobody can tell what was replaced."""
    output = tmp_path / "out"
    words = ("--input", photos, "--output", output, "--threads", "1")
    if more:
        assert run(*words) == 0
    real = cli.parse_folder

    def stopped(parser: object, own: list[Path], *rest: object, **options: object) -> None:
        real(parser, own[:1], *rest, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli, "parse_folder", stopped)
        assert run(*words, *more) == 130
    again = "Start again, with --overwrite." if more else "Go on with --resume."
    assert f"inference.py: interrupted. {again}" in capsys.readouterr().err
    assert run(*words, *more[1:], "--resume") == (2 if more[1:] else 0)
    assert ("nothing says how it was made" in capsys.readouterr().err) == bool(more[1:])
    if more:
        assert run(*words, *more) == 0
        assert run(*words, *more[1:], "--resume") == 0


def test_a_record_is_written_with_the_first_file_alone(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"no photo")
    assert run("--input", photos / "a.png", "--output", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()
    Image.new("RGB", (64, 64)).save(photos / "a.png")
    assert run("--input", photos / "a.png", "--output", tmp_path / "out", "--no_face", "skip") == 0
    assert not (tmp_path / "out").exists()


def test_a_record_is_no_input(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for output in (photos, photos / "sub"):
        assert run("--input", photos, "--output", output, "--recursive") == 0
        assert run("--input", photos, "--output", output, "--recursive", "--resume") == 0
        assert RECORD not in capsys.readouterr().err
