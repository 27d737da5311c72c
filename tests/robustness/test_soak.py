"""A process that goes on and on holds no more memory at the end than when it was warm.

Minutes long: ``pytest -n 0 -m slow tests/robustness/test_soak.py -s`` runs it and prints what it measured.
"""

from __future__ import annotations

import functools
import gc
import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hostile_case import packed
from hostile_checkpoints import content
from PIL import Image

import train
from face_parsing import cli
from face_parsing.synthetic.dataset import make_pair

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

MIB = 2**20


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def sample(rounds: int, work: Callable[[int], object], place: Path) -> None:
    """Write resident bytes after each round of work(i), or what went wrong, to place."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
    samples: list[int] | str = []
    try:
        for i in range(rounds):
            work(i)
            gc.collect()
            samples.append(resident())
    except BaseException as error:
        samples = f"{type(error).__name__}: {error}"
    place.write_text(json.dumps(samples))


def sampled(rounds: int, work: Callable[[int], object], place: Path, *, start: str) -> np.ndarray:
    """Resident bytes (rounds,) after each round of work(i), in a process of its own that does nothing else.

    ``start``: fork, of which threads and heaps are those of one thread; or spawn, since autograd does not go on in a
    fork of a process that has used it.
    """
    child = multiprocessing.get_context(start).Process(target=sample, args=(rounds, work, place / "samples.json"))
    child.start()
    child.join()
    samples = json.loads((place / "samples.json").read_text())
    assert isinstance(samples, list), samples
    return np.array(samples, dtype=float)


def succeed(main: Callable[[list[str]], int], words: list[str], i: int) -> None:
    """A round of a command."""
    assert main(words) == 0


def growth(samples: np.ndarray, warm: int, what: str) -> float:
    """Bytes that a round adds once the first, ``warm`` of them, are done: the slope of a straight line."""
    later = samples[warm:]
    slope = float(np.polyfit(np.arange(len(later)), later, 1)[0])
    print(
        f"\n{what}: {samples[0] / MIB:.1f} MiB after the first, {samples[warm] / MIB:.1f} when warm, "
        f"{samples[-1] / MIB:.1f} at the end; {slope / 1024:+.1f} KiB a round over the last {len(later)}"
    )
    return slope


def test_two_thousand_predictions_leave_the_memory_flat(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for i in range(100):
        photo = Image.fromarray(make_pair(i, size=96)[0])
        photo.resize((48 + i % 5 * 12, 64 + i % 3 * 16)).save(source / f"{i:03}.jpg")
    model = tmp_path / "model.pth"
    model.write_bytes(packed(content()))
    words = ["--model_path", str(model), "--input", str(source), "--output", str(tmp_path / "out"), "--overwrite"]
    hundred = functools.partial(succeed, cli.main, [*words, "--color", "--overlay", "--tta"])
    samples = sampled(25, hundred, tmp_path, start="fork")
    # 2,000 predictions after 500 to warm up; 1 KiB each would be 100 KiB a round.
    assert growth(samples, 5, "2,500 predictions, 100 a round") < 100 * 1024
    assert samples[-1] - samples[5] < 16 * MIB


def test_ten_trainings_in_one_process_leave_the_memory_flat(tmp_path: Path, faces: Path) -> None:
    config: dict[str, Any] = {
        "data": {"root": str(faces), "size": 64},
        "model": {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1], "plain_stages": 2},
        "schedule": {"stages": [{"image_size": 64, "epochs": 3, "batch_size": 4}], "warmup_epochs": 1},
        "run": {"device": "cpu", "workers": 1, "threads": 1, "panel_faces": 2, "output": str(tmp_path / "run")},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    training = functools.partial(succeed, train.main, ["--config", str(tmp_path / "c.yaml"), "--overwrite"])
    samples = sampled(14, training, tmp_path, start="spawn")
    # Ten after four to warm up. Its model, optimiser and data are some 2 MiB: a training that stays would show.
    assert growth(samples, 4, "14 trainings") < MIB
    assert samples[-1] - samples[4] < 10 * MIB
