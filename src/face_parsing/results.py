"""What parsing gives for a photo: its mask, its faces, pictures to look at, and files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from face_parsing.drawing.overlays import overlay
from face_parsing.faces.alignment import crop, roll, side_of, to_photo
from face_parsing.inference.outputs import Extras, Files, write_crops, write_outputs
from face_parsing.labels import LabelSet, colorize
from face_parsing.weights import Weights

PathLike = str | os.PathLike[str]

Found = Literal["off", "portrait", "faces", "whole", "empty", "skip"]
"""How a mask came about.

``off``: the photo was parsed as it is, and nobody looked for faces. ``portrait``: as it is, since its face lies in it
as networks know them. ``faces``: each face was parsed in its aligned crop. There was none, and the photo was parsed as
it is (``whole``), has a mask of background (``empty``), or is to be left out (``skip``, of background too).
"""


@dataclass(frozen=True, eq=False)
class ParsedFace:
    """A face of a photo; all places are in pixels of the photo, (x, y) from its upper left corner.

    ``box`` is (4,): x, y, width, height. ``points`` is (5, 2): the person's right eye, left eye, tip of the nose, right
    and left corner of the mouth. ``score`` is from 0 to 1, and 1 of a face that was given. ``quadrangle`` is (4, 2):
    the corners of the aligned crop, upper left, upper right, lower right, lower left as the face stands upright.
    ``number`` is what the face's pixels are in ``instances``, from 1.
    """

    box: np.ndarray
    points: np.ndarray
    score: float
    quadrangle: np.ndarray
    number: int
    size: int
    """Pixels of a side of the crop: those that the network sees."""
    _photo: np.ndarray = field(repr=False)
    _mask: np.ndarray = field(repr=False)
    _instances: np.ndarray = field(repr=False)
    _crop_mask: np.ndarray | None = field(default=None, repr=False)

    @property
    def roll(self) -> float:
        """By how many degrees it is turned clockwise from upright, as seen: -180 to 180."""
        return roll(self.points)

    @property
    def mask(self) -> np.ndarray:
        """The photo's mask (H, W) uint8 of this face alone: class ids where it is, and else 0."""
        return np.where(self._instances == self.number, self._mask, np.uint8(0))

    @property
    def crop(self) -> np.ndarray:
        """The face upright, of the usual size and in the middle: (size, size, 3) uint8 RGB."""
        return crop(self._photo, self.quadrangle, self.size)

    @property
    def crop_mask(self) -> np.ndarray:
        """The class ids (size, size) uint8 of ``crop``."""
        if self._crop_mask is not None:
            return self._crop_mask
        places = (np.stack(np.meshgrid(*[np.arange(self.size)] * 2), -1) + 0.5).reshape(-1, 2)
        H, W = self._mask.shape
        x, y = np.floor(to_photo(places, self.quadrangle, self.size)).astype(int).clip(0, (W - 1, H - 1)).T
        return self._mask[y, x].reshape(self.size, self.size)

    def to_json(self, labels: LabelSet) -> dict[str, Any]:
        """Plain values, places rounded to a hundredth of a pixel; ``pixels`` has the number of each class."""
        own = self._mask[self._instances == self.number]
        values = {name: np.asarray(getattr(self, name), np.float64) for name in ("box", "points", "quadrangle")}
        return {
            "number": self.number,
            "score": round(self.score, 4),
            "roll": round(self.roll, 2),
            "side": round(side_of(self.quadrangle), 2),
            **{name: np.round(value, 2).tolist() for name, value in values.items()},
            "pixels": _pixels(own, labels),
        }


