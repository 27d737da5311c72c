"""The second way to a training's batches: whole ones, resized and augmented on the device that trains.

Worker processes with albumentations cannot feed a fast GPU. Here they only gather the decoded pairs of the next
batches, or their numbers alone where the pairs lie on the device already, and make the few pairs that get something
of another face; the device does the rest ahead, beside the step, for some batches at once: starting its kernels takes
Python longer than a batch's step takes a fast GPU. The order is the sampler's, and what a pair gets depends on
(seed, epoch, index) alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from face_parsing.augmentation.batch_transforms import BatchAugmentation, Draws
from face_parsing.augmentation.image_ops import resize_batch
from face_parsing.data.cache import PairStore
from face_parsing.data.dataset import Batch, TrainingSet
from face_parsing.data.loader import batches_of, build_loader
from face_parsing.data.sampler import EpochSampler, SampleKey
from face_parsing.system.workers import LOADED_AHEAD, shared_room


def augments_on_device(augment_on: str, device: torch.device, store: PairStore) -> bool:
    """Whether the config's run.augment_on means this loader: auto does on a GPU where the pairs are decoded once."""
    return augment_on == "device" or (augment_on == "auto" and device.type == "cuda" and store.cached)


def fits_on(device: torch.device, store: PairStore, share: float) -> bool:
    """Whether the decoded pairs are in memory and take no more than a share of the GPU's free memory."""
    if device.type != "cuda" or not store.cached:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(store) * store.size**2 * 4 <= share * free


JOINED = 4
"""Batches that a GPU augments at once."""


