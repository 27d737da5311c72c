"""Steps that a GPU replays do what steps do that are started kernel by kernel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from face_parsing.data.dataset import Batch
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.synthetic.dataset import make_pair
from face_parsing.training.cuda_graph import WARM_UPS, CudaGraphStep
from face_parsing.training.fused_loss import CombinedLoss
from face_parsing.training.schedule import Cycles
from face_parsing.training.trainer import NonFiniteLossError, Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

OPTIMIZER: dict[str, Any] = {
    "name": "muon", "muon_scale": 0.5, "head_lr_scale": 6.0,
    "lr": 0.003, "weight_decay": 0.02, "betas": (0.9, 0.99), "clip_norm": 1.0, "ema_decay": 0.9,
}  # fmt: skip
STEPS = WARM_UPS + 5


def learner(*, record: bool, model: nn.Module | None = None, precision: torch.dtype = torch.float32) -> Trainer:
    torch.manual_seed(0)
    network = build_model(
        {"name": "light_unet", "channels": [16, 24, 32], "space_to_depth": 2, "dropout": 0.0}, NUM_CLASSES
    )
    return Trainer(
        model or network,
        CombinedLoss(label_smoothing=0.05),
        device=torch.device("cuda"),
        precision=precision,
        channels_last=True,
        compile_model=False,
        cuda_graph=record,
        optimizer=OPTIMIZER,
        cycles=Cycles([4 * STEPS], [OPTIMIZER["lr"]], warmup_steps=2, final_ratio=0.01),
    )


def batches(*, size: int = 64, on: str = "cuda") -> Iterator[Batch]:
    """Two faces at a time, no batch like another."""
    for i in itertools.count():
        pairs = [make_pair(2 * i + k, size=size) for k in range(2)]
        image, mask = (torch.from_numpy(np.stack(parts)) for parts in zip(*pairs, strict=True))
        yield image.to(on), mask.to(on)


def losses(trainer: Trainer, stream: Iterator[Batch], steps: int = STEPS) -> Tensor:
    """Of each step, (steps, terms)."""
    return torch.tensor([list(trainer.train_epoch(stream, 1).losses.values()) for _ in range(steps)])


@pytest.fixture(autouse=True)
def whole_floats() -> Iterator[None]:
    """fp32 is fp32: what is compared are the steps."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def is_recorded(trainer: Trainer) -> bool:
    step = trainer._take
    return isinstance(step, CudaGraphStep) and step._graph is not None


def flat(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


@pytest.mark.parametrize("on", ["cuda", "cpu"])
def test_recorded_steps_learn_what_others_learn(on: str) -> None:
    wanted, found = learner(cuda_graph=False), learner(cuda_graph=True)
    # Of two sizes, as a training's stages have them, and back: each is recorded anew.
    for size in (64, 96, 64):
        expected = losses(wanted, batches(size=size, on=on))
        assert not is_recorded(wanted)
        torch.testing.assert_close(losses(found, batches(size=size, on=on)), expected, rtol=2e-2, atol=2e-3)
        assert is_recorded(found)
    assert found.optimizer.param_groups[0]["lr"] == wanted.optimizer.param_groups[0]["lr"]
    assert found.optimizer.param_groups[0]["capturable"] is False
    start = flat(learner(cuda_graph=False).model)
    for ours, theirs in ((found.model, wanted.model), (found.average.model, wanted.average.model)):
        # Not to the last bit, as a GPU adds up in any order, and Muon makes much of little.
        assert (flat(ours) - flat(theirs)).norm() < 0.2 * (flat(theirs) - start).norm()


def test_the_rate_of_a_replayed_step_is_the_one_of_its_time() -> None:
    trainer = learner(cuda_graph=True)
    losses(trainer, batches())
    assert is_recorded(trainer)
    trainer.schedule["steps"] = 1  # long over: at the last rate
    trainer.schedule["final_ratio"] = 0.0
    before = [weight.clone() for weight in trainer.model.parameters()]
    losses(trainer, batches(), 3)
    for weight, was in zip(trainer.model.parameters(), before, strict=True):
        assert torch.equal(weight, was)


def test_bf16_is_recorded_and_learns() -> None:
    trainer = learner(cuda_graph=True, precision=torch.bfloat16)
    found = losses(trainer, itertools.repeat(next(batches())), 40)
    assert is_recorded(trainer)
    assert found[-1, 0] < 0.8 * found[0, 0]


def test_dropout_draws_anew_at_each_replay_and_by_the_seed() -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return build_model(
            {"name": "light_unet", "channels": [16, 24], "space_to_depth": 2, "dropout": 0.5}, NUM_CLASSES
        )

    trainer = learner(cuda_graph=True, model=network())
    trainer.cycles = Cycles([1], [OPTIMIZER["lr"]], warmup_steps=0, final_ratio=0.0)
    same = itertools.repeat(next(batches()))
    losses(trainer, same)
    assert is_recorded(trainer)
    torch.manual_seed(7)
    first = losses(trainer, same, 3)
    torch.manual_seed(7)
    torch.testing.assert_close(losses(trainer, same, 3), first)
    assert len(set(first[:, 0].tolist())) == 3


class Waiting(nn.Module):
    """A network that waits for the GPU, and so cannot be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, NUM_CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        found: Tensor = self.layer(image)
        return found * (1 + float(image.mean() > 1e6))


def test_a_network_that_cannot_be_recorded_is_trained_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    wanted, found = learner(cuda_graph=False, model=Waiting()), learner(cuda_graph=True, model=Waiting())
    found.model.load_state_dict(wanted.model.state_dict())
    found.average.model.load_state_dict(wanted.model.state_dict())
    torch.testing.assert_close(losses(found, batches()), losses(wanted, batches()), rtol=1e-4, atol=1e-5)
    assert not is_recorded(found)
    assert capsys.readouterr().err.count("CUDA graphs are off") == 1


def test_a_loss_that_is_none_is_noticed_in_a_replayed_step() -> None:
    trainer = learner(cuda_graph=True)
    losses(trainer, batches())
    with torch.no_grad():
        trainer.model.get_parameter("head.1.weight").fill_(float("inf"))
    with pytest.raises(NonFiniteLossError):
        trainer.train_epoch(batches(), 3)


def test_fp16_whose_scaler_waits_is_not_recorded() -> None:
    trainer = learner(cuda_graph=True, precision=torch.float16)
    assert torch.isfinite(losses(trainer, batches())).all()
    assert not is_recorded(trainer)
