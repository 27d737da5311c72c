"""A coarser copy of a set: several of the 19 classes in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from config import ConfigError, parse_yaml
from dataset import broken_rule, refuse_grouped
from labels import LabelSet, group_labels
from preparation.copying import Job, Plan, PreparationError
from preparation.layouts import OWN_LAYOUT, copy_job, find_splits, plan_pairs


def read_classes(path: Path) -> LabelSet:
    """The classes that a YAML file lists, each with names of the 19: a mapping by itself or a config's data.classes."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"), "the text")
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise PreparationError(f"--classes {path} cannot be read: {' '.join(str(error).split())}") from None
    groups = content
    if isinstance(content, dict) and isinstance(content.get("data"), dict):
        groups = content["data"].get("classes")
    if not isinstance(groups, dict) or not groups:
        raise PreparationError(
            f"--classes {path} holds no classes; it needs a mapping such as 'eyes: [l_eye, r_eye]', by itself or "
            "as data.classes of a config."
        )
    for name, members in groups.items():
        if not isinstance(name, str) or not isinstance(members, list) or not all(isinstance(m, str) for m in members):
            raise PreparationError(f"--classes {path}: {name} must be a name with a list of class names.")
    try:
        return group_labels(groups)
    except ValueError as error:
        raise PreparationError(f"--classes {path}: {error}.") from None


def plan_group(source: Path, output: Path, *, classes: Path, link: bool = False) -> Plan:
    """Copy a prepared set with the ids of the classes that a YAML file groups (see read_classes)."""
    labels = read_classes(classes)
    splits = find_splits(source, OWN_LAYOUT)
    refuse_grouped(source)
    table = labels.table.astype(np.int16)

    def jobs_of(split: str, image: Path, mask: Path | None) -> list[Job]:
        return [copy_job(output, split, image, mask, table=table, labels=labels, link=link)]

    # A list, because the order of the classes decides their ids and a mapping would compare without it.
    recipe = {"subcommand": "group", "classes": [list(group) for group in labels.groups.items()]}
    return plan_pairs(splits, jobs_of, recipe=recipe, breaks=broken_rule(source))