@dataclass(frozen=True, eq=False)
class ParsedPhoto:
    """The mask of one photo: ``result.mask``, ``result["hair"]``, its faces, pictures to look at, and files.

    ``mask`` is (H, W) uint8, as large as ``photo`` (H, W, 3) uint8 RGB, and holds class ids, which index
    ``labels.names``. ``name`` is what its files are called, ``file`` where it was read.

    ``faces`` has the largest first, and is empty where none was looked for or found; ``found`` says which.
    ``instances`` is (H, W) uint16: k where the k-th face of ``faces`` is, with hair and clothes, and 0 where nobody is.
    ``probabilities`` is (H, W, C) uint8, the probability of each class times 255, or None unless it was asked for.
    """

    mask: np.ndarray
    photo: np.ndarray
    labels: LabelSet
    name: str = "photo"
    file: Path | None = None
    faces: tuple[ParsedFace, ...] = ()
    found: Found = "off"
    instances: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint16))
    probabilities: np.ndarray | None = None
    weights: Weights | None = None

    def __post_init__(self) -> None:
        if not self.instances.size:
            object.__setattr__(self, "instances", np.zeros(self.mask.shape, np.uint16))

    def __getitem__(self, name: str) -> np.ndarray:
        """Where a class is: (H, W) bool. Raises KeyError for a name that is no class."""
        if name not in self.labels.names:
            raise KeyError(f"there is no class {name!r}; choose from {', '.join(self.labels.names)}")
        return self.mask == self.labels.names.index(name)

    def __repr__(self) -> str:
        H, W = self.mask.shape
        return f"<ParsedPhoto {self.name}: {W}x{H}, {self.found}, {len(self.faces)} faces>"

    def color(self) -> np.ndarray:
        """The mask in the usual colors, (H, W, 3) uint8 RGB."""
        return colorize(self.mask, self.labels)

    def overlay(self, alpha: float = 0.5) -> np.ndarray:
        """The photo under the colors, ``alpha`` (0 to 1) parts of them, (H, W, 3) uint8 RGB."""
        return overlay(self.photo, self.mask, alpha, self.labels)

    def save(
        self,
        folder: PathLike,
        *,
        name: str | None = None,
        color: bool = False,
        overlay: bool = False,
        instances: bool = False,
        json: bool = False,
        soft: bool = False,
        crops: bool = False,
        overwrite: bool = False,
        keep: bool = False,
    ) -> dict[str, Path]:
        """Write folder/masks/<name>.png and, where asked for, color/<name>.png, overlay/<name>.jpg and so on.

        ``name`` is what the files are called; None is the photo's own. Give one to arrays and to Pillow's images that
        were never a file: without it each of them is called ``photo``.

        Returns the files under ``mask``, ``color``, ``overlay``, ``instances``, ``json``, ``soft``, and ``crop_1``,
        ``crop_mask_1`` and so on. Of a photo that is to be left out (``found`` is skip) only the JSON file is written.
        Raises FileExistsError where a file is there already, and ValueError for probabilities that nobody asked for.
        With ``overwrite`` files that are there are replaced; with ``keep`` they stay, and only the others are written.
        """
        name = name or self.name
        if soft and self.probabilities is None:
            raise ValueError(f"{name} has no probabilities to save; make the parser with soft=True, or leave soft out.")
        files = Files(color=color, overlay=overlay, instances=instances, json=json, soft=soft, crops=crops)
        output = Path(folder)
        existing = files.replaced(output, name)
        if existing and not overwrite and not keep:
            raise FileExistsError(
                f"{existing[0]} would be replaced; pass overwrite=True, or choose another name or folder."
            )
        paths = files.paths(output, name)
        if self.found == "skip":
            paths = {kind: path for kind, path in paths.items() if kind == "json"}
        if keep:
            paths = {kind: path for kind, path in paths.items() if path not in existing}
        written: dict[str, Path] = {}
        if crops:
            both = ((face.crop, face.crop_mask) for face in self.faces)
            written = write_crops(output, name, both, self.labels, keep=keep)
        extras = Extras(self.instances, self.to_json() if json else None, self.probabilities)
        write_outputs(self.photo, self.mask, paths, self.labels, extras)
        return paths | written

    def to_json(self) -> dict[str, Any]:
        """What was found, as plain values: file, size, how, each face, pixels of each class, weights and licence."""
        H, W = self.mask.shape
        known = self.weights or Weights(())
        return {
            "file": None if self.file is None else str(self.file),
            "width": W,
            "height": H,
            "found": self.found,
            "faces": [face.to_json(self.labels) for face in self.faces],
            "pixels": _pixels(self.mask, self.labels),
            "weights": [path.name for path in known.files],
            "track": known.track,
            "licence": known.licence,
            "detector": None if known.detector is None else known.detector.name,
        }


def _pixels(mask: np.ndarray, labels: LabelSet) -> dict[str, int]:
    """How many pixels of a mask, of any shape, each class has that is there; background is left out."""
    counts = np.bincount(mask.ravel(), minlength=len(labels)).tolist()
    return {name: count for name, count in zip(labels.names[1:], counts[1:], strict=True) if count}