def joined_batches(device: torch.device, batch_bytes: int, *, processes: int = 1) -> int:
    """JOINED on a GPU, as far as shared memory has room for what loader processes then hand over; else 1."""
    if device.type != "cuda":
        return 1
    return max(1, min(JOINED, shared_room(batch_bytes) // (processes * LOADED_AHEAD)))


class JoinedSampler(Sampler[list[list[SampleKey]]]):
    """The batches of a sampler, ``count`` at a time; fewer where the image size changes, or at the end."""

    def __init__(self, sampler: EpochSampler, count: int) -> None:
        self.sampler = sampler
        self.count = count

    def __iter__(self) -> Iterator[list[list[SampleKey]]]:
        joined: list[list[SampleKey]] = []
        for keys in self.sampler:
            if joined and keys[0][2] != joined[0][0][2]:
                yield joined
                joined = []
            joined.append(keys)
            if len(joined) == self.count:
                yield joined
                joined = []
        if joined:
            yield joined


@dataclass(frozen=True)
class Gathered:
    """Several batches as a loader process hands them over; ``lengths`` says how many pairs each has.

    ``indices`` (B,) says which pairs these are.

    ``rounding`` (B, 2) is ``resize_batch``'s. ``whole`` are all images (B, S, S, 3) and masks (B, S, S), unless
    they lie on the device already. ``composite``, images (n, size, size, 3) and masks (n, size, size), are those of the
    ``rows`` (n,) that got something of another.
    """

    lengths: list[int]
    size: int
    draws: Draws | None
    indices: Tensor
    rounding: Tensor
    whole: Batch | None
    rows: Tensor
    composite: Batch

    def pin_memory(self) -> Gathered:
        """Itself in pinned memory, as torch's loader asks for it: copies to a GPU from there are not waited for."""

        def pinned(tensor: Tensor) -> Tensor:
            return tensor.pin_memory() if len(tensor) else tensor

        images, masks = self.composite
        return dataclasses.replace(
            self,
            indices=pinned(self.indices),
            rounding=pinned(self.rounding),
            whole=None if self.whole is None else (pinned(self.whole[0]), pinned(self.whole[1])),
            rows=pinned(self.rows),
            composite=(pinned(images), pinned(masks)),
        )


def _stacked(pairs: Sequence[tuple[np.ndarray, np.ndarray]], size: int) -> Batch:
    images = np.empty((len(pairs), size, size, 3), np.uint8)
    masks = np.empty((len(pairs), size, size), np.uint8)
    for place, (image, mask) in enumerate(pairs):
        images[place], masks[place] = image, mask
    return torch.from_numpy(images), torch.from_numpy(masks)


class GatheringSet(Dataset[Gathered]):
    """``dataset[batches]`` gathers the pairs of those keys; in loader processes too, which never touch a GPU.

    ``resident``: all pairs lie on the device.
    """

    def __init__(self, dataset: TrainingSet, augmentation: BatchAugmentation | None, *, resident: bool) -> None:
        self.dataset = dataset
        self.augmentation = augmentation
        self.resident = resident

    def __getitem__(self, batches: list[list[SampleKey]]) -> Gathered:
        keys = [key for batch in batches for key in batch]
        store, size = self.dataset.store, keys[0][2]
        pairs = [self.dataset.composite(key) for key in keys]
        composite = {row: pair for row, pair in enumerate(pairs) if pair is not None}
        return Gathered(
            lengths=[len(batch) for batch in batches],
            size=size,
            draws=self.augmentation.draw(keys) if self.augmentation is not None else None,
            indices=torch.tensor([index for _, index, _ in keys]),
            rounding=torch.tensor([self.dataset.rounding(key) for key in keys]),
            whole=None if self.resident else _stacked([store[index] for _, index, _ in keys], store.size),
            rows=torch.tensor(list(composite), dtype=torch.int64),
            composite=_stacked(list(composite.values()), size),
        )


class DeviceLoader:
    """Batches of all the sampler's epochs, images (B, size, size, 3) and masks (B, size, size), uint8 on the device.

    ``resident`` copies all pairs to the device first; otherwise each batch is copied, on a GPU from pinned memory.
    Without ``augmentation`` pairs are only resized. ``workers`` are loader processes; 0: this one gathers. ``joined``
    batches are made at once, which changes nothing in them.
    Iterating raises what ``batches_of`` raises: DataError where a pair cannot be read again.
    """

    def __init__(
        self,
        dataset: TrainingSet,
        sampler: EpochSampler,
        augmentation: BatchAugmentation | None,
        *,
        device: torch.device,
        workers: int,
        resident: bool,
        joined: int = 1,
    ) -> None:
        self.augmentation = augmentation
        self.device = device
        self.resident = resident
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._loader = build_loader(
            GatheringSet(dataset, augmentation, resident=resident),
            JoinedSampler(sampler, joined),
            workers=workers,
            pin=self._stream is not None,
            whole_batches=True,
        )
        self._stacks = self._upload(dataset.store) if resident else None

    def _upload(self, store: PairStore) -> Batch:
        images = torch.empty((len(store), store.size, store.size, 3), dtype=torch.uint8, device=self.device)
        masks = torch.empty((len(store), store.size, store.size), dtype=torch.uint8, device=self.device)
        for i in range(len(store)):
            image, mask = store[i]
            images[i].copy_(torch.from_numpy(image))
            masks[i].copy_(torch.from_numpy(mask))
        return images, masks

    def _finish(self, gathered: Gathered) -> list[Batch]:
        def there(tensor: Tensor) -> Tensor:
            return tensor.to(self.device, non_blocking=True)

        if gathered.whole is not None:
            images, masks = map(there, gathered.whole)
        elif self._stacks is not None:
            indices = there(gathered.indices)
            images, masks = (stack.index_select(0, indices) for stack in self._stacks)
        images, masks = resize_batch(images, masks, gathered.size, there(gathered.rounding))
        if len(gathered.rows):
            rows = there(gathered.rows)
            images, masks = (
                batch.index_copy(0, rows, there(part))
                for batch, part in zip((images, masks), gathered.composite, strict=True)
            )
        if self.augmentation is not None and gathered.draws is not None:
            images, masks = self.augmentation(images, masks, gathered.draws)
        return list(zip(*(torch.split(part, gathered.lengths) for part in (images, masks)), strict=True))

    def _ahead(self, gathered: Gathered) -> tuple[list[Batch], torch.cuda.Event | None]:
        """Batches in the making, and on a GPU the event that they are made."""
        if self._stream is None:
            return self._finish(gathered), None
        with torch.cuda.stream(self._stream):
            batches = self._finish(gathered)
            return batches, self._stream.record_event()

    def _hand_over(self, batches: list[Batch], made: torch.cuda.Event | None) -> list[Batch]:
        """The batches for the stream that trains, which alone waits for them."""
        if made is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(made)
            for batch in batches:
                for tensor in batch:
                    tensor.record_stream(stream)  # its memory is not to be used anew before the step has read it
        return batches

    def __iter__(self) -> Iterator[Batch]:
        return self._batches(batches_of(self._loader))

    def _batches(self, gathering: Iterator[Gathered]) -> Iterator[Batch]:
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        made: tuple[list[Batch], torch.cuda.Event | None] | None = None
        for gathered in gathering:
            following = self._ahead(gathered)
            if made is not None:
                yield from self._hand_over(*made)
            made = following
        if made is not None:
            yield from self._hand_over(*made)


def build_device_loader(
    dataset: TrainingSet,
    sampler: EpochSampler,
    *,
    device: torch.device,
    workers: int,
    resident_share: float,
    joined: int = 1,
) -> DeviceLoader:
    """The loader of a training set, augmented as it would do it, which keeps the pairs on a GPU where they fit."""
    options = dataset.augmentation
    batches = None if options is None else BatchAugmentation(seed=dataset.seed, device=device, **options)
    resident = fits_on(device, dataset.store, resident_share)
    return DeviceLoader(dataset, sampler, batches, device=device, workers=workers, resident=resident, joined=joined)
