"""Glasses, hats, earrings and necklaces of one training face put on another.

Of the challenge's 1000 faces 58 wear glasses, 53 a hat and 45 a necklace: too few to learn what they look
like on others. Copying instances between training images is known to help rare classes (Ghiasi et al. 2021,
Simple Copy-Paste); here the faces' own parts say where, how large and how tilted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from face_parsing.labels import CLASS_NAMES, FLIPPED_IDS, IGNORE_INDEX, NUM_CLASSES, class_ids, swap_left_right

ImageAndMask = tuple[np.ndarray, np.ndarray]

_ID = {name: i for i, name in enumerate(CLASS_NAMES)}


EYES = class_ids("l_eye", "r_eye")
FACE_PARTS = class_ids("l_eye", "r_eye", "l_brow", "r_brow", "nose", "u_lip", "l_lip")
"""Parts that give the scale and the tilt of a face."""
FEWEST_PARTS = 3
SMALLEST_SCALE, LARGEST_SCALE = 0.5, 2.0
LARGEST_TILT = np.pi / 3
SAMPLED = 128
"""Parts are located, and skin is measured, at about this size, which is quicker."""
GAIN_RANGE = (0.5, 2.0)
EDGE_SIGMA = 0.6  # pixels
LIGHT_SIGMA, HUE_SIGMA = 0.3, 0.15
"""Of the logarithms of the factors that change an accessory's color: of all channels together, of each alone."""
PAINTED = 0.5
"""Share of the glasses whose frames, and whose lenses if these are dark, get a color of their own."""
TINTING, HIDING = (0.0, 0.7), (0.7, 1.0)
"""How much of a dark lens, and of one with an eye behind it, is the painted color."""
CLEAR = (0.0, 0.9)
"""How much of the hair shows through a lens that had an eye behind it."""
RIMS = (0.1, 0.35)
"""Width of a painted frame, as a share of the largest distance from the edge of the glasses."""


@dataclass(frozen=True)
class Accessory:
    """A class, the parts that go along with it, and the part of the face at whose place it is put.

    ``covers``: parts of the donor's face that lie in it, and become a part of it. ``lifts``: from how far to how far
    above its place it is put, in distances from the nose to the eyes, and ``heights``: how high it looks there, over
    how high it looks on the donor. ``tilt``: by how much it is turned about its place at most, to either side, in
    radians. ``any_color``: its color says nothing about what it is. ``painted``: its edge, and its inside unless
    parts of the face come along in it, may get other colors; where it covers some, its inside does.
    """

    label: int
    along: tuple[int, ...] = ()
    places: tuple[tuple[int, ...], ...] = ()
    covers: tuple[int, ...] = ()
    lifts: tuple[float, float] | None = None
    heights: tuple[float, float] = (1.0, 1.0)
    tilt: float = 0.0
    any_color: bool = False
    painted: bool = False


ACCESSORIES = (
    # The eyes behind the glasses come along: those of the other face would not lie in their lenses.
    Accessory(
        _ID["eye_g"],
        along=(_ID["l_eye"], _ID["r_eye"]),
        places=((_ID["l_eye"], _ID["r_eye"], _ID["l_brow"], _ID["r_brow"]),),
        painted=True,
    ),
    # Sunglasses are as often worn in the hair, where hardly any of the training faces has them; and nearly all that
    # those wear are black. Other glasses become some by what is painted on their lenses.
    Accessory(
        _ID["eye_g"],
        places=(FACE_PARTS,),
        covers=EYES,
        lifts=(2.5, 5.0),
        heights=(0.35, 1.0),  # they lean back
        painted=True,
    ),
    # Berets, above all, sit on one side of the head.
    Accessory(_ID["hat"], places=(FACE_PARTS,), tilt=0.6, any_color=True),
    # Bands and bows are hats as well. Without them, whatever lies flat on a hair is glasses.
    Accessory(_ID["hat"], places=(FACE_PARTS,), lifts=(0.0, 1.5), heights=(0.3, 0.8), any_color=True),
    # One ear at a time, since of a turned head one alone may show.
    Accessory(_ID["ear_r"], places=(class_ids("l_ear"), class_ids("r_ear"))),
    Accessory(_ID["neck_l"], places=(class_ids("neck"),)),
)


