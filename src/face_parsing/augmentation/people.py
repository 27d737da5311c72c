"""People of training photos, cut out by their masks and laid over other scenes: smaller, turned, anywhere in them.

Training faces are aligned: each fills its photo as all others do. A network that has seen nothing else loses hair and
clothes as soon as there is more around the face than such a photo shows. Here it sees one person and others, at many
sizes. A mask ends where its photo does, mostly in the middle of the clothes; so what a smaller person would miss is
added: clothes down to the picture's edge, of the same fabric, shoulders beside them, and hair that ends by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np

from face_parsing.augmentation.backgrounds import BACKGROUND, background_of
from face_parsing.augmentation.face_geometry import ImageAndMask
from face_parsing.augmentation.hoods import FOLD_SIGMA, FOLDS, fabric_of, tiled, waves
from face_parsing.augmentation.pasting import EDGE_SIGMA
from face_parsing.augmentation.textures import continued
from face_parsing.labels import IGNORE_INDEX, class_ids, swap_left_right

(CLOTH,) = class_ids("cloth")
GROWING = class_ids("hair", "hat")
"""What goes on beyond a photo's edge as its own reflection, for a while."""

SCALES, LARGEST_TURN = (0.4, 1.0), np.pi / 4
"""A person's size, over that of the photo it comes from, and its turn to either side, radians."""
HANGING, CROWNS = (0.0, 0.4), (0.0, 0.1)
"""How far hair goes on below its photo, and hair and hats above and beside it, as shares of the photo."""
STRAND = 3.0
"""How long hair that hangs down may get, over half of its width."""
SLOPES, SHOULDERS, ROUNDING = (0.2, 1.0), (0.1, 0.4), 0.3
"""How steeply added shoulders fall, how far out they reach and how much deeper they end, as shares of the photo."""
FOLDED = 0.5
"""How deep the folds of added clothes are, over those of a hood."""

Scene = Literal["background", "other", "photo"]
"""What a person is laid over: another photo's background alone, that and the other person at a size and a place of its
own, or the other photo as it is."""


@dataclass(frozen=True)
class Pose:
    """How a cut-out person lies in the new picture.

    ``scale``: over its size before. ``turn``: clockwise, radians. ``across`` and ``down``: -1 puts its photo at the
    left or upper edge of the picture, 1 at the right or lower one.
    """

    scale: float
    turn: float
    across: float
    down: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Pose:
        """Any, within SCALES and LARGEST_TURN, whose photo lies within the picture but for its turned corners."""
        turn = rng.uniform(-LARGEST_TURN, LARGEST_TURN)
        return cls(rng.uniform(*SCALES), turn, rng.uniform(-1, 1), rng.uniform(-1, 1))

    def matrix(self, size: int) -> np.ndarray:
        """(2, 3): from pixels of the photo, of that size, to those of the picture, of the same."""
        cos, sin = self.scale * np.cos(self.turn), self.scale * np.sin(self.turn)
        linear = np.array([[cos, -sin], [sin, cos]])
        centre = np.full(2, (size - 1) / 2)
        moved = centre + (1 - self.scale) * size / 2 * np.array([self.across, self.down])
        return np.column_stack([linear, moved - linear @ centre])


def _people(mask: np.ndarray) -> np.ndarray:
    """Where (S, S), bool, a mask shows a person."""
    return (mask != BACKGROUND) & (mask != IGNORE_INDEX)


