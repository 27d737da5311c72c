"""The loader: workers change nothing, repeat nothing, read nothing again, and are missed when they die."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pair_files import same, store, training_set
from torch import Tensor

from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import ValidationSet
from face_parsing.data.loader import batches_of, build_loader
from face_parsing.data.pairs import find_pairs
from face_parsing.data.sampler import EpochSampler
from face_parsing.system.workers import is_dead_worker


@pytest.mark.parametrize("error", [ConnectionResetError("reset by peer"), EOFError()])
def test_a_loader_process_that_dies_handing_over_a_batch_is_told(error: Exception) -> None:
    class Loader:
        def __iter__(self) -> Iterator[None]:
            raise error
            yield

    with pytest.raises(RuntimeError, match="DataLoader worker is gone") as raised:
        next(batches_of(Loader()))  # type: ignore[arg-type]
    assert is_dead_worker(raised.value)


def loaded(pairs: PairStore, workers: int, *, first_epoch: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Every batch of two epochs of 64 px and one of 96 px."""
    order = EpochSampler(
        np.ones(len(pairs)), seed=0, epochs=3, first_epoch=first_epoch, stage=lambda e: (64 if e < 2 else 96, 4)
    )
    return [(image, mask) for image, mask in build_loader(training_set(pairs), order, workers=workers, pin=False)]


def test_workers_change_nothing(cached: PairStore) -> None:
    alone, shared = loaded(cached, 0), loaded(cached, 2)
    assert len(alone) == len(shared) == 9
    assert [tuple(images.shape) for images, _ in alone] == [(4, 64, 64, 3)] * 6 + [(4, 96, 96, 3)] * 3
    assert all(same(one, other) for one, other in zip(alone, shared, strict=True))
    resumed = loaded(cached, 2, first_epoch=1)
    assert len(resumed) == 6
    assert all(same(one, other) for one, other in zip(alone[3:], resumed, strict=True))


def test_neither_workers_nor_epochs_repeat_a_draw(faces: Path) -> None:
    repeated = store(find_pairs(faces / "train")[:1] * 8)
    batches = loaded(repeated, 2)
    looks = [image.numpy().tobytes() for images, _ in batches for image in images]
    assert len(looks) == 24
    assert len(set(looks)) == 24


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loaded_training_set_reads_no_file_again(
    cached: PairStore, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("a pair was read from its files again")

    for place in ("cache.read_pair", "pairs.read_mask", "pairs.read_photo"):
        monkeypatch.setattr(f"face_parsing.data.{place}", refuse)
    assert len(loaded(cached, workers)) == 9
    assert len(ValidationSet(cached)[0]) == 2