@dataclass(frozen=True)
class Placement:
    """Where an accessory goes: ``matrix`` (2, 3) brings the donor's positions, as shares of its size, to the wearer's.

    ``middle``: only what the donor wears on one side of this share of the width, ``right`` or left of it.
    """

    matrix: np.ndarray
    middle: float | None = None
    right: bool = False


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


def part_centres(mask: np.ndarray) -> np.ndarray:
    """Centres (19,) of the classes in a mask (S, S) of ids, complex x + iy in shares of S; nan for absent ones."""
    step = max(len(mask) // SAMPLED, 1)
    small = mask[::step, ::step]
    flat = small.ravel()
    y, x = np.indices(small.shape)
    count = np.bincount(flat, minlength=256)[:NUM_CLASSES]
    sums = [np.bincount(flat, weights=axis.ravel(), minlength=256)[:NUM_CLASSES] for axis in (x, y)]
    centres: np.ndarray = (sums[0] + 1j * sums[1]) / np.maximum(count, 1)
    centres[count == 0] = np.nan
    return (centres + 0.5 + 0.5j) * step / len(mask)  # type: ignore[no-any-return]


def upwards(centres: np.ndarray) -> np.ndarray:
    """From the nose to the eyes (...), complex, by part centres (..., 19); nan where one of these is not seen."""
    away: np.ndarray = centres[..., EYES].mean(-1) - centres[..., _ID["nose"]]
    return away


def drawn_tint(rng: np.random.Generator) -> tuple[float, ...]:
    """Factors of red, green and blue, for what may have any color."""
    factors: list[float] = np.exp(rng.normal(0, LIGHT_SIGMA) + rng.normal(0, HUE_SIGMA, 3)).tolist()
    return tuple(factors)


def face_similarity(source: np.ndarray, target: np.ndarray) -> complex | None:
    """The turn and scale, as one complex factor, that bring one face's part centres (19,) onto another's.

    Least squares (Umeyama 1991) over the parts that both show; None where these are too few, or where the
    faces are too unlike in size or tilt.
    """
    seen = [i for i in FACE_PARTS if np.isfinite(source[i]) and np.isfinite(target[i])]
    if len(seen) < FEWEST_PARTS:
        return None
    p, q = source[seen] - source[seen].mean(), target[seen] - target[seen].mean()
    factor = complex(np.vdot(p, q) / np.vdot(p, p).real)
    if not SMALLEST_SCALE <= abs(factor) <= LARGEST_SCALE or abs(np.angle(factor)) > LARGEST_TILT:
        return None
    return factor


def placements(
    accessory: Accessory,
    source: np.ndarray,
    target: np.ndarray,
    *,
    lift: float = 0.0,
    height: float = 1.0,
    tilt: float = 0.0,
) -> list[Placement]:
    """Where the accessory of a face with part centres source (19,) goes on one with target (19,); may be nowhere.

    ``lift``: so many times the distance from the wearer's nose to the eyes above its place. ``height``: so many times
    as high, about its own middle. ``tilt``: turned by so much about its place, in radians, clockwise.
    """
    factor = face_similarity(source, target)
    if factor is None:
        return []
    factor *= complex(np.exp(1j * tilt))
    found = []
    nose = source[_ID["nose"]]
    moved = lift != 0 or height != 1
    up_to_eyes = complex(upwards(target)) if moved else 0j
    if not np.isfinite(up_to_eyes):
        return []
    for place in accessory.places:
        seen = [i for i in place if np.isfinite(source[i]) and np.isfinite(target[i])]
        one_side = len(accessory.places) > 1
        if not seen or (one_side and not np.isfinite(nose)):
            continue
        start, end = source[seen].mean(), target[seen].mean()
        linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
        if moved:
            own = source[accessory.label]
            start, end = own, end + factor * (own - start) + lift * up_to_eyes
            up = np.array([up_to_eyes.real, up_to_eyes.imag]) / abs(up_to_eyes)
            linear -= (1 - height) * np.outer(up, up) @ linear
        matrix = np.column_stack([linear, [end.real, end.imag] - linear @ [start.real, start.imag]])
        found.append(Placement(matrix, nose.real, start.real > nose.real) if one_side else Placement(matrix))
    return found


def _skin_gain(pair: ImageAndMask, donor: ImageAndMask) -> np.ndarray:
    """By how much (3,) the skin of one face is brighter than the donor's, whose accessory shall stand in its light."""
    step = max(len(pair[1]) // SAMPLED, 1)
    colors = []
    for image, mask in (pair, donor):
        skin = image[::step, ::step][mask[::step, ::step] == _ID["skin"]]
        if not len(skin):
            return np.ones(3, np.float32)
        colors.append(skin.mean(0) + 1)
    return np.clip(colors[0] / colors[1], *GAIN_RANGE).astype(np.float32)


def mirror_centres(centres: np.ndarray) -> np.ndarray:
    """The part centres (19,) of the mirrored face."""
    return (1 - centres.conj())[list(FLIPPED_IDS)]  # type: ignore[no-any-return]


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


class AccessoryChoice:
    """Chooses, for a share of the faces, an accessory that they lack and another face of the training set wears.

    ``presence`` (N, 19) says which classes each pair holds, ``centres`` (N, 19) where (``part_centres``). Each kind
    of accessory is as probable as the others, whatever the numbers that wear it. Half of the donors are mirrored.
    """

    def __init__(self, presence: np.ndarray, centres: np.ndarray, *, probability: float) -> None:
        self.presence = presence
        self.centres = centres
        self.probability = probability
        self._wearers = [self._donors(accessory) for accessory in ACCESSORIES]

    def _donors(self, accessory: Accessory) -> np.ndarray:
        """Who wears it. Where it covers parts of some of them, these are drawn as often as the others."""
        wears = self.presence[:, accessory.label]
        if not accessory.covers:
            return np.flatnonzero(wears)
        hides = self.presence[:, list(accessory.covers)].any(1)
        covered = self.centres[:, list(accessory.covers)]
        seen = np.isfinite(covered)
        middle = np.where(seen, covered, 0).sum(1) / np.maximum(seen.sum(1), 1)
        # Glasses that are in the hair already cover nothing.
        away = np.abs(self.centres[:, accessory.label] - middle)
        near = away < np.abs(middle - self.centres[:, _ID["nose"]])
        groups = [np.flatnonzero(wears & ~hides), np.flatnonzero(wears & hides & near)]
        most = max(map(len, groups))
        return np.concatenate([np.resize(group, most) for group in groups if len(group)] or groups)

    def __call__(self, index: int, *, seed: int) -> Paste | None:
        """What the face with that index gets; None: nothing. The same seed gives the same."""
        rng = np.random.default_rng(seed)
        if rng.random() >= self.probability:
            return None
        possible = [
            (accessory, wearers)
            for accessory, wearers in zip(ACCESSORIES, self._wearers, strict=True)
            if len(wearers) and not self.presence[index, accessory.label]
        ]
        if not possible:
            return None
        accessory, wearers = possible[rng.integers(len(possible))]
        donor = int(wearers[rng.integers(len(wearers))])
        mirrored = bool(rng.random() < 0.5)
        source = mirror_centres(self.centres[donor]) if mirrored else self.centres[donor]
        lift, height = (
            (rng.uniform(*accessory.lifts), rng.uniform(*accessory.heights)) if accessory.lifts else (0.0, 1.0)
        )
        tilt = rng.uniform(-accessory.tilt, accessory.tilt) if accessory.tilt else 0.0
        where = placements(accessory, source, self.centres[index], lift=lift, height=height, tilt=tilt)
        tint = drawn_tint(rng) if accessory.any_color else (1.0, 1.0, 1.0)
        paint = None
        hides = self.presence[donor, list(accessory.covers)].any()
        if accessory.painted and (rng.random() < PAINTED or hides):
            inside = (0.0, 0.0) if accessory.along else HIDING if hides else TINTING
            paint = Paint.drawn(rng, inside, CLEAR if hides else (0.0, 0.0))
        return Paste(donor, accessory, where, mirrored, tint, paint) if where else None
