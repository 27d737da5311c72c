"""A coarser copy of a set: several of the 19 classes in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from face_parsing.config.classes import read_classes
from face_parsing.data.mask_palettes import IdRule, MaskIds
from face_parsing.data.provenance import broken_rule, refuse_grouped
from face_parsing.preparation.copying import Job, Plan
from face_parsing.preparation.layouts import OWN_LAYOUT, copy_job, find_splits, plan_pairs, recipe_of


def plan_group(source: Path, output: Path, *, classes: Path, link: bool = False, mask_ids: MaskIds = "auto") -> Plan:
    """Copy a prepared set with the ids of the classes that a YAML file groups (see read_classes)."""
    labels = read_classes(classes)
    splits = find_splits(source, OWN_LAYOUT)
    refuse_grouped(source)
    rule = IdRule(mask_ids=mask_ids)
    table = labels.table.astype(np.int16)

    def jobs_of(split: str, image: Path, mask: Path | None) -> list[Job]:
        return [copy_job(output, split, image, mask, table=table, labels=labels, link=link, rule=rule)]

    # A list, because the order of the classes decides their ids and a mapping would compare without it.
    recipe = {"subcommand": "group", "classes": [list(group) for group in labels.groups.items()], **recipe_of(mask_ids)}
    return plan_pairs(splits, jobs_of, recipe=recipe, breaks=broken_rule(source))
