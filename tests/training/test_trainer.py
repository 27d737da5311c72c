"""Training steps and validation: a network learns, stops at a bad loss, and goes on as if never stopped."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import Batch, ValidationSet
from face_parsing.data.pairs import find_pairs
from face_parsing.evaluation.metrics import ScoreKeeper
from face_parsing.evaluation.validation import validate
from face_parsing.inference import predict
from face_parsing.inference.predict import normalize, predict_masks
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.models.checkpoint import load_checkpoint, save_checkpoint
from face_parsing.synthetic.dataset import make_pair
from face_parsing.training.fused_loss import CombinedLoss
from face_parsing.training.losses import distillation_loss
from face_parsing.training.schedule import Cycles, learning_rate
from face_parsing.training.trainer import EpochReport, NonFiniteLossError, Trainer

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "name": "unet", "channels": [16, 24, 32], "blocks": [0, 1, 1], "plain_stages": 2, "expansion": 2.0, "dropout": 0.0,
}  # fmt: skip
OPTIMIZER: dict[str, Any] = {
    "name": "adamw", "muon_scale": 0.5, "head_lr_scale": 6.0,
    "lr": 0.01, "weight_decay": 0.02, "betas": (0.9, 0.99), "clip_norm": 1.0, "ema_decay": 0.9,
}  # fmt: skip


def tiny(seed: int = 0, **changes: Any) -> nn.Module:
    torch.manual_seed(seed)
    return build_model({**TINY, **changes}, NUM_CLASSES)


def trainer(
    model: nn.Module | None = None,
    *,
    loss: CombinedLoss | None = None,
    steps: int = 8,
    warmup_steps: int = 2,
    **changes: Any,
) -> Trainer:
    options: dict[str, Any] = {
        "device": CPU, "precision": torch.float32, "channels_last": True, "compile_model": False,
        "optimizer": OPTIMIZER,
    } | changes  # fmt: skip
    options.setdefault(
        "cycles", Cycles([steps], [options["optimizer"]["lr"]], warmup_steps=warmup_steps, final_ratio=0.1)
    )
    return Trainer(model or tiny(), loss or CombinedLoss(), **options)


def batch(*seeds: int, size: int = 32) -> Batch:
    """Synthetic faces (B, H, W, 3) and their masks (B, H, W), uint8."""
    pairs = [make_pair(seed, size=size) for seed in seeds]
    return tuple(torch.from_numpy(np.stack(parts)) for parts in zip(*pairs, strict=True))  # type: ignore[return-value]


def batches() -> Iterator[Batch]:
    """Two faces at a time, no batch like another."""
    return (batch(2 * i, 2 * i + 1) for i in itertools.count())


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(one: Any, other: Any, where: str = "") -> None:
    """Bit for bit, through nested containers."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{where}.{i}")
    else:
        assert one == other, where


def score(model: nn.Module, faces: Batch) -> float:
    keeper = ScoreKeeper()
    keeper.update(predict_masks([model.eval()], faces[0], image_size=faces[0].shape[1]), faces[1])
    return keeper.scores().f_score


# --- learning ---------------------------------------------------------------------------------------


def test_one_batch_is_overfitted() -> None:
    faces = batch(0, 1, 2, 3, size=48)
    learner = trainer(
        tiny(channels=[24, 32, 48]), steps=150, warmup_steps=5, optimizer={**OPTIMIZER, "lr": 0.02, "clip_norm": 1.0}
    )
    before = score(learner.average.model, faces)
    first = learner.train_epoch(iter([faces]), 1)
    learner.train_epoch(itertools.repeat(faces), 148)
    last = learner.train_epoch(itertools.repeat(faces), 1)
    assert learner.step_count == 150
    assert last.losses["loss"] < first.losses["loss"] / 20
    assert before < 0.3
    assert score(learner.average.model, faces) > 0.95
    assert score(learner.model, faces) > 0.95


def test_an_epoch_reports_what_it_did() -> None:
    seen: list[tuple[int, float]] = []
    learner = trainer(loss=CombinedLoss(ce=1.0, dice=2.0, focal=0.5))
    report = learner.train_epoch(batches(), 3, after_step=lambda pixels, loss: seen.append((pixels, loss)))
    assert isinstance(report, EpochReport)
    assert report.images == 6
    assert report.seconds > 0
    assert report.lr == learning_rate(2, steps=8, warmup_steps=2, peak=0.01, final_ratio=0.1)
    assert [group["lr"] for group in learner.optimizer.param_groups] == [report.lr] * 2
    assert [pixels for pixels, _ in seen] == [2 * 32 * 32] * 3
    assert all(np.isfinite(loss) for _, loss in seen)
    terms = report.losses
    assert set(terms) == {"loss", "ce", "dice", "focal"}
    assert terms["loss"] == pytest.approx(terms["ce"] + 2 * terms["dice"] + 0.5 * terms["focal"], rel=1e-5)


