"""Batches augmented on the training device: the same pairs in the same order, wherever they lie."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

import train
from face_parsing.augmentation.batch_transforms import BatchAugmentation
from face_parsing.data import device_loader
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import TrainingSet
from face_parsing.data.device_loader import (
    DeviceLoader,
    JoinedSampler,
    augments_on_device,
    build_device_loader,
    fits_on,
    joined_batches,
)
from face_parsing.data.pairs import find_pairs
from face_parsing.data.problems import DataError
from face_parsing.data.sampler import EpochSampler
from face_parsing.models.checkpoint import load_checkpoint
from face_parsing.system.workers import LOADED_AHEAD
from face_parsing.training.trainer import Trainer

CPU = torch.device("cpu")
SOME = {"flip": 0.5, "geometric": 0.5, "rotate": 10.0, "scale": (0.9, 1.1), "shift": 0.05, "color": 0.5,
        "color_strength": 0.2, "grey": 0.1, "noise": 0.3, "occlusion": 0.3}  # fmt: skip
STAGES = [(32, 4), (64, 4), (32, 6)]


@pytest.fixture(scope="module")
def store(faces: Path) -> PairStore:
    return PairStore(find_pairs(faces / "train"), 64, repair=True, limit_bytes=1e9, progress=False)


def sampler(store: PairStore, *, share: tuple[int, int] = (0, 1), first_epoch: int = 0) -> EpochSampler:
    return EpochSampler(
        np.ones(len(store)), seed=3, epochs=3, first_epoch=first_epoch, stage=lambda e: STAGES[e], share=share
    )


def loaded(
    store: PairStore,
    *,
    augmentation: dict[str, Any] | None = SOME,
    workers: int = 0,
    resident: bool = False,
    joined: int = 1,
    **which: Any,
) -> list[tuple[Tensor, Tensor]]:
    dataset = TrainingSet(store, seed=3, augmentation=augmentation)
    batches = None
    if dataset.augmentation is not None:
        batches = BatchAugmentation(seed=3, device=CPU, **dataset.augmentation)
    order = sampler(store, **which)
    loader = DeviceLoader(dataset, order, batches, device=CPU, workers=workers, resident=resident, joined=joined)
    return list(loader)


def assert_same(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> None:
    assert len(one) == len(other) > 0
    for first, second in zip(one, other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_without_augmentation_both_loaders_give_the_same(store: PairStore) -> None:
    dataset = TrainingSet(store, seed=3, augmentation=None)
    expected = []
    for keys in sampler(store):
        images, masks = zip(*(dataset[key] for key in keys), strict=True)
        expected.append((torch.stack(images), torch.stack(masks)))
    assert [len(masks) for _, masks in expected] == [4, 4, 4, 4, 4, 4, 6, 6]
    ours = loaded(store, augmentation=None)
    for (images, masks), (others, ids) in zip(ours, expected, strict=True):
        assert torch.equal(masks, ids)
        assert (images.int() - others.int()).abs().max() <= 1


@pytest.mark.parametrize(
    "borrowed", [{}, {"paste": 1.0}, {"retexture": 0.5}, {"hood": 0.5}, {"people": 0.5}, {"degrade": 0.5}]
)
def test_neither_workers_nor_where_pairs_lie_change_anything(
    store: PairStore, faces: Path, borrowed: dict[str, float]
) -> None:
    augmentation = {**SOME, **borrowed}
    plain = loaded(store, augmentation=augmentation)
    assert_same(plain, loaded(store, augmentation=augmentation, workers=2))
    assert_same(plain, loaded(store, augmentation=augmentation, resident=True))
    uncached = PairStore(find_pairs(faces / "train"), 64, repair=True, limit_bytes=0, progress=False)
    assert not uncached.cached
    assert_same(plain, loaded(uncached, augmentation=augmentation, workers=2))


@pytest.mark.parametrize(("key", "part"), [("paste", 1), ("retexture", 0), ("hood", 1), ("people", 1), ("degrade", 0)])
def test_what_comes_of_other_faces_or_poor_cameras_comes_before_the_rest(store: PairStore, key: str, part: int) -> None:
    nothing: dict[str, Any] = {
        **SOME,
        **dict.fromkeys(("flip", "geometric", "color", "grey", "noise", "occlusion"), 0.0),
    }
    dataset = TrainingSet(store, seed=3, augmentation={**nothing, key: 1.0})
    composite = 0
    for resident in (False, True):
        batches = iter(loaded(store, augmentation={**nothing, key: 1.0}, resident=resident))
        for keys in sampler(store):
            images, masks = next(batches)
            for sample, *pair in zip(keys, images, masks, strict=True):
                if sample[2] == store.size:
                    assert all(torch.equal(a, b) for a, b in zip(pair, dataset[sample], strict=True))
                    composite += not np.array_equal(pair[part].numpy(), store[sample[1]][part])
    assert composite > 1


def test_shares_of_the_processes_make_up_the_batches(store: PairStore) -> None:
    whole, shares = loaded(store), [loaded(store, share=(rank, 2)) for rank in range(2)]
    pieced = [
        (torch.cat([images, others]), torch.cat([masks, ids]))
        for (images, masks), (others, ids) in zip(*shares, strict=True)
    ]
    assert_same(whole, pieced)


@pytest.mark.parametrize("joined", [2, 3, 100])
def test_batches_that_are_made_at_once_are_no_others(store: PairStore, joined: int) -> None:
    augmentation = {**SOME, "paste": 0.5}
    alone = loaded(store, augmentation=augmentation)
    for resident, workers in ((False, 0), (True, 0), (False, 2)):
        assert_same(loaded(store, augmentation=augmentation, resident=resident, workers=workers, joined=joined), alone)


def test_batches_of_one_size_are_joined(store: PairStore) -> None:
    found = list(JoinedSampler(sampler(store), 2))
    # Epochs of three batches of 4, at 32 and at 64 px, and of two batches of 6 at 32.
    assert [len(batches) for batches in found] == [2, 1, 2, 1, 2]
    assert [keys for batches in found for keys in batches] == list(sampler(store))
    assert all(len({size for keys in batches for *_, size in keys}) == 1 for batches in found)


def test_a_gpu_joins_as_many_batches_as_shared_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_loader, "shared_room", lambda batch_bytes: 64 // batch_bytes)
    gpu = torch.device("cuda")
    assert [joined_batches(gpu, size) for size in (1, 8, 10, 20, 70)] == [4, 4, 3, 1, 1]
    assert joined_batches(gpu, 8, processes=2) == 2
    assert joined_batches(CPU, 1) == 1


def test_a_resumed_loader_gives_the_rest_exactly(store: PairStore) -> None:
    assert_same(loaded(store)[3:], loaded(store, first_epoch=1))


def test_it_works_ahead_but_not_far_and_ends_its_processes(store: PairStore) -> None:
    taken: list[int] = []

    class Counting(EpochSampler):
        def __iter__(self) -> Iterator[Any]:
            for number, keys in enumerate(super().__iter__()):
                taken.append(number)
                yield keys

    counting = Counting(np.ones(12), seed=0, epochs=50, first_epoch=0, stage=lambda _: (32, 4))
    dataset = TrainingSet(store, seed=0, augmentation=None)
    before = set(multiprocessing.active_children())
    batches = iter(DeviceLoader(dataset, counting, None, device=CPU, workers=2, resident=False))
    assert len(list(islice(batches, 2))) == 2
    workers = set(multiprocessing.active_children()) - before
    assert len(workers) == 2
    assert len(taken) <= 2 + 1 + 2 * LOADED_AHEAD
    cast(Any, batches).close()
    for worker in workers:
        worker.join(10)  # a busy machine takes a while to end one
    assert not any(worker.is_alive() for worker in workers)


def test_a_pair_that_vanishes_is_named(faces: Path, tmp_path: Path) -> None:
    shutil.copytree(faces / "train", tmp_path / "train")
    pairs = find_pairs(tmp_path / "train")
    uncached = PairStore(pairs, 64, repair=True, limit_bytes=0, progress=False)
    pairs[5].image.unlink()
    with pytest.raises(DataError, match=pairs[5].image.name):
        loaded(uncached)


def test_which_loader_is_chosen(store: PairStore) -> None:
    gpu = torch.device("cuda")
    uncached = cast(PairStore, SimpleNamespace(cached=False))
    choices = {
        (where, device.type, one.cached): augments_on_device(where, device, one)
        for where in ("auto", "workers", "device")
        for device in (CPU, gpu)
        for one in (store, uncached)
    }
    assert [key for key, chosen in choices.items() if chosen] == [
        ("auto", "cuda", True),
        *(("device", device, cached) for device in ("cpu", "cuda") for cached in (True, False)),
    ]


def test_pairs_stay_on_a_gpu_that_has_room(store: PairStore, monkeypatch: pytest.MonkeyPatch) -> None:
    need = 12 * 64 * 64 * 4
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2 * need, 10 * need))
    gpu = torch.device("cuda")
    assert fits_on(gpu, store, 0.5)
    assert not fits_on(gpu, store, 0.49)
    assert not fits_on(CPU, store, 1.0)
    dataset = TrainingSet(store, seed=0, augmentation={**SOME, "paste": 0.5})
    loader = build_device_loader(dataset, sampler(store), device=CPU, workers=0, resident_share=1.0)
    assert not loader.resident
    assert len(list(islice(loader, 1))) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("paste", [0.0, 0.5])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_gpu_gives_the_same_batches_while_it_works(store: PairStore, paste: float, share: float) -> None:
    augmentation = {**SOME, "paste": paste}
    dataset = TrainingSet(store, seed=3, augmentation=augmentation)
    gpu = torch.device("cuda")
    loader = build_device_loader(dataset, sampler(store), device=gpu, workers=2, resident_share=share, joined=3)
    assert loader.resident == bool(share)
    busy = torch.randn(4096, 4096, device="cuda")
    found = []
    for images, masks in loader:
        assert images.device.type == masks.device.type == "cuda"
        copies = images.clone(), masks.clone()  # before the step, which is queued, and after it
        for _ in range(20):
            busy = torch.tanh(busy @ busy)
        found.append((*copies, images.clone(), masks.clone()))
        del images, masks
    for expected, (images, masks, later, ids) in zip(loaded(store, augmentation=augmentation), found, strict=True):
        assert torch.equal(images, later)
        assert torch.equal(masks, ids)
        assert (expected[0].int() - images.cpu().int()).abs().float().mean() < 0.1
        assert (expected[1] == masks.cpu()).float().mean() > 0.999


# --- a training ---------------------------------------------------------------------------------------


@pytest.fixture
def config_file(tmp_path: Path, faces: Path, write_tiny: Callable[..., Path]) -> Path:
    run = {"panel_faces": 0, "device": "cpu", "augment_on": "device"}
    augmentation = {"noise": 0.5, "paste": 0.5, "people": 0.5, "degrade": 0.5}
    return write_tiny(tmp_path / "tiny.yaml", faces, epochs=(1, 2), augmentation=augmentation, run=run)


def test_a_run_resumes_bit_for_bit(
    config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(output: Path, *words: str, also: str = "run.threads=1") -> int:
        return train.main(["--config", str(config_file), "--set", f"run.output={output}", also, *words])

    def weights(output: Path) -> dict[str, Tensor]:
        content = load_checkpoint(output / "checkpoints" / "last_model.pth")
        return {**content["training"]["trainer"]["model"], **{f"ema {k}": v for k, v in content["state_dict"].items()}}

    whole, parted, other = tmp_path / "whole", tmp_path / "parted", tmp_path / "other"
    assert start(whole) == 0
    assert "augmented on the cpu" in capsys.readouterr().out
    update = Trainer._update

    def interrupted(self: Trainer, loss: Tensor) -> None:
        update(self, loss)
        if self.step_count == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", interrupted)
        assert start(parted) == 130
    assert start(parted, "--resume", also="run.workers=2") == 0
    expected = weights(whole)
    assert all(torch.equal(value, expected[name]) for name, value in weights(parted).items())
    assert start(other, also="run.augment_on=workers") == 0
    assert any(not torch.equal(value, expected[name]) for name, value in weights(other).items())
    assert start(whole, "--resume", also="run.augment_on=workers") == 2
    assert "run.augment_on: was 'device', now 'workers'" in capsys.readouterr().err