def _origins(matrix: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where in the photo each pixel of the picture comes from: x and y (S, S), as shares of the photo."""
    back = cv2.invertAffineTransform(matrix)
    y, x = np.mgrid[:size, :size]
    across, down = ((row[0] * x + row[1] * y + row[2] + 0.5) / size for row in back)
    return across, down


def _body(mask: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where (S, S), bool, clothes go on outside a person's photo, by the ``_origins`` x and y of the picture's pixels.

    Below what reaches the photo's lower edge; and beside it from where that, or clothes at its sides, end.
    """
    S = len(mask)
    columns = np.flatnonzero(_people(mask[-1]))
    if not len(columns):
        return np.zeros(x.shape, bool)
    inner = (columns[0] / S, (columns[-1] + 1) / S)
    body = (y >= 1) & (x >= inner[0]) & (x < inner[1])
    for side, column, end in ((-1, mask[:, 0], inner[0]), (1, mask[:, -1], inner[1])):
        run = int(np.append(column[::-1] != CLOTH, True).argmax())  # rows of clothes above the corner
        out = side * (x - (end if run == 0 else max(side, 0)))
        slope, reach = rng.uniform(*SLOPES), rng.uniform(*SHOULDERS)
        body |= (out >= 0) & (out <= reach) & (y >= 1 - run / S + slope * out + ROUNDING * (out / reach) ** 4)
    return body


def _fabric(pair: ImageAndMask, other: ImageAndMask, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Clothes (S, S, 3) float32, with folds, for a person of that scale: its own, the other's, or of any color."""
    S, own = len(pair[1]), pair[1] == CLOTH
    found = fabric_of(pair)
    if found is None and own.any():
        found = np.full((8, 8, 3), pair[0][own].mean(0), np.float32)
    if found is None:
        found = fabric_of(other)
    if found is None:
        found = np.full((8, 8, 3), rng.uniform(0, 255, 3), np.float32)
    light = np.exp(FOLDED * FOLD_SIGMA * waves(rng, int(rng.integers(*FOLDS)), S))
    return np.clip(tiled(found, S, scale) * light[..., None], 0, 255).astype(np.float32)


def _grown(mask: np.ndarray, matrix: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Where (S, S), bool, hair and hats at the edge of a person's photo go on outside it, and come to an end."""
    S = len(mask)
    inside = cv2.distanceTransform(np.isin(mask, GROWING).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    width = cv2.warpAffine(inside / S, matrix, (S, S), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    ends = 1 + waves(rng, 6, S) / 3
    beside = np.maximum(np.abs(x - 0.5) - 0.5, -y)
    below = y - 1 < np.minimum(rng.uniform(*HANGING) * ends, STRAND * width)
    grown: np.ndarray = below & (beside < np.minimum(rng.uniform(*CROWNS) * ends, width))
    return grown


def _moved_labels(mask: np.ndarray, matrix: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels (S, S) of a person in the new picture, else background, and where (S, S), bool, clothes were added."""
    S = len(mask)
    person = np.where(_people(mask), mask, np.uint8(BACKGROUND))
    labels = cv2.warpAffine(person, matrix, (S, S), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    x, y = _origins(matrix, S)
    outside = (x < 0) | (x >= 1) | (y < 0) | (y >= 1)
    outside &= ~(np.isin(labels, GROWING) & _grown(mask, matrix, x, y, rng))
    added = outside & _body(mask, x, y, rng)
    labels[outside] = BACKGROUND
    labels[added] = CLOTH
    return labels, added


def lay(pair: ImageAndMask, scene: ImageAndMask, pose: Pose, *, seed: int) -> ImageAndMask:
    """The scene's image (S, S, 3) and mask (S, S), uint8, with the pair's person over it. Neither is written to.

    Both have the same size. What the person hides has its labels; all else keeps the scene's. A photo without a person
    changes nothing.
    """
    (image, mask), (behind, kept) = pair, scene
    people = _people(mask)
    if not people.any():
        return scene
    S, rng, matrix = len(mask), np.random.default_rng(seed), pose.matrix(len(mask))
    labels, added = _moved_labels(mask, matrix, rng)
    look = continued(image, people)  # at a soft edge it is not to be seen what was behind it before
    blur = 0.5 * np.sqrt(max(1 / pose.scale**2 - 1, 0))
    if blur > 0.1:
        look = cv2.GaussianBlur(look, (0, 0), blur)
    look = cv2.warpAffine(look, matrix, (S, S), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if added.any():
        look = np.where(added[..., None], _fabric(pair, scene, pose.scale, rng), look)
    laid = labels != BACKGROUND
    # A hard edge would give it away.
    alpha = cv2.GaussianBlur(laid.astype(np.float32), (3, 3), EDGE_SIGMA)
    mixed = cv2.blendLinear(look, behind.astype(np.float32), alpha, 1 - alpha)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8), np.where(laid, labels, kept)


@dataclass(frozen=True)
class Relocation:
    """A person is laid over a scene made of the pair with index ``donor``, mirrored or not.

    ``other``: how the donor's own person lies in it, where the scene is "other".
    """

    donor: int
    scene: Scene
    mirrored: bool
    pose: Pose
    other: Pose
    seed: int

    def __call__(self, pair: ImageAndMask, donor: ImageAndMask) -> ImageAndMask:
        """The picture (S, S, 3) and its mask (S, S), uint8. The arguments are not written to."""
        if self.mirrored:
            donor = np.ascontiguousarray(donor[0][:, ::-1]), swap_left_right(donor[1][:, ::-1])
        scene = donor if self.scene == "photo" else background_of(donor, np.random.default_rng(self.seed))
        if self.scene == "other":
            scene = lay(donor, scene, self.other, seed=self.seed + 1)
        return lay(pair, scene, self.pose, seed=self.seed + 2)


class PeopleChoice:
    """Chooses, for a share of the photos, over which other one their person is laid, and how.

    ``count``: of the photos. All scenes are equally probable, and half of them are mirrored.
    """

    def __init__(self, count: int, *, probability: float) -> None:
        self.count = count
        self.probability = probability

    def __call__(self, *, seed: int) -> Relocation | None:
        """What becomes of a photo; None: nothing. The same seed gives the same."""
        rng = np.random.default_rng(seed)
        if rng.random() >= self.probability:
            return None
        scenes: tuple[Scene, ...] = get_args(Scene)
        return Relocation(
            int(rng.integers(self.count)),
            scenes[rng.integers(len(scenes))],
            bool(rng.random() < 0.5),
            Pose.drawn(rng),
            Pose.drawn(rng),
            int(rng.integers(2**62)),
        )