def test_the_reported_loss_is_the_mean_of_the_steps() -> None:
    one, three = trainer(), trainer()
    source = batches()
    single = [one.train_epoch(source, 1).losses["loss"] for _ in range(3)]
    assert three.train_epoch(batches(), 3).losses["loss"] == pytest.approx(float(np.mean(single)), rel=1e-5)


def test_an_epoch_takes_its_batches_and_no_more() -> None:
    source = iter([batch(0, 1), batch(2, 3), batch(4, 5)])
    trainer().train_epoch(source, 2)
    assert len(list(source)) == 1


def test_a_step_moves_weights_and_average() -> None:
    learner = trainer()
    live, averaged = weights(learner.model), weights(learner.average.model)
    learner.model.eval()  # as something before the epoch may have left it
    learner.train_epoch(batches(), 1)
    assert learner.model.training
    assert not learner.average.model.training
    decay = 2 / 11  # of the first update
    for name, value in learner.model.state_dict().items():
        if value.ndim >= 2 or "running" in name or "num_batches" in name:
            assert not torch.equal(value, live[name]), name
        if value.is_floating_point():
            wanted = decay * averaged[name] + (1 - decay) * value
            torch.testing.assert_close(learner.average.model.state_dict()[name], wanted, rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in learner.model.parameters())


def test_large_gradients_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []

    def norm(learner: Trainer) -> Callable[..., None]:
        def step(*args: object, **options: object) -> None:
            grads = [p.grad.norm() for p in learner.model.parameters() if p.grad is not None]
            norms.append(float(torch.stack(grads).norm()))

        return step

    for clip in (0.0, 0.01):
        learner = trainer(optimizer={**OPTIMIZER, "clip_norm": clip})
        monkeypatch.setattr(learner.optimizer, "step", norm(learner))
        learner.train_epoch(batches(), 1)
    free, clipped = norms
    assert free > 0.1
    assert clipped == pytest.approx(0.01, rel=1e-3)


def test_a_teacher_adds_its_divergence() -> None:
    teacher = tiny(7).train()
    nn.init.normal_(teacher.get_parameter("head.1.weight"))
    learner = trainer(teacher=teacher, teacher_weight=2.0)
    before = weights(teacher)
    images, masks = batch(0, 1)
    with torch.no_grad():
        logits = tiny().train()(normalize(images).contiguous(memory_format=torch.channels_last))
        wanted = float(distillation_loss(logits, teacher.eval()(normalize(images))))
    terms = learner.train_epoch(iter([(images, masks)]), 1).losses
    assert set(terms) == {"loss", "ce", "dice", "focal", "teacher"}
    assert terms["teacher"] == pytest.approx(wanted, rel=1e-3)
    total = terms["ce"] + terms["dice"] + 0.5 * terms["focal"] + 2 * terms["teacher"]
    assert terms["loss"] == pytest.approx(total, rel=1e-5)
    assert_same(weights(teacher), before)
    assert all(p.grad is None for p in teacher.parameters())


# --- a loss that is no number -----------------------------------------------------------------------


