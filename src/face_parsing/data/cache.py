"""Decoded and checked pairs, in memory where they fit.

Everything that can be wrong with the files is found while they are read, before the first step, and told
in one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from face_parsing.augmentation.face_geometry import part_centres
from face_parsing.data.mask_log import MaskLog
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.pairs import Pair, folders_of, read_pair
from face_parsing.data.problems import DataError, problems_message
from face_parsing.labels import CELEBAMASK, NUM_CLASSES, LabelSet, is_mirrored, swap_left_right

MAPPED = 2048  # pairs that wait for their turn to be read


class PairStore:
    """Checked pairs at one size, decoded once and kept in memory where limit_bytes allows.

    Forked loader workers share the memory. ``mirrored`` counts the pairs whose left and right labels
    were out of order and, with repair, have been swapped; ``pixel_counts`` (C,), ``presence`` (N, C) and, of
    the 19 classes alone, ``centres`` (N, 19) (``face_geometry.part_centres``) describe the masks. The masks, of
    19 ids on disk read by ``rule``, hold the C classes of ``labels``; ``log`` knows what was odd about the files.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        size: int,
        *,
        repair: bool,
        limit_bytes: float,
        labels: LabelSet = CELEBAMASK,
        rule: IdRule = USUAL,
        progress: bool = True,
    ) -> None:
        self.pairs = list(pairs)
        self.labels = labels
        self.rule = rule
        self.log = MaskLog()
        self._table = labels.table
        self.size = size
        self.repair = repair
        N = len(self.pairs)
        self.cached = N * size * size * 4 <= limit_bytes
        self._images = np.empty((N if self.cached else 0, size, size, 3), dtype=np.uint8)
        self._masks = np.empty((N if self.cached else 0, size, size), dtype=np.uint8)
        self.presence = np.zeros((N, len(labels)), dtype=bool)
        self.pixel_counts = np.zeros(len(labels), dtype=np.int64)
        self.centres = np.full((N, NUM_CLASSES), np.nan, dtype=complex)
        self._swapped = np.zeros(N, dtype=bool)
        self._load(progress)

    def _load(self, progress: bool) -> None:
        def load(i: int) -> str | None:
            try:
                image, mask = read_pair(self.pairs[i], self.size, self.rule, self.log)
            except DataError as error:
                return str(error)
            self._swapped[i] = is_mirrored(mask)
            mask = self._classes(mask, i)
            if self.labels is CELEBAMASK:
                self.centres[i] = part_centres(mask)
            if self.cached:
                self._images[i], self._masks[i] = image, mask
            counts = np.bincount(mask.ravel(), minlength=256)[: len(self.labels)]
            self.presence[i] = counts > 0
            per_image[i] = counts
            return None

        per_image = np.zeros((len(self.pairs), len(self.labels)), dtype=np.int64)
        with ThreadPoolExecutor() as pool:
            # A call of map takes a kilobyte for each of its pairs: a part of them at a time.
            parts = range(0, len(self.pairs), MAPPED)
            answers = (answer for i in parts for answer in pool.map(load, range(len(self.pairs))[i : i + MAPPED]))
            bar = tqdm(
                answers,
                total=len(self.pairs),
                desc="reading pairs",
                unit="pair",
                disable=not (progress and self.pairs),
                leave=False,
            )
            problems = [problem for problem in bar if problem is not None]
        if problems:
            raise DataError(problems_message(folders_of(self.pairs), problems))
        self.pixel_counts = per_image.sum(0)

    def _classes(self, mask: np.ndarray, i: int) -> np.ndarray:
        """The mask of pair i as it was read, repaired where it must be, in the classes of ``labels``."""
        if self.repair and self._swapped[i]:
            mask = swap_left_right(mask)
        return mask if self.labels is CELEBAMASK else self._table[mask]

    @property
    def mirrored(self) -> int:
        """How many pairs have left and right out of order."""
        return int(self._swapped.sum())

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Image (size, size, 3) and mask (size, size), uint8; not to be written to."""
        if self.cached:
            return self._images[i], self._masks[i]
        image, mask = read_pair(self.pairs[i], self.size, self.rule)
        return image, self._classes(mask, i)
