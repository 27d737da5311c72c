"""The same data in other folders, and with its ids in another order.

Also where the splits of any set are found: the other preparations read through ``find_splits`` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from face_parsing.config.loading import ConfigError, parse_yaml
from face_parsing.data.mask_palettes import IdRule, MaskIds
from face_parsing.data.pairs import no_image
from face_parsing.data.photo_files import photos_in
from face_parsing.data.provenance import broken_rule
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, PALETTE, class_ids
from face_parsing.preparation.copying import SPLITS, Job, Plan, PreparationError
from face_parsing.preparation.pair_files import UNKNOWN, copy_pair

OWN_LAYOUT: tuple[tuple[str, str], ...] = (("SPLIT/images", "SPLIT/masks"),)

# Folders of images and of masks, where SPLIT stands for train, val or test. Masks of test may be missing.
LAYOUTS: tuple[tuple[str, str], ...] = (
    *OWN_LAYOUT,
    ("SPLIT/SPLIT_image", "SPLIT/SPLIT_mask"),
    ("SPLIT_image", "SPLIT_mask"),
    ("SPLIT/image", "SPLIT/mask"),
    ("SPLIT/image", "SPLIT/label"),
    ("SPLIT/images", "SPLIT/labels"),
    ("SPLIT_img", "SPLIT_label"),  # as the script that comes with CelebAMask-HQ splits it
)

# What id 0, 1, 2, ... of a source means.
ORDERS: dict[str, tuple[str, ...]] = {
    "celebamask": CLASS_NAMES,
    "zllrunning": (
        "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
        "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
    ),
}  # fmt: skip


def read_order(order: str) -> tuple[str, ...]:
    """The class names of an order: one of ORDERS, or a YAML file with a list of names, the first for id 0."""
    if order in ORDERS:
        return ORDERS[order]
    path = Path(order)
    if not path.is_file():
        raise PreparationError(
            f"--order {order} is neither {' nor '.join(ORDERS)} nor a YAML file with a list of names."
        )
    try:
        names = parse_yaml(path.read_text(encoding="utf-8"), "the text")
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise PreparationError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(names, list) or not names:
        raise PreparationError(f"{path} must hold a list of class names, the first for id 0.")
    for i, name in enumerate(names):
        if name not in CLASS_NAMES:
            raise PreparationError(f"{path}: entry {i} is {name!r}; the classes are {', '.join(CLASS_NAMES)}.")
        if name in names[:i]:
            raise PreparationError(f"{path}: {name} is listed twice; each class has one id.")
    return tuple(names)


def order_table(names: tuple[str, ...]) -> np.ndarray:
    """(256,) int16: our id of each id of an order; UNKNOWN for those it lacks. 255 stays ignored."""
    table = np.full(256, UNKNOWN, dtype=np.int16)
    table[: len(names)] = class_ids(*names)
    table[IGNORE_INDEX] = IGNORE_INDEX
    return table


def _candidates(source: Path, split: str, layouts: tuple[tuple[str, str], ...]) -> list[tuple[Path, Path | None]]:
    """The folders of a split that are there; those with masks before, and instead of, those without."""
    folders = [tuple(source / part.replace("SPLIT", split) for part in layout) for layout in layouts]
    with_masks: list[tuple[Path, Path | None]] = [(i, m) for i, m in folders if i.is_dir() and m.is_dir()]
    return with_masks or list(dict.fromkeys((i, None) for i, _ in folders if i.is_dir()))


def find_splits(source: Path, layouts: tuple[tuple[str, str], ...] = LAYOUTS) -> dict[str, tuple[Path, Path | None]]:
    """The folders of images and of masks of every split that source holds; only those of test may lack masks.

    Raises PreparationError, saying what was looked for, where train is missing or a split is there twice.
    """
    if not source.is_dir():
        raise PreparationError(f"There is no folder --source {source}.")
    found: dict[str, tuple[Path, Path | None]] = {}
    for split in SPLITS:
        candidates = _candidates(source, split, layouts)
        if len(candidates) > 1:
            listed = " and ".join(str(images if masks is None else masks) for images, masks in candidates)
            raise PreparationError(f"{source} holds {split} more than once: {listed}; keep one.")
        if candidates:
            found[split] = candidates[0]
    wanted = " or ".join(f"{images} with {masks}" for images, masks in layouts)
    for split in ("train", "val"):
        if split in found and found[split][1] is None:
            raise PreparationError(
                f"{found[split][0]} has no folder of masks; looked for {wanted.replace('SPLIT', split)}."
            )
    if "train" not in found:
        raise PreparationError(f"{source} holds no training pairs; looked for {wanted.replace('SPLIT', 'train')}.")
    return found


def pair_up(images: Path, masks: Path | None) -> tuple[list[tuple[Path, Path | None]], list[str]]:
    """Images with their masks by stem, and a line for each file that has no partner, or two. masks None: no masks."""
    problems: list[str] = []

    def by_stem(folder: Path) -> dict[str, Path]:
        files: dict[str, Path] = {}
        for path in photos_in(folder):
            if path.stem in files:
                problems.append(f"{path}: {files[path.stem].name} has the same stem")
            else:
                files[path.stem] = path
        return files

    photos = by_stem(images)
    if masks is None:
        return [(path, None) for path in photos.values()], problems
    labels = by_stem(masks)
    problems += [f"{photos[stem]}: no mask {masks / stem}.png" for stem in photos.keys() - labels.keys()]
    problems += [f"{labels[stem]}: {no_image(stem, images)}" for stem in labels.keys() - photos.keys()]
    return [(photos[stem], labels[stem]) for stem in photos if stem in labels], problems


def output_files(output: Path, split: str, image: Path, mask: Path | None, ending: str = "") -> tuple[Path, ...]:
    """Where an image, and its mask if any, go: under their stem plus an ending."""
    new_image = output / split / "images" / f"{image.stem}{ending}{image.suffix}"
    return (new_image,) if mask is None else (new_image, output / split / "masks" / f"{image.stem}{ending}.png")


def plan_pairs(
    splits: Mapping[str, tuple[Path, Path | None]],
    jobs_of: Callable[[str, Path, Path | None], list[Job]],
    *,
    recipe: dict[str, Any],
    breaks: str | None,
) -> Plan:
    """The plan of what ``jobs_of(split, image, mask)`` gives for every pair, or photo without a mask, of the splits."""
    jobs: list[Job] = []
    problems: list[str] = []
    for split, (images, masks) in splits.items():
        pairs, bad = pair_up(images, masks)
        problems += bad
        for image, mask in pairs:
            jobs += jobs_of(split, image, mask)
    reads = [folder for folders in splits.values() for folder in folders if folder is not None]
    return Plan(recipe, breaks, jobs, reads, problems)


def copy_job(output: Path, split: str, image: Path, mask: Path | None, **options: Any) -> Job:
    """The job of ``copy_pair`` with these options."""
    outputs = output_files(output, split, image, mask)
    return Job(outputs, partial(copy_pair, image, mask, outputs, **options))


def recipe_of(mask_ids: MaskIds) -> dict[str, str]:
    """What a recipe says of how masks are read, where it was not left to them."""
    return {} if mask_ids == "auto" else {"mask_ids": mask_ids}


def plan_layout(
    source: Path,
    output: Path,
    *,
    order: str,
    size: int | None = None,
    link: bool = False,
    mask_ids: MaskIds = "auto",
) -> Plan:
    """Copy a set of any of LAYOUTS, its ids translated by name from an order (see read_order) to ours.

    With ``size``, images and masks become size x size. Our colors mean our ids, so that they say nothing of masks in
    another order. Raises PreparationError where they were asked for all the same, and for what cannot be found.
    """
    names = read_order(order)
    if mask_ids == "palette" and names != CLASS_NAMES:
        raise PreparationError("--mask_ids palette reads ids of our own order; leave out --order.")
    rule = IdRule(mask_ids=mask_ids, palette=PALETTE if names == CLASS_NAMES else ())
    table = order_table(names)

    def jobs_of(split: str, image: Path, mask: Path | None) -> list[Job]:
        return [copy_job(output, split, image, mask, table=table, size=size, link=link, rule=rule)]

    recipe = {"subcommand": "layout", "order": list(names), "size": size, **recipe_of(mask_ids)}
    return plan_pairs(find_splits(source), jobs_of, recipe=recipe, breaks=broken_rule(source))
