"""Several cycles of the learning rate in one run, and the average of what they end with."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from run_files import Start, assert_same_weights, history, interrupted_before

from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.training.averaging import average_weights
from face_parsing.training.schedule import Cycles, learning_rate
from face_parsing.training.trainer import Trainer

STAGES = (
    "schedule.stages=[{image_size: 32, epochs: 2, batch_size: 4}, "
    "{image_size: 64, epochs: 1, batch_size: 4, restart: 0.5}, "
    "{image_size: 64, epochs: 2, batch_size: 4, restart: 0.25}]"
)
CYCLES = (STAGES, "schedule.warmup_epochs=0", "schedule.average_cycles=2")


def test_one_cycle_is_the_rate_of_the_whole_run() -> None:
    cycles = Cycles([100], [2.0], warmup_steps=10, final_ratio=0.01)
    wanted = [learning_rate(step, steps=100, warmup_steps=10, peak=2.0, final_ratio=0.01) for step in range(100)]
    assert [cycles.rate(step) for step in range(100)] == wanted


def test_each_cycle_rises_and_falls_to_its_own_share() -> None:
    cycles = Cycles([10, 20], [1.0, 0.5], warmup_steps=2, final_ratio=0.1)
    rates = [cycles.rate(step) for step in range(30)]
    assert rates[0] == 0.5
    assert max(rates[:10]) == 1.0
    assert rates[9] == pytest.approx(0.1)
    assert rates[10:12] == [0.25, 0.5]
    assert max(rates[10:]) == 0.5
    assert rates[29] == pytest.approx(0.05)
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[12:]))


def test_a_cycle_begins_with_its_first_step_though_fractions_do_not_add_up() -> None:
    cycles = Cycles([0.1 * 3, 10], [1.0, 0.5], warmup_steps=0, final_ratio=0.0)
    assert cycles.rate(0.1 + 0.1 + 0.1 - 1e-12) == 0.5


def test_the_rate_restarts_where_a_stage_says_so(start: Start, tmp_path: Path) -> None:
    rates: list[float] = []
    original = Trainer.train_epoch

    def note(self: Trainer, *args: object, **options: object) -> object:
        rates.append(self.cycles.rate(self.work))
        return original(self, *args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", note)
        assert start(tmp_path / "run", overrides=(*CYCLES, "optimizer.lr=0.004")) == 0
    assert [rate / 0.004 for rate in (rates[0], rates[2], rates[3])] == pytest.approx([1, 0.5, 0.25])
    assert rates[1] < rates[0]
    assert rates[4] < rates[3]


def test_the_result_is_the_average_of_the_last_cycles(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(tmp_path / "run", overrides=CYCLES) == 0
    printed = capsys.readouterr().out
    assert "Average of what the last 2 cycles ended with, evaluated in fp32" in printed
    last = load_checkpoint(tmp_path / "run/checkpoints/last_model.pth")
    best = load_checkpoint(tmp_path / "run/checkpoints/best_model.pth")
    ends = last["training"]["cycle_ends"]
    assert len(ends) == 2
    assert all(torch.equal(ends[1][name], value) for name, value in last["state_dict"].items())
    mean = average_weights(ends)
    statistics = [name for name in mean if "running" in name]
    weights = [name for name in mean if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(mean[name], best["state_dict"][name]) for name in weights)
    assert not all(torch.equal(mean[name], best["state_dict"][name]) for name in statistics), "they are found anew"
    assert best["image_size"] == 64


def test_an_interrupted_run_of_cycles_goes_on_bit_for_bit(start: Start, tmp_path: Path) -> None:
    assert start(tmp_path / "whole", overrides=CYCLES) == 0
    with interrupted_before(5):
        assert start(tmp_path / "parts", overrides=CYCLES) == 130
    assert start(tmp_path / "parts", "--resume", overrides=CYCLES) == 0
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    one, other = (
        load_checkpoint(tmp_path / name / "checkpoints/best_model.pth")["state_dict"] for name in ("whole", "parts")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert len(history(tmp_path / "parts")) == len(history(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("schedule.stages.0.restart=0.5",), "the first cycle begins there anyway"),
        (("schedule.average_cycles=2",), "the stages hold 1 cycle(s) of the rate"),
        ((STAGES, "schedule.average_cycles=1"), "average_cycles is 1"),
        ((STAGES, "track=open", "schedule.decay=plateau", "schedule.warmup_epochs=0"), "plateau has no cycles"),
        ((STAGES, "schedule.warmup_epochs=1.5"), "below the 1 epochs of the shortest cycle"),
        ((*CYCLES, "run.patience=2"), "run.patience may leave no cycles"),
    ],
)
def test_schedules_that_cannot_be_are_refused(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...], sentence: str
) -> None:
    assert start(tmp_path / "run", overrides=overrides) == 2
    assert sentence in capsys.readouterr().err
