"""The second way to a training's batches: whole ones, resized and augmented on the device that trains.

Worker processes with albumentations cannot feed a fast GPU from two cores. Here threads gather the decoded pairs of
the next batches, or only their numbers where the pairs lie on the device already, and the device does the rest one
batch ahead, beside the step. The order is the sampler's, and what a pair gets depends on (seed, epoch, index) alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from batch_transforms import BatchAugmentation, Draws, resize_batch
from dataset import Batch, EpochSampler, PairStore, SampleKey, TrainingSet

MOST_THREADS = 4
"""More would contend with the thread that starts the device's work for Python's lock."""


def is_chosen(augment_on: str, device: torch.device, store: PairStore) -> bool:
    """Whether the config's run.augment_on means this loader: auto does on a GPU where the pairs are decoded once."""
    return augment_on == "device" or (augment_on == "auto" and device.type == "cuda" and store.cached)


def fits_on(device: torch.device, store: PairStore, share: float) -> bool:
    """Whether the decoded pairs are in memory and take no more than a share of the GPU's free memory."""
    if device.type != "cuda" or not store.cached:
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(store) * store.size**2 * 4 <= share * free


@dataclass(frozen=True)
class Gathered:
    """A batch before the device has it: the ``indices`` (B,) of its pairs, and what they get.

    ``other_side`` (B, 2) is ``resize_batch``'s. ``whole`` are all its images (B, S, S, 3) and masks (B, S, S), unless
    they lie on the device already. ``altered``, images (n, size, size, 3) and masks (n, size, size), are those of its
    ``rows`` (n,) that got something of another.
    """

    size: int
    draws: Draws | None
    indices: Tensor
    other_side: Tensor
    whole: Batch | None
    rows: Tensor
    altered: Batch


class DeviceLoader:
    """Batches of all the sampler's epochs, images (B, size, size, 3) and masks (B, size, size), uint8 on the device.

    ``resident`` copies all pairs to the device first; otherwise each batch is copied, on a GPU from pinned memory.
    Without ``augmentation`` pairs are only resized. Iterating raises DataError where a pair cannot be read again.
    """

    def __init__(
        self,
        dataset: TrainingSet,
        sampler: EpochSampler,
        augmentation: BatchAugmentation | None,
        *,
        device: torch.device,
        threads: int,
        resident: bool,
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.augmentation = augmentation
        self.device = device
        self.threads = threads
        self._stacks = self._upload() if resident else None
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def _upload(self) -> Batch:
        store = self.dataset.store
        images = torch.empty((len(store), store.size, store.size, 3), dtype=torch.uint8, device=self.device)
        masks = torch.empty((len(store), store.size, store.size), dtype=torch.uint8, device=self.device)
        for i in range(len(store)):
            image, mask = store[i]
            images[i].copy_(torch.from_numpy(image))
            masks[i].copy_(torch.from_numpy(mask))
        return images, masks

    @property
    def resident(self) -> bool:
        """Whether all pairs lie on the device."""
        return self._stacks is not None

    def _pinned(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory() if self._stream is not None and len(tensor) else tensor

    def _stacked(self, pairs: Sequence[tuple[np.ndarray, np.ndarray]], size: int) -> Batch:
        pin = self._stream is not None and len(pairs) > 0
        images = torch.empty((len(pairs), size, size, 3), dtype=torch.uint8, pin_memory=pin)
        masks = torch.empty((len(pairs), size, size), dtype=torch.uint8, pin_memory=pin)
        for place, (image, mask) in enumerate(pairs):
            images.numpy()[place], masks.numpy()[place] = image, mask
        return images, masks

    def _gather(self, keys: list[SampleKey]) -> Gathered:
        """What the device needs of a batch. Runs in a thread."""
        store, size = self.dataset.store, keys[0][2]
        pairs = [self.dataset.altered(key) for key in keys]
        altered = {row: pair for row, pair in enumerate(pairs) if pair is not None}
        return Gathered(
            size=size,
            draws=self.augmentation.draw(keys) if self.augmentation is not None else None,
            indices=self._pinned(torch.tensor([index for _, index, _ in keys])),
            other_side=self._pinned(torch.tensor([self.dataset.other_side(key) for key in keys])),
            whole=None if self.resident else self._stacked([store[index] for _, index, _ in keys], store.size),
            rows=self._pinned(torch.tensor(list(altered), dtype=torch.int64)),
            altered=self._stacked(list(altered.values()), size),
        )

    def _finish(self, gathered: Gathered) -> Batch:
        def there(tensor: Tensor) -> Tensor:
            return tensor.to(self.device, non_blocking=True)

        if gathered.whole is not None:
            images, masks = map(there, gathered.whole)
        elif self._stacks is not None:
            indices = there(gathered.indices)
            images, masks = (stack.index_select(0, indices) for stack in self._stacks)
        images, masks = resize_batch(images, masks, gathered.size, there(gathered.other_side))
        if len(gathered.rows):
            rows = there(gathered.rows)
            images, masks = (
                batch.index_copy(0, rows, there(part))
                for batch, part in zip((images, masks), gathered.altered, strict=True)
            )
        if self.augmentation is not None and gathered.draws is not None:
            images, masks = self.augmentation(images, masks, gathered.draws)
        return images, masks

    def _ahead(self, gathered: Gathered) -> tuple[Batch, torch.cuda.Event | None]:
        """A batch in the making, and on a GPU the event that it is made."""
        if self._stream is None:
            return self._finish(gathered), None
        with torch.cuda.stream(self._stream):
            batch = self._finish(gathered)
            return batch, self._stream.record_event()

    def _hand_over(self, batch: Batch, made: torch.cuda.Event | None) -> Batch:
        """The batch for the stream that trains, which alone waits for it."""
        if made is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(made)
            for tensor in batch:
                tensor.record_stream(stream)  # its memory is not to be used anew before the step has read it
        return batch

    def __iter__(self) -> Iterator[Batch]:
        start: dict[str, Any] = {}
        if self._stream is not None:
            # A thread begins on GPU 0, whatever the GPU of this process, and would take memory there.
            start = {"initializer": torch.cuda.set_device, "initargs": (self._stream.device,)}
            self._stream.wait_stream(torch.cuda.current_stream(self.device))
        pool = ThreadPoolExecutor(self.threads, **start)
        try:
            keys = iter(self.sampler)
            gathering: deque[Future[Gathered]] = deque(
                pool.submit(self._gather, batch) for batch in islice(keys, self.threads + 1)
            )
            made: tuple[Batch, torch.cuda.Event | None] | None = None
            while gathering:
                following = self._ahead(gathering.popleft().result())
                gathering.extend(pool.submit(self._gather, batch) for batch in islice(keys, 1))
                if made is not None:
                    yield self._hand_over(*made)
                made = following
            if made is not None:
                yield self._hand_over(*made)
        finally:
            pool.shutdown(cancel_futures=True)


def build_device_loader(
    dataset: TrainingSet,
    sampler: EpochSampler,
    *,
    device: torch.device,
    threads: int,
    resident_share: float,
) -> DeviceLoader:
    """The loader of a training set, augmented as it would do it, which keeps the pairs on a GPU where they fit."""
    options = dataset.augmentation
    batches = None if options is None else BatchAugmentation(seed=dataset.seed, device=device, **options)
    threads = min(max(threads, 1), MOST_THREADS)
    resident = fits_on(device, dataset.store, resident_share)
    return DeviceLoader(dataset, sampler, batches, device=device, threads=threads, resident=resident)
