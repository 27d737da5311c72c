"""What training, audit and evaluation say of masks without ids, of unread photos, and of what cannot be learned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import audit
import evaluate
import train
from face_parsing.labels import PALETTE
from face_parsing.models.checkpoint import load_checkpoint

Start = Callable[..., tuple[int, str]]


@pytest.fixture
def data(tmp_path: Path, faces: Path) -> Path:
    out = tmp_path / "data"
    shutil.copytree(faces, out)
    return out


@pytest.fixture
def start(tmp_path: Path, data: Path, write_tiny: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> Start:
    """Train on the data with further settings; gives the exit code and what stands on stderr."""
    config = write_tiny(tmp_path / "tiny.yaml", data, epochs=(1, 1), schedule={"warmup_epochs": 0})

    def call(*overrides: str, words: tuple[str, ...] = (), output: str = "run") -> tuple[int, str]:
        capsys.readouterr()
        set_ = ["--set", f"run.output={tmp_path / output}", *overrides]
        return train.main(["--config", str(config), *set_, *words]), capsys.readouterr().err

    return call


def change_masks(folder: Path, change: Callable[[np.ndarray], np.ndarray], most: int = 10**6) -> None:
    for path in sorted(folder.iterdir())[:most]:
        Image.fromarray(change(np.array(Image.open(path)))).save(path)


def binary(mask: np.ndarray) -> np.ndarray:
    return ((mask > 0) * 255).astype(np.uint8)


def nothing(mask: np.ndarray) -> np.ndarray:
    return np.zeros_like(mask)


def all_ignored(mask: np.ndarray) -> np.ndarray:
    return np.full_like(mask, 255)


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("change", [binary, nothing, all_ignored])
def test_a_set_without_classes_is_refused(
    start: Start, data: Path, tmp_path: Path, part: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    change_masks(data / part / "masks", change)
    code, message = start()
    assert code == 2
    assert "holds any class but background" in message
    assert ("255 means 'ignore'" in message) == (change is not nothing)
    assert not (tmp_path / "run").exists()
    assert audit.main(["--root", str(data), "--output", str(tmp_path / "audit")]) == 1
    problems = json.loads((tmp_path / "audit/audit.json").read_text())["problems"]
    assert any(f"No mask of {part}/ holds any class" in problem for problem in problems)
    words = ["--predictions", str(data / part / "masks"), "--truth", str(data / part / "masks")]
    assert evaluate.main(words) == 2


def test_one_such_mask_is_a_note(start: Start, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_masks(data / "train/masks", nothing, most=1)
    change_masks(data / "val/masks", binary, most=1)
    code, message = start()
    assert code == 0
    assert "Note: 2 masks hold no class but background (255 means 'ignore'" in message
    assert evaluate.main(["--predictions", str(data / "train/masks"), "--truth", str(data / "train/masks")]) == 0
    message = capsys.readouterr().err
    assert "Note: 1 mask holds no class but background; the first" in message
    assert "Note: 1 prediction holds background alone; the first: 00000." in message


def test_smoothed_masks_are_warned_of_once(start: Start, data: Path, tmp_path: Path) -> None:
    def smoothed(mask: np.ndarray) -> np.ndarray:
        return np.array(Image.fromarray(mask).resize((128, 128), 2).resize((64, 64), 2))

    code, message = start()
    assert (code, message.count("Warning")) == (0, 0)
    change_masks(data / "train/masks", smoothed)
    code, message = start(output="second")
    assert code == 0
    assert message.count("Warning: 12 of 12 masks that were looked at seem to have been resized") == 1
    assert audit.main(["--root", str(data), "--output", str(tmp_path / "audit")]) == 0
    notes = json.loads((tmp_path / "audit/audit.json").read_text())["notes"]
    assert sum("pixels of classes that lie between two others, such as" in note for note in notes) == 12


def test_optimized_masks_train_as_the_others_do(start: Start, data: Path, tmp_path: Path) -> None:
    assert start()[0] == 0
    for path in (data / "train/masks").iterdir():
        mask = np.array(Image.open(path))
        picture = Image.fromarray(18 - mask)
        picture.putpalette([value for color in PALETTE[::-1] for value in color])
        picture.save(path)
    code, message = start(output="second")
    assert code == 0
    assert message.count("12 masks hold the palette's colors at other indices") == 1
    first, second = (load_checkpoint(tmp_path / name / "checkpoints/best_model.pth") for name in ("run", "second"))
    assert first["scores"] == second["scores"]
    assert start("data.mask_ids=index", output="third")[0] == 0


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".tif"])
def test_photos_in_every_format_of_inference_train(start: Start, data: Path, suffix: str) -> None:
    for path in sorted((data / "train/images").iterdir()):
        Image.open(path).save(path.with_suffix(suffix))
        path.unlink()
    assert start()[0] == 0


@pytest.mark.parametrize("suffix", [".avif", ".raw", ".heic"])
def test_photos_in_no_known_format_are_named(start: Start, data: Path, tmp_path: Path, suffix: str) -> None:
    for path in sorted((data / "train/images").iterdir())[:2]:
        path.rename(path.with_suffix(suffix))
    code, message = start()
    assert code == 2
    wanted = f"images holds 00000{suffix} alone, but .jpg, .jpeg, .png, .webp, .bmp, .tif, .tiff are read; convert it"
    assert wanted in message
    assert audit.main(["--root", str(data), "--output", str(tmp_path / "audit")]) == 1
    assert wanted in (tmp_path / "audit/audit.json").read_text()


# --- sentences --------------------------------------------------------------------------------------


def test_own_classes_do_not_go_on_from_a_run_of_others(start: Start, tmp_path: Path) -> None:
    assert start()[0] == 0
    code, message = start(
        "data.classes={background: [], eyes: [l_eye, r_eye]}", f"run.init_from={tmp_path / 'run'}", output="second"
    )
    assert code == 2
    assert "tells 19 classes apart (background, skin, nose, eye_g, l_eye, r_eye, ...)" in message
    assert "data.classes 2 (background, eyes)" in message
    assert "open_track.pretrained" in message
    assert "size mismatch" not in message


def test_a_batch_of_one_small_pair_is_explained(start: Start, data: Path) -> None:
    for part in ("images", "masks"):
        for path in sorted((data / "train" / part).iterdir())[1:]:
            path.unlink()
    code, message = start("model.channels=[16, 16, 16, 16, 16, 16]", "model.blocks=[0, 1, 1, 1, 1, 1]")
    assert code == 2
    assert "a batch of one leaves BatchNorm a single value a channel" in message
    assert "(1 training pairs, batch_size 1)" in message


def test_more_epochs_than_a_run_had_name_the_way(start: Start, tmp_path: Path) -> None:
    assert start()[0] == 0
    code, message = start("schedule.stages.0.epochs=3", words=("--resume",))
    assert code == 2
    assert f"--set run.init_from={tmp_path / 'run'} run.output=FOLDER, without --resume" in message
    code, message = start("run.seed=3", words=("--resume",))
    assert code == 2
    assert "init_from" not in message


def test_sizes_that_differ_name_the_command(start: Start, data: Path) -> None:
    change_masks(data / "train/masks", lambda mask: mask[::2, ::2], most=1)
    code, message = start()
    assert code == 2
    assert "32x32, but its image is 64x64; 'prepare.py layout --size' makes all pairs one size" in message


# --- trained on -------------------------------------------------------------------------------------


def judged(root: Path, model: Path, split: str, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert evaluate.main(["--model_path", str(model), "--data", str(root), "--split", split]) == 0
    return capsys.readouterr().err


def test_a_checkpoint_knows_what_it_was_trained_on(
    start: Start, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("images", "masks"):
        for path in sorted((data / "val" / part).iterdir()):
            path.rename(path.with_stem(f"v{path.stem}"))
    assert start()[0] == 0
    best = tmp_path / "run/checkpoints/best_model.pth"
    stems = [f"{i:05d}" for i in range(12)]
    assert load_checkpoint(best)["trained_on"] == stems
    assert "was trained on 12 of these 12 faces" in judged(data, best, "train", capsys)
    assert "trained on" not in judged(data, best, "val", capsys)
    # A further run on other pairs still knows those of the first.
    further = tmp_path / "further"
    shutil.copytree(data, further)
    for part in ("images", "masks"):
        for path in sorted((further / "train" / part).iterdir()):
            path.rename(path.with_stem(f"n{path.stem}"))
    words = (f"data.root={further}", "track=open", f"run.init_from={tmp_path / 'run'}")
    assert start(*words, output="second")[0] == 0
    second = load_checkpoint(tmp_path / "second/checkpoints/best_model.pth")["trained_on"]
    assert second == sorted([*stems, *(f"n{stem}" for stem in stems)])


def test_stems_of_both_parts_say_nothing(start: Start, tmp_path: Path) -> None:
    assert start()[0] == 0
    found = load_checkpoint(tmp_path / "run/checkpoints/best_model.pth")["trained_on"]
    assert found == [f"{i:05d}" for i in range(4, 12)]  # 0 to 3 are validation faces, too
