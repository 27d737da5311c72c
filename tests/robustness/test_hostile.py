"""Files that nobody should trust: each is read, or refused in one sentence that names it, and touches nothing else."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_case import Case, encoded, face, flat_png, packed
from hostile_checkpoints import TRACE, checkpoints, content
from hostile_configs import configs
from hostile_masks import masks, zips
from hostile_photos import NAMES, photos
from PIL import Image

import evaluate
import train
from face_parsing import cli
from face_parsing.config.loading import ConfigError, load_config
from face_parsing.data.masks import read_mask
from face_parsing.data.photo_files import PHOTO_SUFFIXES
from face_parsing.data.photos import MAX_PIXELS, PhotoError, read_photo
from face_parsing.data.problems import DataError
from face_parsing.models.checkpoint import CheckpointError, load_checkpoint, restore_model
from face_parsing.synthetic.dataset import make_pair, write_dataset

# What decoders say of odd files on the side is not what is tested.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(60)]


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every entry below root with its kind and, of a file, its bytes. Opens no pipe and follows no link."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            plain = path.is_file() and not path.is_symlink()
            found[os.fspath(path.relative_to(root))] = (path.lstat().st_mode, path.read_bytes() if plain else b"")
    return found


def judge(case: Case, place: Path, read: Callable[[Path], object], refusal: type[Exception]) -> None:
    """Make the file, read it, and compare with what is expected; nothing beside it may change."""
    folder = place / "in"
    folder.mkdir()
    path = case.make(folder)
    before = snapshot(place)
    try:
        read(path)
    except refusal as error:
        message = str(error)
        assert case.expected != "", message
        assert str(path) in message
        assert "Traceback" not in message
        assert len(message.replace(str(path), "")) < 2500
        if refusal is not ConfigError:  # which tells all that is wrong, a line a key
            assert "\n" not in message.replace(str(path), "")
        assert case.expected is None or re.search(case.expected, message, re.DOTALL), message
    else:
        assert not case.expected or re.search(case.expected, ""), f"it was read, but expected was: {case.expected}"
    assert snapshot(place) == before


# --- one by one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", list(checkpoints()), ids=str)
def test_checkpoints(case: Case, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        model = restore_model(load_checkpoint(path), path)
        with torch.no_grad():
            assert model(torch.zeros(1, 3, 32, 32)).isfinite().all()

    judge(case, tmp_path, read, CheckpointError)
    assert not (tmp_path / "in" / TRACE).exists()


@pytest.mark.parametrize("case", list(photos()), ids=str)
def test_photos(case: Case, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        photo = read_photo(path)
        assert photo.dtype == np.uint8
        assert photo.ndim == 3
        assert photo.shape[2] == 3

    judge(case, tmp_path, read, PhotoError)


@pytest.mark.parametrize("case", list(masks()), ids=str)
def test_masks(case: Case, tmp_path: Path) -> None:
    def read(path: Path) -> None:
        mask = read_mask(path)
        assert mask.dtype == np.uint8
        assert mask.ndim == 2
        assert set(np.unique(mask)) <= {*range(19), 255}

    judge(case, tmp_path, read, DataError)


@pytest.mark.parametrize("case", list(zips()), ids=str)
def test_zips(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class RefusedError(Exception):
        pass

    truth = tmp_path / "truth"
    truth.mkdir()
    Image.fromarray(make_pair(0, size=48)[1]).save(truth / "0.png")

    def read(path: Path) -> None:
        if evaluate.main(["--predictions", str(path), "--truth", str(truth)]) != 0:
            # A prediction of another size is told by the name of its truth.
            raise RefusedError(capsys.readouterr().err.removeprefix("evaluate.py: ").strip() + f" [{path}]")

    judge(case, tmp_path, read, RefusedError)


@pytest.mark.parametrize("case", list(configs()), ids=str)
def test_configs(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def read(path: Path) -> None:
        try:
            load_config(path)
        except ConfigError as error:
            raise ConfigError(f"{error} [{path}]") from None  # what is wrong with a key is told by the key

    judge(case, tmp_path, read, ConfigError)


# --- through the commands -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pth"
    path.write_bytes(packed(content()))
    return path


def test_a_folder_of_all_of_it_gives_the_sound_masks_and_names_the_others(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    wanted: dict[str, Case] = {}
    for i, case in enumerate(photos()):
        path = case.make(source)
        if path in source.iterdir() and path.is_file() and path.suffix in PHOTO_SUFFIXES:
            wanted[path.rename(source / f"{i:03}{path.suffix}").name] = case
    before = snapshot(tmp_path)
    assert cli.main(["--model_path", str(model), "--input", str(source), "--output", str(output)]) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("inference.py: ")]
    named = {name for name in wanted if any(f"{source / name}: " in line for line in errors)}
    assert len(errors) == len(named) + 1
    made = {path.stem for path in (output / "masks").iterdir()}
    for name, case in wanted.items():
        assert (Path(name).stem in made) != (name in named)
        if case.expected is not None:
            assert (name in named) == bool(case.expected), case
    assert {name: kept for name, kept in snapshot(tmp_path).items() if name.split("/")[0] != "out"} == before


def test_names_that_a_file_may_have(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, output = tmp_path / "data", tmp_path / "out"
    for part in ("images", "masks"):
        (root / "val" / part).mkdir(parents=True)
    image, mask = make_pair(0, size=48)
    for name in NAMES:
        (root / "val" / "images" / name).write_bytes(encoded(Image.fromarray(image), "JPEG"))
        (root / "val" / "masks" / f"{name.removesuffix('.jpg')}.png").write_bytes(encoded(Image.fromarray(mask), "PNG"))
    before = snapshot(tmp_path)
    words = ["--model_path", str(model), "--input", str(root / "val" / "images"), "--output", str(output)]
    assert cli.main([*words, "--color", "--overlay"]) == 0
    assert {path.name for path in (output / "masks").iterdir()} == {f"{n.removesuffix('.jpg')}.png" for n in NAMES}
    files = [path for path in output.rglob("*") if path.is_file()]
    assert len(files) == 3 * len(NAMES) + 1  # the record of how they were made
    stored = ["--predictions", str(output / "masks"), "--truth", str(root / "val" / "masks")]
    written = [tmp_path / "out" / name for name in ("per_image.csv", "worst.png")]
    assert evaluate.main([*stored, "--per_image", str(written[0]), "--worst", str(written[1])]) == 0
    judged = ["--truth", str(root / "val" / "masks"), "--images", str(root / "val" / "images")]
    assert evaluate.main(["--model_path", str(model), *judged]) == 0
    assert all(path.is_file() for path in written)
    assert {name: kept for name, kept in snapshot(tmp_path).items() if name.split("/")[0] != "out"} == before
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["..jpg", "...jpg", "....jpg", ".hidden.jpg"])
def test_a_name_of_dots_stays_in_the_output_folder(model: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    photo = tmp_path / "in" / name
    photo.write_bytes(encoded(face(), "JPEG"))
    before = snapshot(tmp_path)
    assert cli.main(["--model_path", str(model), "--input", str(photo), "--output", str(tmp_path / "out")]) == 0
    (made,) = (set(snapshot(tmp_path)) - set(before)) - {"out", "out/masks", "out/.face_parsing.json"}
    assert Path(made).parent == Path("out/masks")


def test_an_output_that_is_a_link_is_replaced_and_not_followed(model: Path, tmp_path: Path) -> None:
    photo, mine = tmp_path / "a.jpg", tmp_path / "mine.txt"
    photo.write_bytes(encoded(face(), "JPEG"))
    mine.write_text("keep")
    (tmp_path / "out" / "masks").mkdir(parents=True)
    (tmp_path / "out" / "masks" / "a.png").symlink_to(mine)
    words = ["--model_path", str(model), "--input", str(photo), "--output", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert cli.main([*words, "--overwrite"]) == 0
    assert mine.read_text() == "keep"
    assert not (tmp_path / "out" / "masks" / "a.png").is_symlink()


def test_hostile_pairs_of_a_data_set_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data" / "train"
    bad = [case for case in masks() if case.expected and case.name != "nothing there"]
    write_dataset(tmp_path / "data", train=1, val=1, test=1, size=48, progress=False)
    for i, case in enumerate(bad):
        (root / "images" / f"{i}.jpg").write_bytes(encoded(face(), "JPEG"))
        case.make(root / "masks").rename(root / "masks" / f"{i}.png")
    before = snapshot(tmp_path)
    words = [f"data.root={tmp_path / 'data'}", f"run.output={tmp_path / 'out'}", "data.size=48"]
    assert train.main(["--set", *words]) == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert f"{len(bad)} problems in {root}" in message
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", "{}", '{"train": 3, "val": []}', '{"train": ["a"]}', '{"train": [], "val": []}', "[" * 50_000],
)  # fmt: skip
def test_a_damaged_split_is_named(tmp_path: Path, faces: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "split.json"
    path.write_text(text, encoding="utf-8")
    model = tmp_path / "model.pth"
    model.write_bytes(packed(content()))
    assert evaluate.main(["--model_path", str(model), "--data", str(faces), "--val_stems", str(path)]) == 2
    message = capsys.readouterr().err
    assert str(path) in message
    assert len(message.splitlines()) == 1


# --- memory ---------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_of(work: Callable[[], object]) -> int:
    """By how many bytes the memory of a process grows at most that does the work, with 4 GB of addresses to spare."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            held = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (held + 4 * 2**30, -1))
            before = resident()
            work()
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
            code = min(max(grown >> 20, 0) >> 4, 200)  # in units of 16 MiB, which an exit code holds
        except BaseException as error:
            print(f"{type(error).__name__}: {error}"[:2000], file=sys.stderr, flush=True)
            code = 255
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert 0 <= code < 255, code
    return code << 24


