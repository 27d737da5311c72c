"""Copies of labelled faces as they lie in photos: turned, shrunk, in groups, zoomed; and photos without a face.

Photo and mask of a face are moved together, so that a copy's mask is known to the pixel. Each copy depends on its seed
alone. A place is (x, y) from the photo's upper left corner, pixel centers at halves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from face_parsing.data.pairs import Pair, read_pair
from face_parsing.labels import IGNORE_INDEX
from face_parsing.synthetic.background import background as drawn_background
from face_parsing.synthetic.canvas import Canvas, any_color

SIDE = 512
"""Pixels of an aligned face's photo."""
LEAST_PATCH = 80
"""Pixels of a side, at least, of the part of a training photo that becomes a background."""
FACE_CENTER = (256.0, 280.0)
"""Between the eyes and the mouth of aligned faces; what is zoomed in to."""


@dataclass(frozen=True, eq=False)
class Copy:
    """A photo (H, W, 3) uint8, its true mask (H, W) uint8, IGNORE_INDEX where nobody knows, and its people."""

    photo: np.ndarray
    truth: np.ndarray
    people: int = 1


def read_face(pair: Pair) -> Copy:
    """A face as it lies in the data set."""
    return Copy(*read_pair(pair, SIDE))


# --- moving a face ---------------------------------------------------------------------------------


def _affine(scale: float, degrees: float, source: tuple[float, float], place: tuple[float, float]) -> np.ndarray:
    """(2, 3): turns clockwise as seen and scales, so that ``source`` comes to ``place``; as OpenCV counts pixels."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    turn = np.array([[c, -s], [s, c]])
    shift = np.array(place) - turn @ source
    return np.column_stack([turn, shift + turn @ (0.5, 0.5) - 0.5])  # OpenCV's pixel centers are whole numbers


def _shrunk(pixels: np.ndarray, scale: float) -> np.ndarray:
    """Smaller by averaging, which warping alone does not do; not larger."""
    side = round(len(pixels) * scale)
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA) if side < len(pixels) else pixels


def lay(
    under: Copy, face: Copy, *, side: float, place: tuple[float, float], degrees: float = 0.0, cut_out: bool = False
) -> Copy:
    """The face, ``side`` pixels wide and turned, over another copy, its middle at ``place``; ``cut_out``: the person
    alone, without what is behind.
    """
    H, W = under.truth.shape
    scale = side / len(face.photo)
    person = (face.truth > 0 if cut_out else np.ones_like(face.truth, dtype=bool)).astype(np.float32)

    def moved(pixels: np.ndarray, flags: int) -> np.ndarray:
        small = pixels if flags == cv2.INTER_NEAREST else _shrunk(pixels, scale)
        middle = len(small) / 2
        matrix = _affine(side / len(small), degrees, (middle, middle), place)
        return cv2.warpAffine(small, matrix, (W, H), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=0)

    share = moved(person, cv2.INTER_LINEAR)[..., None]
    # What lies beyond the face's photo must not darken its edge: its color is the last pixel's.
    small = _shrunk(face.photo, scale)
    matrix = _affine(side / len(small), degrees, (len(small) / 2,) * 2, place)
    pixels = cv2.warpAffine(small, matrix, (W, H), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    photo = np.rint(share * pixels + (1 - share) * under.photo).astype(np.uint8)
    on = moved(person, cv2.INTER_NEAREST) > 0
    return Copy(photo, np.where(on, moved(face.truth, cv2.INTER_NEAREST), under.truth), under.people + 1)


def turned(face: Copy, degrees: float) -> Copy:
    """In a photo of its own size; the corners, which nobody knows, go on as the edges do, blurred."""
    if degrees % 90 == 0:
        turns = int(-degrees // 90)
        return Copy(np.rot90(face.photo, turns).copy(), np.rot90(face.truth, turns).copy())
    middle = (SIDE / 2, SIDE / 2)
    around = cv2.warpAffine(
        face.photo, _affine(1, degrees, middle, middle), (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT
    )
    unknown = np.full((SIDE, SIDE), IGNORE_INDEX, dtype=np.uint8)
    return lay(Copy(cv2.GaussianBlur(around, (0, 0), 12), unknown, 0), face, side=SIDE, place=middle, degrees=degrees)


def zoomed(face: Copy, times: float) -> Copy:
    """The middle of the face, as large as the photo was."""
    matrix = _affine(times, 0, FACE_CENTER, (SIDE / 2, SIDE / 2))
    photo = cv2.warpAffine(face.photo, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    truth = cv2.warpAffine(face.truth, matrix, (SIDE, SIDE), flags=cv2.INTER_NEAREST, borderValue=IGNORE_INDEX)
    return Copy(photo, truth)


def distant(
    face: Copy, behind: np.ndarray, rng: np.random.Generator, *, side: int, degrees: float = 0.0, cut_out: bool = False
) -> Copy:
    """The face's photo, ``side`` pixels wide, anywhere on another one without a face."""
    H, W = behind.shape[:2]
    half = side / 2 * (np.abs(np.sin(np.radians(degrees))) + np.abs(np.cos(np.radians(degrees))))
    place = tuple(float(rng.uniform(min(half, size / 2), max(size - half, size / 2))) for size in (W, H))
    empty = Copy(behind, np.zeros((H, W), dtype=np.uint8), 0)
    return lay(empty, face, side=side, place=(place[0], place[1]), degrees=degrees, cut_out=cut_out)


