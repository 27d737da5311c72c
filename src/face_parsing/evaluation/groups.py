"""How a network does by groups of faces: skin tone, glasses, hats, long hair.

Photo and true mask alone decide on a face's groups, never a prediction. A group's mean says how well its faces are
parsed, not why: who wears a hat differs in more than the hat. A face's F-Score counts the classes that it holds, so
the classes of glasses and hats count in the means of those who wear them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.evaluation.evaluator import EvaluationItem, EvaluationResult, read_truth
from face_parsing.evaluation.significance import bootstrap_difference, bootstrap_interval
from face_parsing.labels import CELEBAMASK, LabelSet, class_ids
from face_parsing.system.commands import UsageError

SKIN = class_ids("skin", "nose")
MOUTH = class_ids("mouth", "u_lip", "l_lip")
GLASSES, HAT, HAIR = class_ids("eye_g", "hat", "hair")
LONG = 1 / 20  # hair below the mouth as a share of skin and nose
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of linear red, green and blue, sRGB's


@dataclass(frozen=True)
class FaceTraits:
    """What photo and true mask say of a face; None where they do not say it."""

    lightness: float | None
    """Median L* of its skin, 0 to 100."""
    glasses: bool
    """On the nose or in the hair: the truth holds a pixel of them."""
    hat: bool
    long_hair: bool | None


def _linear() -> np.ndarray:
    """(256,) the light, 0 to 1, that an sRGB byte stands for."""
    s = np.arange(256) / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)


def lightness(pixels: np.ndarray) -> np.ndarray:
    """CIELAB's L* (N,), 0 to 100, of sRGB pixels (N, 3) uint8 under D65."""
    Y = _linear()[pixels] @ LUMINANCE
    return np.where(Y > (6 / 29) ** 3, 116 * np.cbrt(Y) - 16, Y * (29 / 3) ** 3)


def skin_lightness(photo: np.ndarray, mask: np.ndarray) -> float | None:
    """Median L* of the pixels (H, W, 3) that the mask (H, W) calls skin or nose; None for a face without skin.

    It is lightness in the photo, with the light that fell on the face, its make-up and the camera's exposure. It is
    not a person's ethnicity, nor the color of the skin itself.
    """
    skin = photo[np.isin(mask, SKIN)]
    return float(np.median(lightness(skin))) if len(skin) else None


def has_long_hair(mask: np.ndarray) -> bool | None:
    """Whether hair below the mouth covers at least a twentieth of the area of skin and nose.

    That takes in bobs that reach the chin, and leaves out single strands and hair that ends in the neck. Beards are
    skin in the data. None for a face without hair, or without mouth and lips.
    """
    mouth, hair = np.isin(mask, MOUTH).any(1), mask == HAIR
    if not mouth.any() or not hair.any():
        return None
    below = hair[np.flatnonzero(mouth)[-1] + 1 :].sum()
    return bool(below > 0 and below >= LONG * np.isin(mask, SKIN).sum())


def _traits(item: EvaluationItem, rule: IdRule) -> FaceTraits:
    if item.photo is None:
        raise UsageError(f"--groups looks at the photos, and that of {item.mask} is not known; name them by --images.")
    photo, mask = read_photo(item.photo), read_truth(item, CELEBAMASK, rule)
    if photo.shape[:2] != mask.shape:
        size, expected = ("x".join(map(str, array.shape[1::-1])) for array in (photo, mask))
        raise DataError(f"{item.photo} is {size}, its mask is {expected}; --groups needs them of one size.")
    glasses, hat = bool((mask == GLASSES).any()), bool((mask == HAT).any())
    return FaceTraits(skin_lightness(photo, mask), glasses, hat, has_long_hair(mask))


def read_traits(
    items: Sequence[EvaluationItem], labels: LabelSet = CELEBAMASK, rule: IdRule = USUAL
) -> dict[str, FaceTraits]:
    """The traits of each face by its stem; labels are the classes that are evaluated, rule how true masks are read.

    Raises UsageError for a coarser task and for faces whose photo is not known.
    """
    if labels != CELEBAMASK:
        raise UsageError("--groups is for the 19 classes of CelebAMask-HQ; leave it out for a coarser task.")
    return {item.stem: _traits(item, rule) for item in items}


@dataclass(frozen=True)
class Grouping:
    """One trait, and which of N faces belong to each of its groups; a face may belong to none."""

    trait: str
    members: dict[str, np.ndarray]
    """(N,) bool by the group's name; the first and the last group are compared."""
    lightness: dict[str, tuple[float, float]]
    """The lowest and the highest L* of each group that has faces; empty for other traits."""

    @property
    def left_out(self) -> int:
        """Faces that belong to no group."""
        return int((~np.any(list(self.members.values()), axis=0)).sum())


def _terciles(values: np.ndarray) -> Grouping:
    """The thirds of faces by L* (N,), nan for a face without skin; equal faces share a group."""
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, (1 / 3, 2 / 3)) if len(known) else (np.nan, np.nan)
    members = {"dark": values <= low, "medium": (values > low) & (values <= high), "light": values > high}
    ranges = {
        name: (float(values[inside].min()), float(values[inside].max()))
        for name, inside in members.items()
        if inside.any()
    }
    return Grouping("skin tone", members, ranges)


