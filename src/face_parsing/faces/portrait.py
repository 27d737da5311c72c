"""Which photos are aligned portraits already, and left alone: aligning a face that lies as it should costs a little.

All numbers are of a photo of which the longer side is 512 pixels, as the networks see it. They were measured at a first
look on the 900 training and validation faces of CelebAMask-HQ mini: all 100 of validation and 779 of the others fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from face_parsing.faces.alignment import roll
from face_parsing.faces.detector import Face

SEEN_AT = 512.0
EYE_DISTANCE = (88.0, 156.0)
EYES_TO_MOUTH = (105.0, 168.0)
EYES_X, EYES_Y = (236.0, 272.0), (226.0, 262.0)
"""Where the middle between the eyes lies."""
MOST_ROLL = 13.0
LEAST_SCORE, SURE = 0.90, 0.93
"""A photo upside down scores less than SURE, and less than the same photo upright (900 of 900)."""
BYSTANDER = 0.5
"""Another face counts from so many times the size of the largest on."""


def portrait_face(faces: Sequence[Face], height: int, width: int, upside_down: Callable[[], float]) -> Face | None:
    """The face of a photo of that size, if it is an aligned portrait; ``faces`` are those of a first look.

    ``upside_down`` gives the best score of the photo turned by 180 degrees; it is asked where there is doubt.
    """
    sizes = [float(face.box[2:].prod()) ** 0.5 for face in faces]
    if not faces or (sorted(sizes)[-2:][0] > BYSTANDER * max(sizes) and len(faces) > 1):
        return None
    face = faces[int(np.argmax(sizes))]
    if not lies_as_trained(face, SEEN_AT / max(height, width)):
        return None
    return face if face.score >= SURE or upside_down() < face.score else None


def lies_as_trained(face: Face, scale: float) -> bool:
    """Whether a face, its places times ``scale``, is upright, of the size and at the place of those trained on."""
    right_eye, left_eye, _, right_mouth, left_mouth = np.asarray(face.points, np.float64) * scale
    middle = (right_eye + left_eye) / 2
    values = {
        EYE_DISTANCE: np.hypot(*(left_eye - right_eye)),
        EYES_TO_MOUTH: np.hypot(*((right_mouth + left_mouth) / 2 - middle)),
        EYES_X: middle[0],
        EYES_Y: middle[1],
        (-MOST_ROLL, MOST_ROLL): roll(face.points),
    }
    return face.score >= LEAST_SCORE and all(least <= value <= most for (least, most), value in values.items())
