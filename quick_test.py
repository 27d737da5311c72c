"""Is everything in place? ``python quick_test.py`` tries each part once, in under a minute on a CPU.

It prints the default network's parameters against the challenge's limit, then PASS or what failed (exit code 1).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

import torch

from face_parsing.challenge import PARAMETER_LIMIT
from face_parsing.config.loading import load_config
from face_parsing.evaluation.metrics import ScoreKeeper
from face_parsing.inference.predict import normalize, predict_masks
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model, count_parameters
from face_parsing.models.checkpoint import load_checkpoint, restore_model, save_checkpoint
from face_parsing.synthetic.dataset import make_pair
from face_parsing.training.fused_loss import CombinedLoss

SIZE = 128


class Check:
    """The parts, in the order in which each needs those before it."""

    def __init__(self) -> None:
        default = Path(__file__).resolve().parent / "configs" / "default.yaml"
        self.config = load_config(default)
        self.description = self.config.to_dict()["model"]
        torch.manual_seed(0)

    def network(self) -> str:
        """Build the default network and count its parameters."""
        self.model = build_model(self.description, NUM_CLASSES)
        count = count_parameters(self.model)
        if count >= PARAMETER_LIMIT:
            raise ValueError(f"{count:,} parameters; the challenge wants fewer than {PARAMETER_LIMIT:,}")
        return f"{count:,} parameters, limit {PARAMETER_LIMIT:,}, margin {PARAMETER_LIMIT - count:,}"

    def forward(self) -> str:
        """Logits of two synthetic faces."""
        pairs = [make_pair(seed, size=SIZE) for seed in (0, 1)]
        self.photos = torch.stack([torch.from_numpy(photo) for photo, _ in pairs])
        self.masks = torch.stack([torch.from_numpy(mask) for _, mask in pairs])
        self.logits = self.model(normalize(self.photos))
        expected = (2, NUM_CLASSES, SIZE, SIZE)
        if self.logits.shape != expected:
            raise ValueError(f"logits of shape {tuple(self.logits.shape)}, expected {expected}")
        return f"{tuple(self.photos.shape)} photos to {expected} logits"

    def loss_and_backward(self) -> str:
        """The combined loss and its gradients."""
        loss = self.config.loss
        criterion = CombinedLoss(ce=loss.ce, dice=loss.dice, focal=loss.focal, label_smoothing=loss.label_smoothing)
        terms = criterion(self.logits, self.masks.long())
        terms["loss"].backward()
        lost = [name for name, p in self.model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        if lost:
            raise ValueError(f"no finite gradient for {', '.join(lost)}")
        return ", ".join(f"{name} {value.item():.3f}" for name, value in terms.items())

    def metric(self) -> str:
        """A perfect prediction scores 1, an empty one little."""
        figures = []
        for prediction in (self.masks, torch.zeros_like(self.masks)):
            keeper = ScoreKeeper()
            keeper.update(prediction, self.masks)
            figures.append(keeper.scores().f_score)
        if abs(figures[0] - 1) > 1e-6 or figures[1] > 0.2:
            raise ValueError(f"F-Score {figures[0]:.4f} for the truth itself and {figures[1]:.4f} for background alone")
        return f"F-Score {figures[0]:.4f} for the truth itself, {figures[1]:.4f} for background alone"

    def save_and_load(self) -> str:
        """A checkpoint gives back the same network."""
        inference = self.config.to_dict()["inference"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pth"
            save_checkpoint(
                path,
                state_dict=self.model.state_dict(),
                model=self.description,
                image_size=SIZE,
                inference=inference,
                track=self.config.track,
                scores={},
            )
            size = path.stat().st_size
            loaded = restore_model(load_checkpoint(path), path)
        masks = [predict_masks([m], self.photos, image_size=SIZE) for m in (self.model.eval(), loaded)]
        if not torch.equal(*masks):
            raise ValueError("the loaded network predicts another mask than the saved one")
        return f"{size / 1e6:.1f} MB, same masks after loading"


def main() -> int:
    """Run all checks; 0 where all passed, else 1."""
    start = time.perf_counter()
    print(f"torch {torch.__version__}, {'GPU ' + torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}")
    check = Check()
    steps: list[Callable[[], str]] = [
        check.network,
        check.forward,
        check.loss_and_backward,
        check.metric,
        check.save_and_load,
    ]
    for step in steps:
        name = step.__name__.replace("_", " ")
        try:
            print(f"{name:<18} {step()}", flush=True)
        except Exception as error:  # whatever fails is what this command is there to tell
            print(f"FAIL: {name}: {type(error).__name__}: {error}")
            return 1
    print(f"PASS in {time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