def group_faces(faces: Sequence[FaceTraits]) -> list[Grouping]:
    """The groups of these faces. Skin tones are terciles of the faces at hand, so other faces move the limits."""
    values = np.array([np.nan if face.lightness is None else face.lightness for face in faces])
    glasses, hat = np.array([face.glasses for face in faces]), np.array([face.hat for face in faces])
    long, short = (np.array([face.long_hair is side for face in faces]) for side in (True, False))
    return [
        _terciles(values),
        Grouping("glasses", {"with": glasses, "without": ~glasses}, {}),
        Grouping("hat", {"with": hat, "without": ~hat}, {}),
        Grouping("hair", {"long": long, "short": short}, {}),
    ]


SCORES = {"f_score": "f_score", "f_score_lr_corrected": "lr_corrected"}
"""The figures as JSON names them, and as an EvaluationResult does."""


def _means(result: EvaluationResult, inside: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {"faces": int(inside.sum())}
    if inside.any():
        for key, field in SCORES.items():
            values = getattr(result, field)[inside]
            found[key] = float(values.mean())
            if len(values) > 1:
                found[f"{key}_interval"] = bootstrap_interval(values)
    return found


def _difference(result: EvaluationResult, grouping: Grouping) -> dict[str, Any] | None:
    """The first group's means less the last group's; None where one has a single face or none."""
    first, *_, last = grouping.members
    one, other = grouping.members[first], grouping.members[last]
    if min(one.sum(), other.sum()) < 2:
        return None
    found: dict[str, Any] = {"this": first, "other": last}
    for key, field in SCORES.items():
        a, b = getattr(result, field)[one], getattr(result, field)[other]
        low, high = bootstrap_difference(a, b)
        found[key] = {"mean": float(a.mean() - b.mean()), "low": low, "high": high}
    return found


def group_figures(result: EvaluationResult, traits: dict[str, FaceTraits]) -> dict[str, Any]:
    """For each trait the means of its groups with their 95 % intervals, and how its first and last group differ.

    A group of one face has no interval, and a trait of which one side has fewer than two faces no difference.
    """
    found: dict[str, Any] = {}
    for grouping in group_faces([traits[stem] for stem in result.stems]):
        groups = {name: _means(result, inside) for name, inside in grouping.members.items()}
        for name, ends in grouping.lightness.items():
            groups[name]["lightness"] = ends
        difference = _difference(result, grouping)
        found[grouping.trait] = {"groups": groups, "difference": difference, "left_out": grouping.left_out}
    return found


FEW = 20
"""Faces of a group, below which a bootstrap's interval is too narrow: it draws from these few alone."""
WIDTH = 27  # of a figure with its interval


def _cell(row: dict[str, Any], key: str) -> str:
    """A figure of a group with its interval, as far as it has them."""
    if key not in row:
        return "-"
    interval = row.get(f"{key}_interval")
    return f"{row[key]:.4f}" + ("" if interval is None else " [{:.4f}, {:.4f}]".format(*interval))


def _row_of_group(trait: str, name: str, row: dict[str, Any]) -> str:
    tone = "L* {:.0f} to {:.0f}".format(*row["lightness"]) if "lightness" in row else ""
    mark = "*" if 0 < row["faces"] < FEW else " "
    cells = "".join(f"{_cell(row, key):>{WIDTH}}" for key in SCORES)
    return f"{f'{trait}: {name}':<24}{row['faces']:>6}{mark}{cells}   {tone}".rstrip()


def _row_of_difference(trait: str, found: dict[str, Any]) -> str:
    first, *_, last = found["groups"]
    counts, difference = [found["groups"][name]["faces"] for name in (first, last)], found["difference"]
    name = f"{trait}: {first} - {last}"
    if difference is None:
        return f"{name:<31}   cannot be told: {counts[0]} and {counts[1]} faces"
    ends = [difference[key] for key in SCORES]
    texts = [f"{end['mean']:+.4f} [{end['low']:+.4f}, {end['high']:+.4f}]" for end in ends]
    mark = " *" if min(counts) < FEW else ""
    return f"{name + mark:<31}" + "".join(f"{text:>{WIDTH}}" for text in texts)


def group_report(found: dict[str, Any]) -> str:
    """What ``group_figures`` found, as text: a row a group, then a row a difference."""
    lines = [
        "",
        "Skin tones are thirds of the faces at hand, by lightness in the photo, "
        "which depends on the light that fell on the face.",
        f"{'group':<24}{'faces':>6} {'F-Score':>{WIDTH}}{'left/right corrected':>{WIDTH}}",
    ]
    for trait, each in found.items():
        lines += [_row_of_group(trait, name, row) for name, row in each["groups"].items()]
    lines.append("")
    lines += [_row_of_difference(trait, each) for trait, each in found.items()]
    lines.append("(95 % intervals, bootstrap over faces)")
    if any(0 < row["faces"] < FEW for each in found.values() for row in each["groups"].values()):
        lines.append(f"* fewer than {FEW} faces: the interval is too narrow to be trusted.")
    missing = [f"{trait} {each['left_out']}" for trait, each in found.items() if each["left_out"]]
    if missing:
        lines.append(f"Left out, without skin, or without hair or mouth: {', '.join(missing)}.")
    return "\n".join(lines)
