"""Photos that are there twice, as they are or mirrored, recompressed, or cropped a little otherwise."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

THUMBNAIL = 64  # pixels

# find_duplicates says where the numbers are from.
CANDIDATE = 0.7
DUPLICATE = 0.9
MOST_CANDIDATES = 20  # of one image: a set of 30,000 copies of one photo must not fill the memory
BLOCK = 1024  # images compared with all others at a time


@dataclass(frozen=True, order=True)
class Likeness:
    """Two images, by index, the first the lower one, and how alike they are at best (-1 to 1)."""

    correlation: float
    first: int
    second: int
    mirrored: bool


def thumbnail_of(photo: np.ndarray) -> np.ndarray:
    """A photo (H, W, 3) uint8 in grey and small, (64, 64) uint8."""
    small = cv2.resize(photo, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)


def _normalized(rows: np.ndarray) -> np.ndarray:
    """(N, D) float32 with mean 0 and length 1; a constant row becomes 0."""
    rows = rows - rows.mean(1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-3)


def describe_thumbnails(thumbnails: np.ndarray) -> np.ndarray:
    """(N, 64, 64) uint8 to (N, 1024) float32: half the size, without what is wider than a feature of a face."""
    side = THUMBNAIL // 2
    rows = np.empty((len(thumbnails), side * side), dtype=np.float32)
    for i, thumbnail in enumerate(thumbnails):
        small = cv2.resize(thumbnail, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
        rows[i] = (small - cv2.GaussianBlur(small, (0, 0), 3)).ravel()
    return _normalized(rows)


def aligned_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """How alike two grey thumbnails (64, 64) uint8 are once the second is shifted, scaled and turned onto the first."""
    a, b = first.astype(np.float32), second.astype(np.float32)
    warp = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    try:
        _, warp = cv2.findTransformECC(a, b, warp, cv2.MOTION_AFFINE, criteria, None, 5)  # type: ignore[call-overload]
    except cv2.error:  # it found no way to make them more alike
        warp = np.eye(2, 3, dtype=np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(b, warp, (THUMBNAIL, THUMBNAIL), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    fine = [cv2.GaussianBlur(x, (0, 0), 0.7) - cv2.GaussianBlur(x, (0, 0), 3) for x in (a, moved)]
    rows = _normalized(np.stack([x[6:-6, 6:-6].ravel() for x in fine]))
    return float(rows[0] @ rows[1])


def _candidates(descriptors: np.ndarray, *, progress: bool) -> Iterator[list[tuple[int, int, bool]]]:
    """Pairs (first < second, mirrored) worth a closer look, block by block."""
    N = len(descriptors)
    side = THUMBNAIL // 2
    starts = range(0, N, BLOCK)
    for start in tqdm(starts, desc="comparing", unit="block", disable=not progress, leave=False):
        rows = descriptors[start : start + BLOCK]
        others = descriptors[start:]  # the matrix is symmetric, the mirrored one too
        found: list[tuple[int, int, bool]] = []
        for mirrored in (False, True):
            block = rows.reshape(-1, side, side)[:, :, ::-1].reshape(rows.shape) if mirrored else rows
            likeness = block @ others.T  # (BLOCK, N - start)
            likeness[np.tril_indices(len(rows), 0, likeness.shape[1])] = -1
            for i in np.flatnonzero((likeness > CANDIDATE).any(1)):
                hits = np.flatnonzero(likeness[i] > CANDIDATE)
                if len(hits) > MOST_CANDIDATES:
                    hits = hits[np.argsort(-likeness[i, hits], kind="stable")[:MOST_CANDIDATES]]
                found += [(start + int(i), start + int(j), mirrored) for j in hits]
        yield found


def find_duplicates(
    thumbnails: np.ndarray, *, others: int = 20, progress: bool = True
) -> tuple[list[Likeness], list[Likeness]]:
    """Near-duplicates among grey thumbnails (N, 64, 64) uint8, and the most alike pairs that are none; best first.

    Each image is compared with each, as it is and mirrored: O(N^2) multiply-adds of 1024 values, in blocks of 1024
    images, so memory grows with N alone. Faces of this data set are aligned, so that hashes of 64 bits lie within
    10 bits of each other for 0.01 % (DCT) to 0.5 % (differences) of unrelated pairs; the correlation of small
    high-passed pictures is sharper. Pairs above CANDIDATE are laid onto each other (an affine transform by the
    enhanced correlation coefficient, Evangelidis and Psarakis 2008) and the fine detail that remains is correlated.

    On 1100 images of the challenge (900 train, 100 dev, 100 test) 84 of 1.2 million comparisons were above 0.7.
    One pair is the same photo in two crops: 0.996. The next ones, 0.76 and below (looked at down to a candidate's
    0.65), are different photos; hence DUPLICATE = 0.9. Copies made of 100 of them with JPEG quality 30, half the size,
    noise, no color, darkened, shifted by 1.5 %, zoomed by 5 % or turned by 3 degrees were all candidates and
    correlated at 0.99 or more, with gamma 1.8 at 0.91 or more. Beyond it are larger shifts (of 3 %: most) and zooms,
    and photos partly painted over. Of an image with more than 20 candidates the best 20 are looked at.
    """
    found: list[Likeness] = []
    closest: list[Likeness] = []
    with ThreadPoolExecutor() as pool:

        def measure(candidate: tuple[int, int, bool]) -> Likeness:
            first, second, mirrored = candidate
            other = thumbnails[second][:, ::-1] if mirrored else thumbnails[second]
            return Likeness(aligned_correlation(thumbnails[first], other), first, second, mirrored)

        for candidates in _candidates(describe_thumbnails(thumbnails), progress=progress):
            measured = list(pool.map(measure, candidates))
            found += [likeness for likeness in measured if likeness.correlation >= DUPLICATE]
            closest = heapq.nlargest(others, closest + [m for m in measured if m.correlation < DUPLICATE])
    best: dict[tuple[int, int], Likeness] = {}
    for likeness in sorted(found):  # a symmetrical face may be a duplicate both ways; the better one stays
        best[likeness.first, likeness.second] = likeness
    closest = [likeness for likeness in closest if (likeness.first, likeness.second) not in best]
    return sorted(best.values(), reverse=True), closest


def find_copies(thumbnails: np.ndarray, others: np.ndarray) -> list[Likeness]:
    """Near-duplicates, as ``find_duplicates`` knows them, of grey thumbnails (N, 64, 64) among others (M, 64, 64).

    ``first`` is an index of thumbnails and ``second`` of others; of each of the others the most alike one, best first.
    """
    rows = describe_thumbnails(others)
    best: dict[int, Likeness] = {}
    for mirrored in (False, True):
        turned = thumbnails[:, :, ::-1] if mirrored else thumbnails
        likeness = describe_thumbnails(turned) @ rows.T
        for i, j in np.argwhere(likeness > CANDIDATE).tolist():
            found = Likeness(aligned_correlation(turned[i], others[j]), i, j, mirrored)
            if found.correlation >= DUPLICATE and (j not in best or best[j] < found):
                best[j] = found
    return sorted(best.values(), reverse=True)
