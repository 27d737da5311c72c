"""What a data set holds: every file looked at, and the shares of the classes.

Nothing here stops at a bad file: what is wrong with it is kept beside what is known of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from face_parsing.audit.near_duplicates import THUMBNAIL
from face_parsing.data.mask_log import IGNORE_HINT, MaskLog, background_alone
from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.mask_seams import Smoothing, smoothing_of
from face_parsing.data.masks import read_mask
from face_parsing.data.pairs import no_image, size_difference
from face_parsing.data.photo_files import PHOTO_SUFFIXES, photos_in
from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.data.problems import LAYOUT_HINT, DataError
from face_parsing.data.split import read_stems
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, LEFT_RIGHT_PAIRS, NUM_CLASSES, is_mirrored

SPLITS = ("train", "val", "dev", "test")
# Odd masks; rate_oddness says what they mean.
FEATURES = ("area", "x", "y", "parts")
UNSURE = 0.05  # of the width


@dataclass(frozen=True)
class PhotoFacts:
    """A readable photo. thumbnail is (64, 64) uint8, grey."""

    size: tuple[int, int]  # width, height
    mode: str
    format: str
    constant: bool
    grey: bool
    thumbnail: np.ndarray


@dataclass(frozen=True)
class MaskFacts:
    """A readable mask: pixels of each of the 19 classes, ignored ones, and the classes' shape.

    votes: of each left/right pair of which both sides are present, eyes first, whether the left one lies left.
    shape (19, 4), nan for absent classes: log of the share of pixels, centre x and y as a share of width and height,
    log2 of the number of connected parts.
    """

    size: tuple[int, int]
    mode: str
    pixels: np.ndarray  # (19,)
    ignored: int
    mirrored: bool | None
    votes: tuple[bool, ...]
    shape: np.ndarray
    smoothing: Smoothing | None = None

    @property
    def contradictory(self) -> bool:
        """Whether eyes, brows and ears disagree about the photo being mirrored."""
        return len(set(self.votes)) > 1

    @property
    def looks_mirrored(self) -> bool | None:
        """A guess for a mask without a whole pair: whether its left labels lie in the left half, or right ones right.

        None where there are no such labels, or where they lie within a twentieth of the middle, as in half-profiles.
        """
        leans = [self.shape[left, 1] - 0.5 for left, _ in LEFT_RIGHT_PAIRS]
        leans += [0.5 - self.shape[right, 1] for _, right in LEFT_RIGHT_PAIRS]
        known = [lean for lean in leans if not np.isnan(lean)]
        lean = float(np.mean(known)) if known else 0.0
        return None if abs(lean) < UNSURE else lean < 0


@dataclass
class InspectedPair:
    """One stem of a split, with all that was found out about it."""

    split: str
    stem: str
    image: Path | None = None
    mask: Path | None = None
    photo_facts: PhotoFacts | None = None
    mask_facts: MaskFacts | None = None
    problems: list[str] = field(default_factory=list)
    """What training refuses."""
    notes: list[str] = field(default_factory=list)
    """What training takes but a person should know."""

    @property
    def name(self) -> str:
        """The split and the stem, as reports name it."""
        return f"{self.split}/{self.stem}"


def _list_files(folder: Path, notes: list[str]) -> Iterator[Path]:
    photos = photos_in(folder)
    known = set(photos)
    for path in sorted(folder.iterdir()):
        if path not in known and not path.name.startswith("."):
            notes.append(f"{path}: none of {', '.join(PHOTO_SUFFIXES)}, so no command of this project looks at it")
    yield from photos


def find_faces(root: Path, val_stems: Path | None = None) -> tuple[list[InspectedPair], list[str], list[str]]:
    """Every stem of root/{train,val,dev,test}, with the problems and notes that belong to no single face.

    Stems of train that the file val_stems lists go to the split val. A split may have images alone, but train and
    val, and each that has a folder of masks, need pairs. Raises DataError where there is nothing to look at.
    """
    if not root.is_dir():
        raise DataError(f"There is no data folder {root}; {LAYOUT_HINT}")
    chosen = set(read_stems(val_stems)) if val_stems is not None else set()
    if val_stems is not None and (root / "val").is_dir():
        raise DataError(f"--val_stems {val_stems} and the folder {root / 'val'} are both there; keep one of them.")
    faces: dict[tuple[str, str], InspectedPair] = {}
    problems: list[str] = []
    notes: list[str] = []
    for split in SPLITS:
        folder = root / split
        wanted = [part for part in ("images", "masks") if (folder / part).is_dir()]
        if folder.is_dir() and (not wanted or (split in ("train", "val") and len(wanted) < 2)):
            lacks = "masks" if wanted == ["images"] else "images"
            problems.append(f"{folder}: there is no folder {folder / lacks}")
        for part in wanted:
            for path in _list_files(folder / part, notes):
                face = faces.setdefault((split, path.stem), InspectedPair(split, path.stem))
                other = face.image if part == "images" else face.mask
                if other is not None:
                    face.problems.append(f"{path}: {other.name} has the same stem")
                elif part == "images":
                    face.image = path
                else:
                    face.mask = path
        if len(wanted) == 2:
            for face in (face for (where, _), face in faces.items() if where == split):
                if face.mask is None:
                    face.problems.append(f"{face.image}: no mask {folder / 'masks' / face.stem}.png")
                if face.image is None:
                    face.problems.append(f"{face.mask}: {no_image(face.stem, folder / 'images')}")
    if not faces:
        raise DataError(f"There are no photos in {root}/{{{','.join(SPLITS)}}}/images; {LAYOUT_HINT}")
    problems += [f"{val_stems}: {stem} is not in {root / 'train'}" for stem in sorted(chosen)
                 if ("train", stem) not in faces]  # fmt: skip
    for (split, stem), face in faces.items():
        if split == "train" and stem in chosen:
            face.split = "val"
    return sorted(faces.values(), key=lambda face: (SPLITS.index(face.split), face.stem)), problems, notes


def photo_facts(path: Path) -> PhotoFacts:
    """Read a photo and describe it. Raises PhotoError."""
    photo = read_photo(path)
    with Image.open(path) as image:  # the header alone: read_photo has shown that the pixels are fine
        mode, kind = image.mode, image.format or ""
    thumbnail = cv2.resize(photo, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    # Both allow what JPEG adds to one color, or to none.
    constant = bool(cv2.meanStdDev(photo)[1].max() < 1)
    grey = bool(np.ptp(thumbnail.astype(int), axis=2).max() <= 2)
    height, width = photo.shape[:2]
    return PhotoFacts((width, height), mode, kind, constant, grey, cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY))


def _class_shape(mask: np.ndarray, c: int) -> tuple[float, float, float, float]:
    inside = (mask == c).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(inside)
    parts, _, stats, centres = cv2.connectedComponentsWithStats(inside[top : top + height, left : left + width])
    areas = stats[1:, cv2.CC_STAT_AREA].astype(float)
    x, y = (areas @ centres[1:]) / areas.sum()
    H, W = mask.shape
    return float(np.log(areas.sum() / mask.size)), (left + x) / W, (top + y) / H, float(np.log2(parts - 1))


def mask_facts(path: Path, rule: IdRule = USUAL, log: MaskLog | None = None) -> MaskFacts:
    """Read a mask, as ``read_mask`` does, and describe it. Raises DataError."""
    mask = read_mask(path, rule, log)
    with Image.open(path) as image:
        mode = image.mode
    counts = np.bincount(mask.ravel(), minlength=256)
    shape = np.full((NUM_CLASSES, len(FEATURES)), np.nan)
    for c in np.flatnonzero(counts[:NUM_CLASSES]):
        shape[c] = _class_shape(mask, int(c))
    votes = tuple(bool(shape[l, 1] < shape[r, 1]) for l, r in LEFT_RIGHT_PAIRS if counts[l] and counts[r])  # noqa: E741
    return MaskFacts(
        (mask.shape[1], mask.shape[0]),
        mode,
        counts[:NUM_CLASSES],
        int(counts[IGNORE_INDEX]),
        is_mirrored(mask) if votes else None,
        votes,
        shape,
        smoothing_of(mask),
    )


def _inspect(face: InspectedPair, rule: IdRule, log: MaskLog) -> None:
    if face.image is not None:
        try:
            face.photo_facts = photo_facts(face.image)
        except PhotoError as error:
            face.problems.append(str(error))
    if face.mask is not None:
        try:
            face.mask_facts = mask_facts(face.mask, rule, log)
        except DataError as error:
            face.problems.append(str(error))
    photo, mask = face.photo_facts, face.mask_facts
    if photo and mask and photo.size != mask.size:
        face.problems.append(f"{face.mask}: {size_difference(mask.size[::-1], photo.size[::-1])}")
    if photo and photo.constant:
        face.notes.append(f"{face.image}: one color all over")
    elif photo and photo.grey:
        face.notes.append(f"{face.image}: has no color")
    if mask and np.count_nonzero(mask.pixels) <= 1:
        what = "nothing but ignored pixels" if not mask.pixels.any() else CLASS_NAMES[int(mask.pixels.argmax())]
        why = f" ({IGNORE_HINT})" if mask.ignored and not mask.pixels[1:].any() else ""
        face.notes.append(f"{face.mask}: {what} all over{why}")
    if mask and mask.smoothing:
        face.notes.append(f"{face.mask}: {mask.smoothing}; it seems to have been resized, blurred or compressed")
    if mask and mask.contradictory:
        face.notes.append(f"{face.mask}: eyes, brows and ears disagree about which side is left")


def inspect_faces(
    faces: Sequence[InspectedPair], rule: IdRule = USUAL, *, progress: bool = True
) -> tuple[list[str], list[str]]:
    """Fill in the facts, problems and notes of each face. Gives problems and notes of the masks as a whole."""
    log = MaskLog()
    with ThreadPoolExecutor() as pool:
        done = pool.map(partial(_inspect, rule=rule, log=log), faces)
        for _ in tqdm(done, total=len(faces), desc="reading", unit="face", disable=not progress, leave=False):
            pass
    problems = [
        background_alone(f"{split}/", ignored=any(mask.ignored for mask in masks))
        for split in SPLITS
        if (masks := [face.mask_facts for face in faces if face.split == split and face.mask_facts is not None])
        and not any(mask.pixels[1:].any() for mask in masks)
    ]
    return problems, log.palette_notes() + log.order_notes()


@dataclass(frozen=True)
class ClassShares:
    """(19,) each: in how many of the masks a class occurs, and its share of their pixels, ignored ones left out."""

    masks: int
    images: np.ndarray
    pixels: np.ndarray

    @property
    def imbalance(self) -> float:
        """Pixels of the most frequent class over those of the least frequent one that occurs at all."""
        present = self.pixels[self.pixels > 0]
        return float(present.max() / present.min()) if len(present) else float("nan")

    @property
    def effective_classes(self) -> float:
        """exp(entropy of the pixel shares): 19 for equal shares, 1 for one class alone."""
        present = self.pixels[self.pixels > 0]
        return float(np.exp(-(present * np.log(present)).sum()))


def class_shares(masks: Sequence[MaskFacts]) -> ClassShares:
    """How often the classes occur in masks."""
    pixels = np.array([mask.pixels for mask in masks], dtype=np.int64).reshape(-1, NUM_CLASSES)
    return ClassShares(len(masks), (pixels > 0).sum(0), pixels.sum(0) / max(pixels.sum(), 1))


def count(values: Iterable[object]) -> dict[str, int]:
    """How often each value occurs, the most frequent first."""
    return {str(value): number for value, number in Counter(values).most_common()}
