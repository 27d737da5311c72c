"""Which faces of a photo are parsed in crops of their own: those that are found, or those that somebody names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from face_parsing.faces.alignment import box_of_points, points_of_box, quadrangle, side_of
from face_parsing.faces.detector import Face, RunDetector
from face_parsing.faces.given import why_outside
from face_parsing.faces.portrait import portrait_face
from face_parsing.faces.search import find_faces, first_look, shrunk, stand_up

FacesMode = Literal["auto", "all", "largest", "off"]
"""``all`` faces, the ``largest``, none (``off``); ``auto``: all, but leave an aligned portrait as it is."""
FACES_MODES: tuple[FacesMode, ...] = get_args(FacesMode)

GivenFace = Face | np.ndarray | Sequence[float] | Sequence[Sequence[float]]
"""A Face, its points (5, 2), or its box (4,), in pixels of the photo."""


def choose_faces(
    run: RunDetector, photo: np.ndarray, mode: FacesMode, *, least_score: float, least_size: float, threads: int = 1
) -> tuple[bool, list[Face]]:
    """Whether a photo (H, W, 3) is an aligned portrait, which ``auto`` leaves alone, and its faces, largest first.

    The looks take so many ``threads``.
    """
    seen = None
    if mode == "auto":
        small, shrink = shrunk(photo)
        seen = first_look(run, small, shrink)

        def upside_down() -> float:
            turned = np.ascontiguousarray(small[::-1, ::-1])
            return max((face.score for face in first_look(run, turned, shrink)), default=0.0)

        face = portrait_face(seen, photo.shape[0], photo.shape[1], upside_down)
        if face is not None and face.score >= least_score:
            return True, [face]
    faces = find_faces(run, photo, least_score=least_score, least_size=least_size, seen=seen, threads=threads)
    return False, faces[:1] if mode == "largest" else faces


def given_faces(given: Sequence[GivenFace], photo: np.ndarray, run: RunDetector | None) -> list[Face]:
    """The faces that somebody names, largest first, of a photo (H, W, 3).

    The points of a box are looked for there or, without a detector or where it sees none, are where they mostly are.
    Raises ValueError for what is no face.
    """
    faces = [_given_face(one, photo, run) for one in given]
    return sorted(faces, key=lambda face: -side_of(quadrangle(face.points)))


def _given_face(one: GivenFace, photo: np.ndarray, run: RunDetector | None) -> Face:
    if isinstance(one, Face):
        return one  # detected, or followed out of the photo
    values = np.asarray(one, dtype=np.float64)
    if values.shape not in ((4,), (5, 2)) or not np.isfinite(values).all():
        raise ValueError(
            f"a face is a Face, five points (5, 2) or a box (4,) of x, y, width and height, and not {values.shape}; "
            "faces are a list of these."
        )
    outside = why_outside(values, (photo.shape[0], photo.shape[1]))
    if values.shape == (5, 2):
        if side_of(quadrangle(values)) < 1:
            raise ValueError("the five points of a face are one point; give eyes, nose and corners of the mouth.")
        if outside:
            raise ValueError(f"{outside}; correct them.")
        return Face(box_of_points(values), values, 1.0)
    if min(values[2:]) <= 0:
        raise ValueError(f"the box of a face is x, y, width and height, and {values.tolist()} has none.")
    if outside:
        raise ValueError(f"{outside}; correct it.")
    face = Face(values, points_of_box(values), 0.0)
    seen = stand_up(run, photo, *shrunk(photo), face) if run is not None else None
    return Face(values, face.points if seen is None else seen.points, 1.0)
