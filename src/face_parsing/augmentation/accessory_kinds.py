"""The accessories that one face can lend another, and where on it they go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from face_parsing.augmentation.face_geometry import EYES, FACE_PARTS, NOSE, face_similarity, upwards
from face_parsing.labels import CLASS_NAMES, class_ids

_ID = {name: i for i, name in enumerate(CLASS_NAMES)}


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
    nose = source[NOSE]
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
