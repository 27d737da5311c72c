"""Several processes: the weights and scores of one; failures, signals and restarts. Two of them, over gloo."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import train
from face_parsing import cli
from face_parsing.labels import IGNORE_INDEX
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.system import distributed

ROOT = Path(__file__).resolve().parent.parent.parent
ONE_EPOCH = "schedule.stages=[{image_size: 32, epochs: 1, batch_size: 4}]"


def torchrun(*words: object, processes: int = 2, restarts: int = 0, log: Path) -> subprocess.Popen[bytes]:
    """Start words in several processes; what they and torchrun print goes to the file log."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", processes]
    command += ["--max_restarts", restarts, "--monitor-interval", 0.1, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "src")}
    with log.open("wb") as file:
        return subprocess.Popen([str(word) for word in command], stdout=file, stderr=file, env=environment)


def finish(process: subprocess.Popen[bytes], log: Path) -> tuple[int, str]:
    """The exit code, and what was printed."""
    try:
        code = process.wait(timeout=240)
    finally:
        process.kill()
    return code, log.read_text(encoding="utf-8")


def said(text: str) -> list[str]:
    """The sentences of the commands themselves, which may stand behind a progress bar."""
    return re.findall(r"(?:train|inference)\.py: .*", text)


@pytest.fixture(scope="module")
def data(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The faces with pixels to ignore, more in some masks than in others: processes weigh their batches alike."""
    root = tmp_path_factory.mktemp("distributed") / "data"
    shutil.copytree(faces, root)
    for i, path in enumerate(sorted((root / "train" / "masks").iterdir())):
        with Image.open(path) as picture:
            mask = np.array(picture)
        mask[: 6 * (i % 5)] = IGNORE_INDEX
        Image.fromarray(mask).save(path)
    return root


@pytest.fixture(scope="module")
def config_file(data: Path, write_tiny: Callable[..., Path]) -> Path:
    return write_tiny(
        data.parent / "tiny.yaml",
        data,
        epochs=(1, 2),
        model={"dropout": 0.0},  # whose draws no two processes share
        loss={"class_weights": "sqrt"},
        run={"precision": "fp32"},
    )


def words_of(config_file: Path, output: Path, *overrides: str) -> list[str]:
    return ["--config", str(config_file), "--set", f"run.output={output}", *overrides]


def test_alone_everything_is_what_it_was() -> None:
    value = torch.arange(3.0)
    assert distributed.mean(value) is value
    assert distributed.from_main(lambda: "made") == "made"
    assert distributed.from_all(5) == [5]
    assert (distributed.any_of(True), distributed.any_of(False)) == (True, False)
    assert (distributed.rank(), distributed.world_size(), distributed.processes_here()) == (0, 1, 1)
    assert distributed.is_main()
    assert distributed.is_first_here()
    assert distributed.own_device(torch.device("cuda")) == torch.device("cuda")
    assert not distributed.is_lost(RuntimeError("Connection closed by peer"))
    with distributed.joined():
        assert distributed.world_size() == 1


def test_only_the_same_call_of_torchrun_goes_on_by_itself(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def launched(name: str, attempt: int) -> None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", f"/tmp/torchelastic_x/{name}/attempt_{attempt}/0/error.json")
        monkeypatch.setenv("WORLD_SIZE", "1")

    output = tmp_path / "run"
    words = words_of(config_file, output, ONE_EPOCH, "schedule.warmup_epochs=0")
    launched("none_a", 0)
    assert train.main(words) == 0
    assert json.loads((output / "environment.json").read_text(encoding="utf-8"))["launch"] == "none_a"
    capsys.readouterr()
    launched("none_a", 1)
    assert train.main(words) == 0
    assert train.main([*words, "--overwrite"]) == 0  # which has been done
    assert capsys.readouterr().out.count("Resuming after epoch 1 of 1") == 2
    (output / "checkpoints" / "last_model.pth").unlink()  # killed in its first epoch, its best model written
    assert train.main(words) == 0
    assert "Resuming" not in capsys.readouterr().out
    launched("none_b", 1)
    assert train.main(words) == 2
    assert "holds an earlier run" in capsys.readouterr().err


TOGETHER = """
import sys, torch
from pathlib import Path
import train
from face_parsing import cli
from face_parsing.system import distributed
from face_parsing.training.run import Training

config, output, photos = sys.argv[1:]

class Recorded(Training):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.keys = list(self.sampler)
        runs.append(self)

train.Training = Recorded
runs = []
with distributed.joined():
    for name, more in (("sync", ["run.sync_batchnorm=true"]), ("own", [])):
        code = train.main(["--config", config, "--set", f"run.output={output}/{name}", *more])
        assert code == 0, code
        run = runs[-1]
        trainer = run.trainer
        values = {"keys": run.keys, "live": trainer.model.state_dict(), "average": trainer.average.model.state_dict()}
        values["optimizer"] = trainer.optimizer.state_dict()["state"]
        values["drawn"] = torch.rand(4)
        torch.save(values, f"{output}/{name}{distributed.rank()}.pt")
    words = ["--model_path", f"{output}/sync/checkpoints/best_model.pth", "--input", photos, "--batch_size", "1"]
    assert cli.main([*words, "--output", f"{output}/parsed", "--color"]) == 0
    assert cli.main([*words, "--output", f"{output}/parsed", "--submission", "--resume"]) == 2
"""
# What is added to all pixels before another BatchNorm has no gradient but rounding, which Adam makes as large as any;
# and the mean that the other one sees.
WITHOUT_GRADIENT = {"stages.2.0.body.3.1.bias", "ups.0.deep.1.running_mean"}


def tensors(values: Any, where: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(values, Tensor):
        yield where, values
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from tensors(value, f"{where}.{key}")


def test_two_processes_do_what_one_does(
    config_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script, photos = tmp_path / "together.py", data / "train" / "images"
    script.write_text(TOGETHER, encoding="utf-8")
    process = torchrun(script, config_file, tmp_path, photos, log=tmp_path / "log.txt")
    try:
        runs: list[train.Training] = []

        class Recorded(train.Training):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                runs.append(self)

        monkeypatch.setattr(train, "Training", Recorded)
        assert train.main(words_of(config_file, tmp_path / "alone")) == 0
    finally:
        code, printed = finish(process, tmp_path / "log.txt")
    assert code == 0, printed
    assert printed.count("Best model: epoch") == 2  # process 0 of two runs
    assert said(printed) == ["inference.py: --submission is for one process; start it without torchrun."]
    capsys.readouterr()
    (alone,) = runs
    for name in ("sync", "own"):
        ranks = [torch.load(tmp_path / f"{name}{rank}.pt") for rank in (0, 1)]
        # The same data in the same order, and the same weights, statistics, averages and moments in both.
        assert [one + two for one, two in zip(ranks[0]["keys"], ranks[1]["keys"], strict=True)] == list(alone.sampler)
        for part in ("live", "average", "optimizer"):
            for (where, ours), (_, theirs) in zip(tensors(ranks[0][part]), tensors(ranks[1][part]), strict=True):
                assert torch.equal(ours, theirs), (name, part, where)
        assert not torch.equal(ranks[0]["drawn"], ranks[1]["drawn"])  # what dropout would have drawn
    # With BatchNorm over both, two times two images are four, to rounding.
    synchronised = torch.load(tmp_path / "sync0.pt")
    for part, model in (("live", alone.trainer.model), ("average", alone.trainer.average.model)):
        for name, value in model.state_dict().items():
            if name not in WITHOUT_GRADIENT:
                torch.testing.assert_close(synchronised[part][name], value, rtol=1e-3, atol=1e-3, msg=f"{part} {name}")
    one, two = (list(read_history(tmp_path / run)) for run in ("alone", "sync"))
    for before, after in zip(one, two, strict=True):
        assert after["loss"] == pytest.approx(before["loss"], rel=1e-5)
        assert after["f_score"] == pytest.approx(before["f_score"], abs=2e-3)
    check_sharded_score(tmp_path / "sync", config_file, tmp_path / "again", monkeypatch)
    capsys.readouterr()
    parsed = sorted(path.name for path in (tmp_path / "parsed" / "masks").iterdir())
    assert parsed == sorted(f"{path.stem}.png" for path in photos.iterdir())
    assert len(list((tmp_path / "parsed" / "color").iterdir())) == len(parsed)
    assert printed.count(f"wrote {len(parsed)} of {len(parsed)} masks") == 1


def read_history(folder: Path) -> Iterator[dict[str, float]]:
    header, *rows = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    for row in rows:
        yield {key: float(value) for key, value in zip(header.split(","), row.split(","), strict=True) if value}


def check_sharded_score(run: Path, config_file: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process, resuming the run of two, judges its best model as the two did: to the last bit."""
    shutil.copytree(run, output)
    (output / "scores.json").unlink()
    assert train.main([*words_of(config_file, output, "run.sync_batchnorm=true"), "--resume"]) == 0
    ours, theirs = (json.loads((folder / "scores.json").read_text(encoding="utf-8")) for folder in (output, run))
    assert ours["f_score"] > 0
    assert ours == theirs


FAILING = """
import os, signal, sys
import train
from face_parsing.system import distributed
from face_parsing.training.trainer import Trainer

kind, at, marker, *words = sys.argv[1:]
update = Trainer._update

def failing(self, loss):
    update(self, loss)
    if self.step_count == int(at) and os.environ["RANK"] == "1" and not os.path.exists(marker):
        open(marker, "w").close()
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "stop":
            return os.kill(os.getpid(), signal.SIGTERM)
        raise OSError("the disk of the second machine is gone")

Trainer._update = failing
raise SystemExit(train.main(words))
"""


def start_failing(
    kind: str, config_file: Path, tmp_path: Path, *overrides: str, at: int = 5, restarts: int = 0
) -> tuple[int, str, Path]:
    script, output = tmp_path / "failing.py", tmp_path / "run"
    script.write_text(FAILING, encoding="utf-8")
    words = words_of(config_file, output, "run.workers=1", *overrides)
    log = tmp_path / "log.txt"
    started = time.monotonic()
    process = torchrun(script, kind, at, tmp_path / "failed", *words, restarts=restarts, log=log)
    code, printed = finish(process, log)
    assert time.monotonic() - started < 200
    return code, printed, output


def test_a_failure_of_one_ends_all_with_one_sentence(config_file: Path, tmp_path: Path) -> None:
    code, printed, output = start_failing("fail", config_file, tmp_path)
    assert code != 0
    assert said(printed) == ["train.py: the disk of the second machine is gone"], printed
    assert "exitcode  : 2" in printed
    assert "SIGKILL" not in printed  # nobody had to be
    # The first epoch, of three steps, is safe.
    assert load_checkpoint(output / "checkpoints" / "last_model.pth")["training"]["epoch"] == 1


@pytest.mark.slow
def test_a_run_goes_on_after_a_process_was_killed(config_file: Path, tmp_path: Path) -> None:
    code, printed, output = start_failing("kill", config_file, tmp_path, restarts=1)
    assert code == 0, printed
    assert printed.count("Resuming after epoch 1 of 3.") == 1
    assert printed.count("Best model: epoch") == 1
    whole = tmp_path / "whole"
    words = words_of(config_file, whole, "run.workers=1")
    code, printed = finish(torchrun(ROOT / "src" / "train.py", *words, log=tmp_path / "b.txt"), tmp_path / "b.txt")
    assert code == 0, printed
    states = [load_checkpoint(folder / "checkpoints" / "last_model.pth") for folder in (output, whole)]
    ours, theirs = ({**c["state_dict"], **c["training"]["trainer"]["model"]} for c in states)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_one_process_was_asked_to_end_goes_on_within_the_epoch(config_file: Path, tmp_path: Path) -> None:
    dropout = "model.dropout=0.2"  # of which each process draws its own
    code, printed, output = start_failing("stop", config_file, tmp_path, dropout, at=4)
    assert code != 0
    assert said(printed) == ["train.py: interrupted and saved at epoch 2 of 3, step 2 of 3. Go on with --resume."]
    whole, log = tmp_path / "whole", tmp_path / "b.txt"
    for folder, more in ((output, ("--resume",)), (whole, ())):
        words = words_of(config_file, folder, "run.workers=1", dropout)
        code, printed = finish(torchrun(ROOT / "src" / "train.py", *words, *more, log=log), log)
        assert code == 0, printed
        assert ("Resuming after epoch 1 of 3 and 2 steps of the next." in printed) == (folder == output)
    states = [load_checkpoint(folder / "checkpoints" / "last_model.pth") for folder in (output, whole)]
    ours, theirs = ({**c["state_dict"], **c["training"]["trainer"]["model"]} for c in states)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    clock = {"seconds", "images_per_second"}
    one, two = ([{k: v for k, v in row.items() if k not in clock} for row in read_history(f)] for f in (output, whole))
    assert one == two


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_torchrun_stops_all_at_one_step(config_file: Path, tmp_path: Path, number: int) -> None:
    output, log = tmp_path / "run", tmp_path / "log.txt"
    longer = "schedule.stages=[{image_size: 64, epochs: 500, batch_size: 4}]"
    process = torchrun(ROOT / "src" / "train.py", *words_of(config_file, output, longer), log=log)
    deadline = time.monotonic() + 120
    while not (output / "checkpoints" / "last_model.pth").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    _, printed = finish(process, log)
    (sentence,) = said(printed)
    assert re.fullmatch(
        r"train.py: interrupted and saved at epoch \d+ of 500, step [123] of 3. Go on with --resume.", sentence
    )
    # Both go on at the next step, and draw what they would have drawn.
    training = load_checkpoint(output / "checkpoints" / "last_model.pth")["training"]
    if training["within"] is not None:
        assert f"epoch {training['epoch'] + 1} of 500, step {training['within']['progress']['steps']} of" in sentence
        assert len(training["within"]["random"]) == 2
    # Another number of processes may go on: here one.
    words = words_of(config_file, output, longer)
    epoch = load_checkpoint(output / "checkpoints" / "last_model.pth")["training"]["epoch"]
    assert epoch >= 1
    resumed = subprocess.Popen([sys.executable, str(ROOT / "src" / "train.py"), *words, "--resume"])
    try:
        while load_checkpoint(output / "checkpoints" / "last_model.pth")["training"]["epoch"] == epoch:
            assert resumed.poll() is None
            assert time.monotonic() < deadline + 120
            time.sleep(0.2)
    finally:
        resumed.kill()
        resumed.wait()


@pytest.mark.slow
def test_a_refusal_is_said_once(config_file: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    words = words_of(config_file, tmp_path / "run", "schedule.stages.0.batch_size=3")
    code, printed = finish(torchrun(ROOT / "src" / "train.py", *words, log=log), log)
    assert code != 0
    (sentence,) = said(printed)
    assert "schedule.stages.0.batch_size = 3 is the batch of all processes together" in sentence
    assert not (tmp_path / "run").exists()


def test_resumed_inference_does_what_is_left(
    data: Path, config_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train.main(words_of(config_file, run, ONE_EPOCH, "schedule.warmup_epochs=0")) == 0
    photos, output = data / "val" / "images", tmp_path / "out"
    words = ["--model_path", str(run / "checkpoints" / "best_model.pth"), "--input", str(photos)]
    words += ["--output", str(output), "--overlay", "--resume"]
    assert cli.main(words) == 0
    files = sorted(path for path in output.rglob("*.[jp]*g"))
    assert len(files) == 8
    masks, overlays = files[:4], files[4:]
    before = {path: path.stat().st_mtime_ns for path in files}
    overlays[1].unlink()
    masks[2].unlink()
    capsys.readouterr()
    assert cli.main(words) == 0
    wanted = f"wrote 1 of 1 masks to {output / 'masks'}; 3 were there already, and 1 photo got further files"
    assert wanted in capsys.readouterr().out
    touched = [path for path in files if path.stat().st_mtime_ns != before[path]]
    assert touched == [masks[2], overlays[1]]
    assert cli.main(words) == 0
    assert "wrote 0 of 0 masks" in capsys.readouterr().out
    assert cli.main([*words, "--overwrite"]) == 2
    assert "--resume and --overwrite exclude each other" in capsys.readouterr().err
