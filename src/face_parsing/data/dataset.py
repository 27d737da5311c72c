"""What the loader asks for: augmented training pairs by (epoch, index, size), and validation pairs as they are.

A pair's augmentation depends on (seed, epoch, index) alone, whatever the number of workers. So no epoch repeats
another, and a resumed run sees what it would have seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from face_parsing.augmentation.accessories import AccessoryChoice
from face_parsing.augmentation.degradation import DegradationChoice
from face_parsing.augmentation.hoods import HoodChoice
from face_parsing.augmentation.people import PeopleChoice
from face_parsing.augmentation.textures import TextureChoice
from face_parsing.augmentation.transforms import build_augmentation
from face_parsing.data.cache import PairStore
from face_parsing.data.pairs import resize_pair
from face_parsing.data.sampler import SampleKey
from face_parsing.system.seeds import Stream, mix_seeds

Batch = tuple[Tensor, Tensor]
"""Images (B, H, W, 3) and masks (B, H, W), uint8."""


class TrainingSet(Dataset[tuple[Tensor, Tensor]]):
    """Augmented pairs. ``dataset[epoch, index, size]`` gives image (size, size, 3) and mask (size, size), uint8.

    ``augmentation`` is what ``build_augmentation`` was given, None for none; what is taken of other faces
    (``composite``) is no part of it.
    """

    def __init__(self, store: PairStore, *, seed: int, augmentation: dict[str, object] | None) -> None:
        self.store = store
        self.seed = seed
        self.augmentation: dict[str, Any] | None = None
        self.transform = None
        self.accessories: AccessoryChoice | None = None
        self.textures: TextureChoice | None = None
        self.hoods: HoodChoice | None = None
        self.people: PeopleChoice | None = None
        self.poorer: DegradationChoice | None = None
        if augmentation is not None:
            options: dict[str, Any] = dict(augmentation)
            paste, retexture, hood, people, degrade = (
                options.pop(name, 0.0) for name in ("paste", "retexture", "hood", "people", "degrade")
            )
            self.augmentation = {**options, "flip_table": store.labels.flip_table}
            self.transform = build_augmentation(**self.augmentation)
            if paste:
                self.accessories = AccessoryChoice(store.presence, store.centres, probability=paste)
            if retexture:
                self.textures = TextureChoice(store.presence, probability=retexture)
            if hood:
                self.hoods = HoodChoice(store.presence, store.centres, probability=hood)
            if people:
                self.people = PeopleChoice(len(store), probability=people)
            if degrade:
                self.poorer = DegradationChoice(degrade)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        epoch, index, _ = key
        image, mask = self.composite(key) or self._resized(key, index)
        if self.transform is None:
            image, mask = image.copy(), mask.copy()
        else:
            # Seeding each draw by itself is what makes it independent of workers, and of albumentations'
            # own random state, which repeats itself in every worker and every epoch. Each step has a seed of its
            # own: from one for all, all would draw the same number, and grey faces would all be flipped, and so on.
            for number, step in enumerate(self.transform.transforms):
                step.set_random_seed(mix_seeds(self.seed, epoch, index, Stream.AUGMENTATION, number))
            done = self.transform(image=image, mask=mask)
            image, mask = done["image"], done["mask"]
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(mask))

    def rounding(self, key: SampleKey) -> tuple[bool, bool]:
        """``resize_pair``'s, for all that the pair of that key is made of: either, as often as the other."""
        if self.transform is None:
            return False, False
        epoch, index, _ = key
        coins = mix_seeds(self.seed, epoch, index, Stream.ROUNDING)
        return bool(coins & 1), bool(coins & 2)

    def _resized(self, key: SampleKey, index: int) -> tuple[np.ndarray, np.ndarray]:
        return resize_pair(*self.store[index], key[2], rounding=self.rounding(key))

    def composite(self, key: SampleKey) -> tuple[np.ndarray, np.ndarray] | None:
        """The pair of that key, with what it gets of other faces and as a poor photo, before any other augmentation.

        None where it gets nothing.
        """
        epoch, index, _ = key
        textures = (
            self.textures(index, seed=mix_seeds(self.seed, epoch, index, Stream.TEXTURES)) if self.textures else []
        )
        pasted = (
            self.accessories(index, seed=mix_seeds(self.seed, epoch, index, Stream.ACCESSORIES))
            if self.accessories
            else None
        )
        hood = self.hoods(index, seed=mix_seeds(self.seed, epoch, index, Stream.HOODS)) if self.hoods else None
        moved = self.people(seed=mix_seeds(self.seed, epoch, index, Stream.PEOPLE)) if self.people else None
        changes = [change for change in (*textures, pasted, hood, moved) if change is not None]  # with a hat, if one
        poorer = self.poorer(seed=mix_seeds(self.seed, epoch, index, Stream.DEGRADATION)) if self.poorer else None
        if not changes and poorer is None:
            return None
        pair = self._resized(key, index)
        for change in changes:
            pair = change(pair, self._resized(key, change.donor))
        return pair if poorer is None else poorer(pair)


class ValidationSet(Dataset[tuple[Tensor, Tensor]]):
    """Pairs as they are: image (size, size, 3) and mask (size, size), uint8."""

    def __init__(self, store: PairStore) -> None:
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.store[index]
        return torch.from_numpy(image), torch.from_numpy(mask)
