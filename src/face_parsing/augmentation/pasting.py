"""How an accessory of one face is put on another: painted, in the other one's light, and without hard edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from face_parsing.augmentation.accessory_kinds import Accessory, Placement
from face_parsing.augmentation.face_geometry import SAMPLED, ImageAndMask
from face_parsing.labels import IGNORE_INDEX, class_ids, swap_left_right

(SKIN,) = class_ids("skin")
GAIN_RANGE = (0.5, 2.0)
EDGE_SIGMA = 0.6  # pixels
LIGHT_SIGMA, HUE_SIGMA = 0.3, 0.15
"""Of the logarithms of the factors that change an accessory's color: of all channels together, of each alone."""
RIMS = (0.1, 0.35)
"""Width of a painted frame, as a share of the largest distance from the edge of the glasses."""


@dataclass(frozen=True)
class Paint:
    """Colors (3,), 0 to 255, and how much of them, 0 to 1, an accessory's edge and inside get.

    ``rim``: how wide the edge is, as a share of the largest distance from it. ``through``: how much of what lies behind
    the inside shows through it.
    """

    rim: float
    edge: tuple[float, ...]
    edge_opacity: float
    inside: tuple[float, ...]
    inside_opacity: float
    through: float = 0.0

    def __call__(self, image: np.ndarray, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A copy of the image (H, W, 3), uint8, in float32, with the region (H, W), bool, painted; and how much (H, W)
        float32 of what lies behind is hidden.
        """
        depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
        inside = depth > self.rim * depth.max()
        painted = image.astype(np.float32)
        for part, color, opacity in (
            (region & ~inside, self.edge, self.edge_opacity),
            (inside, self.inside, self.inside_opacity),
        ):
            painted[part] += np.float32(opacity) * (np.asarray(color, np.float32) - painted[part])
        return painted, np.where(inside, np.float32(1 - self.through), np.float32(1))

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, inside: tuple[float, float], through: tuple[float, float] = (0.0, 0.0)
    ) -> Paint:
        """Any colors, at least half of the edge's; of the inside's, and of what lies behind it, between two shares."""
        return cls(
            rng.uniform(*RIMS),
            tuple(rng.uniform(0, 255, 3).tolist()),
            rng.uniform(0.5, 1.0),
            tuple(rng.uniform(0, 255, 3).tolist()),
            rng.uniform(*inside),
            rng.uniform(*through),
        )


def drawn_tint(rng: np.random.Generator) -> tuple[float, ...]:
    """Factors of red, green and blue, for what may have any color."""
    factors: list[float] = np.exp(rng.normal(0, LIGHT_SIGMA) + rng.normal(0, HUE_SIGMA, 3)).tolist()
    return tuple(factors)


def _skin_gain(pair: ImageAndMask, donor: ImageAndMask) -> np.ndarray:
    """By how much (3,) the skin of one face is brighter than the donor's, whose accessory shall stand in its light."""
    step = max(len(pair[1]) // SAMPLED, 1)
    colors = []
    for image, mask in (pair, donor):
        skin = image[::step, ::step][mask[::step, ::step] == SKIN]
        if not len(skin):
            return np.ones(3, np.float32)
        colors.append(skin.mean(0) + 1)
    return np.clip(colors[0] / colors[1], *GAIN_RANGE).astype(np.float32)


def paste(
    pair: ImageAndMask,
    donor: ImageAndMask,
    accessory: Accessory,
    where: Sequence[Placement],
    *,
    mirrored: bool = False,
    tint: Sequence[float] = (1.0, 1.0, 1.0),
    paint: Paint | None = None,
) -> ImageAndMask:
    """Image (S, S, 3) and mask (S, S), uint8, with an accessory of the donor's pair, which has the same size.

    ``mirrored``: of the mirrored donor, for which ``where`` was found. ``tint``: factors of the accessory's red, green
    and blue. ``paint``: over the accessory, before it stands in the face's light. The arguments are not written to.
    """
    image, mask = pair
    donor_image, donor_mask = donor
    if mirrored:
        donor_image, donor_mask = np.ascontiguousarray(donor_image[:, ::-1]), swap_left_right(donor_mask[:, ::-1])
    S = len(mask)
    gain = _skin_gain(pair, donor) * np.asarray(tint, np.float32)
    if accessory.covers:
        donor_mask = np.where(np.isin(donor_mask, accessory.covers), np.uint8(accessory.label), donor_mask)
    worn = np.isin(donor_mask, (accessory.label, *accessory.along))
    opacity: np.ndarray | None = None
    if paint is not None:
        donor_image, opacity = paint(donor_image, worn)
    for placement in where:
        region = worn
        if placement.middle is not None:
            region = worn & (((np.arange(S) + 0.5) / S > placement.middle) == placement.right)
        # From shares of the size to pixels, whose centres lie half a pixel in.
        linear, offset = placement.matrix[:, :2], placement.matrix[:, 2]
        matrix = np.column_stack([linear, offset * S + linear @ [0.5, 0.5] - 0.5])
        labels = cv2.warpAffine(
            np.where(region, donor_mask, IGNORE_INDEX),
            matrix,
            (S, S),
            flags=cv2.INTER_NEAREST,
            borderValue=IGNORE_INDEX,
        )
        pasted = labels != IGNORE_INDEX
        if not pasted.any():
            continue
        photo = cv2.warpAffine(donor_image, matrix, (S, S), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        # A hard edge would give the paste away.
        alpha = cv2.GaussianBlur(pasted.astype(np.float32), (3, 3), EDGE_SIGMA)
        if opacity is not None:
            alpha *= cv2.warpAffine(opacity, matrix, (S, S), flags=cv2.INTER_LINEAR, borderValue=1.0)
        x, y, w, h = cv2.boundingRect(pasted.view(np.uint8))  # most accessories are small: the rest stays as it is
        part = np.s_[max(y - 1, 0) : y + h + 1, max(x - 1, 0) : x + w + 1]
        mixed = image[part] + alpha[part][..., None] * (np.clip(photo[part] * gain, 0, 255) - image[part])
        image, mask = image.copy(), np.where(pasted, labels, mask)
        image[part] = (mixed + 0.5).astype(np.uint8)
    return image, mask


@dataclass(frozen=True)
class Paste:
    """What is put on a face: an accessory of the pair with index ``donor``, and ``paste``'s other arguments."""

    donor: int
    accessory: Accessory
    where: list[Placement]
    mirrored: bool
    tint: tuple[float, ...]
    paint: Paint | None

    def __call__(self, pair: ImageAndMask, donor: ImageAndMask) -> ImageAndMask:
        """``paste`` of the donor's pair on that of the face."""
        return paste(pair, donor, self.accessory, self.where, mirrored=self.mirrored, tint=self.tint, paint=self.paint)
