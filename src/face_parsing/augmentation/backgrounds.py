"""What people are laid over: backgrounds of training photos, and sharp ones full of things.

Behind nearly all training faces the picture is out of focus. A network that has seen nothing else takes what is sharp
for hair or clothes: grass, gravel, bricks, a street. So backgrounds are made too, of pieces of training photos and of
random textures, soft and hard, fine and coarse.
"""

from __future__ import annotations

import cv2
import numpy as np

from face_parsing.augmentation.face_geometry import ImageAndMask
from face_parsing.augmentation.hoods import fabric_of, tiled
from face_parsing.augmentation.pasting import drawn_tint
from face_parsing.augmentation.textures import continued
from face_parsing.labels import class_ids

(BACKGROUND,) = class_ids("background")
PIECES = class_ids("background", "hair", "cloth")
"""What a texture is cut from: away from a head, hair is fur or straw, and clothes are curtains."""
ZOOMS = (0.7, 2.0)
"""How much a photo's background is enlarged, so that what lies smooth behind its own person lies elsewhere."""
CLUTTERED = 0.6
"""Share of the backgrounds that have more in them than their photo's."""
MOST_THINGS, MOST_LAYERS = 4, 4
COARSEST = 2  # cells of a layer across the picture
CONTRASTS, COLORED = (4.0, 40.0), 0.3
"""Standard deviation of a layer in levels, and how much that of the channels differs from their mean's."""
MAGNIFIED = (0.3, 3.0)


def _layer(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random field (size, size) float32 of variance 1 where it was drawn: patches or waves of any size and turn."""
    cells = np.exp(rng.uniform(np.log(COARSEST), np.log(size), 2)).astype(int)
    drawn = rng.normal(size=tuple(cells)).astype(np.float32)
    interpolation = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_CUBIC
    field = cv2.resize(drawn, (size, size), interpolation=interpolation)
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 180), 1.0)
    return cv2.warpAffine(field, turn, (size, size), borderMode=cv2.BORDER_REFLECT)


def _texture(pair: ImageAndMask, rng: np.random.Generator) -> np.ndarray:
    """What a thing looks like, (S, S, 3) float32: a piece of the photo, repeated, or layers of random fields."""
    S = len(pair[1])
    piece = fabric_of(pair, PIECES[rng.integers(len(PIECES))]) if rng.random() < 0.5 else None
    if piece is not None:
        larger = np.exp(rng.uniform(*np.log(MAGNIFIED)))
        return tiled(piece, S, max(larger, 2 / len(piece))) * np.asarray(drawn_tint(rng), np.float32)
    look: np.ndarray = np.full((S, S, 3), rng.uniform(0, 255, 3), np.float32)
    for _ in range(rng.integers(1, MOST_LAYERS + 1)):
        contrast = rng.uniform(*CONTRASTS) * (1 + COLORED * rng.normal(size=3))
        look = look + _layer(rng, S)[..., None] * contrast.astype(np.float32)
    return look


def background_of(pair: ImageAndMask, rng: np.random.Generator) -> ImageAndMask:
    """A photo's background, (S, S, 3) uint8, enlarged, turned and moved at random, and a mask of nothing else.

    The person is smoothed away. CLUTTERED of them have other things in them, or are one of these all over.
    """
    image, mask = pair
    S = len(mask)
    matrix = cv2.getRotationMatrix2D((S / 2, S / 2), rng.uniform(0, 360), rng.uniform(*ZOOMS))
    matrix = matrix + np.column_stack([np.zeros((2, 2)), rng.uniform(-S / 2, S / 2, 2)])
    filled = continued(image, mask == BACKGROUND)
    look = cv2.warpAffine(filled, matrix, (S, S), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    for i in range(rng.integers(1, MOST_THINGS + 1) if rng.random() < CLUTTERED else 0):
        there = _layer(rng, S) > rng.uniform(-2 if i == 0 else 0, 1.5)
        look = np.where(there[..., None], _texture(pair, rng), look)
    return np.clip(look + 0.5, 0, 255).astype(np.uint8), np.full((S, S), BACKGROUND, np.uint8)