def _bombs() -> Iterator[tuple[str, Callable[[Path], Path], Callable[[Path], object]]]:
    def load(path: Path) -> object:
        return restore_model(load_checkpoint(path), path)

    readers: dict[Any, Callable[[Path], object]] = {
        checkpoints: load,
        photos: read_photo,
        masks: read_mask,
        configs: load_config,
    }
    bombs = (
        "inflate", "squared", "million", "billion", "10**", "ten times", "within", "huge", "wide", "80 million",
        "endless", "5000", "more than a megabyte", "device",
    )  # fmt: skip
    for made, read in readers.items():
        for case in made():
            if any(word in case.name for word in bombs):
                yield f"{made.__name__}: {case}", case.make, read


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_refused_takes_little_memory(tmp_path: Path) -> None:
    bombs = list(_bombs())
    assert len(bombs) > 25

    def work() -> None:
        for i, (name, make, read) in enumerate(bombs):
            (tmp_path / str(i)).mkdir()
            path = make(tmp_path / str(i))
            try:
                read(path)
            except (CheckpointError, PhotoError, DataError, ConfigError):
                continue
            assert name in ("photos: pixels that inflate.png",), f"{name} was read"

    # The largest: 64 megapixels of which the file has none, 4 bytes each.
    peak = peak_of(work)
    print(f"\nmemory grew by {peak / 2**20:.0f} MiB at most")
    assert peak < 700 * 2**20


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_largest_photos_and_the_thinnest_are_parsed_in_bounded_memory(model: Path, tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(flat_png(8_900, 8_900))
    (tmp_path / "row.png").write_bytes(flat_png(200_000, 1))
    (tmp_path / "column.png").write_bytes(flat_png(1, 200_000))
    assert MAX_PIXELS > 8_900**2

    def work() -> None:
        words = ["--model_path", str(model), "--input", str(tmp_path), "--output", str(tmp_path / "out")]
        assert cli.main(words) == 0
        for name, size in (("large", (8_900, 8_900)), ("row", (200_000, 1)), ("column", (1, 200_000))):
            with Image.open(tmp_path / "out" / "masks" / f"{name}.png") as mask:
                assert mask.size == size

    # 79 megapixels: 3 bytes each decoded, 12 as float32, the same again while they are made smaller, and some copies.
    peak = peak_of(work)
    print(f"\nmemory grew by {peak / 2**20:.0f} MiB at most")
    assert peak < 3 * 2**30