def group(faces: Sequence[Copy], behind: np.ndarray, rng: np.random.Generator) -> Copy:
    """People side by side, cut out, of several sizes, each a little turned, some before others."""
    H, W = behind.shape[:2]
    copy = Copy(behind, np.zeros((H, W), dtype=np.uint8), 0)
    column = W / len(faces)
    for number in rng.permutation(len(faces)):
        side = min(column * rng.uniform(1.1, 1.4), 0.9 * H)
        x = column * (number + 0.5) + rng.uniform(-0.08, 0.08) * column
        y = H - side / 2 + rng.uniform(0.0, 0.08) * side  # the clothes end at the photo's edge
        copy = lay(copy, faces[number], side=side, place=(x, y), degrees=rng.uniform(-15, 15), cut_out=True)
    return copy


def frames(
    face: Copy, behind: np.ndarray, rng: np.random.Generator, *, count: int
) -> Iterator[tuple[np.ndarray, tuple[int, int]]]:
    """The same face in so many photos: moved by up to 2 whole pixels from its first place, with a sensor's noise."""
    still = distant(face, behind, rng, side=min(behind.shape[:2]) * 2 // 3)
    for _ in range(count):
        dx, dy = (int(step) for step in rng.integers(-2, 3, 2))
        noise = rng.normal(0, 4, still.photo.shape)
        moved = np.roll(still.photo, (dy, dx), (0, 1))
        yield np.clip(np.rint(moved + noise), 0, 255).astype(np.uint8), (dx, dy)


# --- photos without a face --------------------------------------------------------------------------


def background(pairs: Sequence[Pair], rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """What is beside the head in a training photo, enlarged to (height, width, 3)."""
    for number in rng.permutation(len(pairs)):
        face = read_face(pairs[number])
        photo, person = (
            (face.photo, face.truth > 0) if rng.random() < 0.5 else (face.photo[:, ::-1], face.truth[:, ::-1] > 0)
        )
        free = np.minimum.accumulate(np.where(person.any(1), person.argmax(1), SIDE))  # (SIDE,) columns, from the left
        h = int((free * np.arange(1, SIDE + 1)).argmax()) + 1
        w = int(free[h - 1])
        if min(h, w) >= LEAST_PATCH:
            return _covering(photo[:h, :w], height, width)
    raise ValueError(f"no training photo has {LEAST_PATCH} x {LEAST_PATCH} pixels of background in an upper corner")


def _covering(patch: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a patch, enlarged so that it covers height x width."""
    h, w = patch.shape[:2]
    times = max(height / h, width / w)
    ch, cw = min(h, round(height / times)), min(w, round(width / times))
    top, left = (h - ch) // 2, (w - cw) // 2
    part = np.ascontiguousarray(patch[top : top + ch, left : left + cw])
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC)


def emptied(face: Copy) -> np.ndarray:
    """A training photo with the person painted over by what is around, the nearer the more."""
    known = (face.truth == 0).astype(np.float32)[..., None]
    quarter = (SIDE // 4, SIDE // 4)
    around = cv2.resize(face.photo * known, quarter, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(known, quarter, interpolation=cv2.INTER_AREA)
    painted = np.full_like(around, face.photo.mean())
    for sigma in (40, 15, 5):
        near = cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
        mean = cv2.GaussianBlur(around, (0, 0), sigma) / np.maximum(near, 1e-9)
        share = np.clip(near / 0.2, 0, 1)
        painted = share * mean + (1 - share) * painted
    large = cv2.resize(painted, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(np.where(known > 0, face.photo, large)), 0, 255).astype(np.uint8)


def texture(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Noise of one grain, in two colors: clouds, cloth, gravel."""
    grain = float(rng.uniform(1, 24))
    noise = cv2.GaussianBlur(
        rng.normal(size=(side, side)).astype(np.float32), (0, 0), grain, sigmaY=grain * rng.uniform(0.3, 3)
    )
    share = np.clip(0.5 + noise / (4 * noise.std()), 0, 1)[..., None]
    first, second = (np.array(any_color(rng), dtype=np.float32) for _ in range(2))
    return np.rint(first * share + second * (1 - share)).astype(np.uint8)


def scene(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """A drawn background with some balls and boxes on it, and nobody."""
    image, mask = np.zeros((side, side, 3), dtype=np.uint8), np.zeros((side, side), dtype=np.uint8)
    drawn_background(Canvas(image, mask, (side / 2, side / 2), side / 4, 0.0, 0.0), rng)
    for _ in range(int(rng.integers(3, 12))):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, side // 40, side // 40), (side, side, side // 5, side // 5)))
        if rng.random() < 0.5:
            cv2.ellipse(image, (x, y), (w, h), float(rng.uniform(0, 180)), 0, 360, any_color(rng), -1, cv2.LINE_AA)
        else:
            cv2.rectangle(image, (x - w, y - h), (x + w, y + h), any_color(rng), -1)
    return image


def sample_photos() -> dict[str, np.ndarray]:
    """Photos without a face that scikit-image and, where it is installed, scikit-learn bring."""
    try:
        import skimage.data
    except ImportError:
        raise ValueError(
            "The row faceless needs scikit-image: pip install scikit-image, or leave the row out."
        ) from None
    names = ("brick", "chelsea", "coffee", "grass", "gravel", "rocket")
    found = {name: np.asarray(getattr(skimage.data, name)()) for name in names}
    try:
        from sklearn.datasets import load_sample_images

        found |= dict(zip(("china", "flower"), load_sample_images().images, strict=True))
    except ImportError:
        print("scikit-learn is not installed: its china and flower are left out")
    return {name: np.dstack([photo] * 3) if photo.ndim == 2 else photo for name, photo in found.items()}