class Failing(CombinedLoss):
    """Not finite from the given step on."""

    def __init__(self, step: int, value: float) -> None:
        super().__init__()
        self.step, self.value, self.calls = step, value, 0

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        terms = super().forward(logits, target)
        if self.calls >= self.step:
            terms["loss"] = terms["loss"] * self.value
            terms["ce"] = terms["ce"] * self.value
        self.calls += 1
        return terms


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("step", [0, 2])
def test_a_loss_that_is_not_finite_stops_before_the_weights_change(step: int, value: float) -> None:
    wanted, learner = trainer(), trainer(loss=Failing(step, value))
    if step:
        wanted.train_epoch(batches(), step)
    with pytest.raises(NonFiniteLossError, match=f"non-finite at step {step} ") as caught:
        learner.train_epoch(batches(), 5)
    assert "optimizer.lr" in str(caught.value)
    assert f"ce {value:g}" in str(caught.value)
    assert learner.step_count == step
    for (name, ours), theirs in zip(learner.model.named_parameters(), wanted.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name
    assert_same(weights(learner.average.model), weights(wanted.average.model))
    assert_same(learner.optimizer.state_dict()["state"], wanted.optimizer.state_dict()["state"])


def test_weights_that_blew_up_are_noticed() -> None:
    learner = trainer()
    with torch.no_grad():
        learner.model.get_parameter("head.1.weight").fill_(float("inf"))
    with pytest.raises(NonFiniteLossError):
        learner.train_epoch(batches(), 1)


# --- stopping and going on --------------------------------------------------------------------------


def test_a_resumed_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def epoch(learner: Trainer, number: int) -> dict[str, float]:
        torch.manual_seed(number)  # what dropout draws from
        return learner.train_epoch((batch(4 * number + i, 50 + i) for i in itertools.count()), 3).losses

    wanted = trainer(tiny(dropout=0.2), steps=9)
    reports = [epoch(wanted, number) for number in range(3)]

    first = trainer(tiny(dropout=0.2), steps=9)
    assert epoch(first, 0) == reports[0]
    save_checkpoint(
        tmp_path / "last_model.pth", state_dict=first.average.model.state_dict(), model=TINY, image_size=32,
        inference={"scales": [1.0], "flip": False}, track="challenge", scores={}, training={"trainer": first.state()},
    )  # fmt: skip
    epoch(first, 1)  # may not reach into what was saved

    content = load_checkpoint(tmp_path / "last_model.pth")
    second = trainer(tiny(seed=9, dropout=0.2), steps=9)
    second.load_state(content["training"]["trainer"], content["state_dict"])
    assert second.step_count == 3
    assert [epoch(second, number) for number in (1, 2)] == reports[1:]
    assert_same(second.state(), wanted.state())
    assert_same(weights(second.average.model), weights(wanted.average.model))


def test_the_same_seed_trains_the_same_network() -> None:
    one, other, third = trainer(), trainer(), trainer(tiny(1))
    for learner in (one, other, third):
        learner.train_epoch(batches(), 3)
    assert_same(one.state(), other.state())
    assert not torch.equal(one.model.get_parameter("head.1.weight"), third.model.get_parameter("head.1.weight"))


# --- validation -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validation_faces(faces: Path) -> ValidationSet:
    pairs = find_pairs(faces / "train")[:7]
    return ValidationSet(PairStore(pairs, 64, repair=False, limit_bytes=1e9, progress=False))


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network whose predictions differ from face to face."""
    learner = trainer(steps=12, warmup_steps=1)
    learner.train_epoch(batches(), 12)
    return learner.average.model


@pytest.mark.parametrize(("image_size", "batch_size"), [(64, 3), (48, 7), (48, 16), (96, 1)])
def test_validation_is_predicting_and_counting(
    trained: nn.Module, validation_faces: ValidationSet, image_size: int, batch_size: int
) -> None:
    keeper = ScoreKeeper()
    for i in range(len(validation_faces)):
        photo, mask = validation_faces[i]
        keeper.update(predict_masks([trained], photo[None], image_size=image_size), mask[None])
    wanted = keeper.scores()
    found = validate(trained, validation_faces, image_size=image_size, batch_size=batch_size, device=CPU)
    assert found.images == 7
    assert found.summary() == pytest.approx(wanted.summary(), abs=1e-4)
    assert found.f1 == pytest.approx(wanted.f1, abs=1e-3)
    assert 0.05 < found.f_score < 0.95


def test_validation_uses_statistics_and_changes_nothing(trained: nn.Module, validation_faces: ValidationSet) -> None:
    before = weights(trained)
    first = validate(trained, validation_faces, image_size=64, batch_size=4, device=CPU)
    again = validate(trained.train(), validation_faces, image_size=64, batch_size=4, device=CPU)
    assert again == first
    assert not trained.training
    assert_same(weights(trained), before)


def test_training_goes_on_after_a_validation(validation_faces: ValidationSet) -> None:
    predict._mean_and_std.cache_clear()  # so that validation, in inference mode, is the first to make it
    one, other = trainer(), trainer()
    validate(one.average.model, validation_faces, image_size=32, batch_size=4, device=CPU)
    for learner in (one, other):
        learner.train_epoch(batches(), 2)
    assert_same(one.state(), other.state())


def test_nothing_to_validate_on() -> None:
    empty = ValidationSet(PairStore([], 64, repair=False, limit_bytes=1e9, progress=False))
    with pytest.raises(ValueError, match="the validation set is empty"):
        validate(tiny(), empty, image_size=64, batch_size=4, device=CPU)
