"""FaceSynthetics (Wood et al. 2021): rendered faces of 512 px, whose classes are mapped to ours."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from face_parsing.labels import IGNORE_INDEX
from face_parsing.preparation.copying import Job, Plan, PreparationError
from face_parsing.preparation.pair_files import UNKNOWN, copy_pair

ENDING = "_seg"

# Its id to ours. Its beard becomes skin, its facewear background; it has neither earrings nor necklaces.
IDS: dict[int, int] = {
    0: 0, 1: 1, 2: 2, 3: 5, 4: 4, 5: 7, 6: 6, 7: 9, 8: 8, 9: 10, 10: 11, 11: 12, 12: 17, 13: 13, 14: 1, 15: 18,
    16: 3, 17: 14, 18: 0, IGNORE_INDEX: IGNORE_INDEX,
}  # fmt: skip


def id_table() -> np.ndarray:
    """(256,) int16: IDS as a table, UNKNOWN elsewhere."""
    table = np.full(256, UNKNOWN, dtype=np.int16)
    table[list(IDS)] = list(IDS.values())
    return table


def plan_face_synthetics(source: Path, output: Path, *, link: bool = False) -> Plan:
    """All of source's 000000.png with 000000_seg.png into train/."""
    if not source.is_dir():
        raise PreparationError(f"There is no folder --source {source}.")
    files = {path.stem: path for path in sorted(source.glob("*.png")) if not path.name.startswith(".")}
    table = id_table()
    jobs: list[Job] = []
    problems: list[str] = []
    for stem, path in files.items():
        if stem.endswith(ENDING):
            if stem.removesuffix(ENDING) not in files:
                problems.append(f"{path}: no image {stem.removesuffix(ENDING)}.png")
        elif f"{stem}{ENDING}" not in files:
            problems.append(f"{path}: no mask {stem}{ENDING}.png")
        else:
            train = output / "train"
            outputs = (train / "images" / path.name, train / "masks" / path.name)
            mask = files[f"{stem}{ENDING}"]
            jobs.append(Job(outputs, partial(copy_pair, path, mask, outputs, table=table, link=link)))
    if not jobs:
        raise PreparationError(
            f"{source} does not hold FaceSynthetics; looked for pairs such as 000000.png and 000000{ENDING}.png."
        )
    return Plan({"subcommand": "face-synthetics"}, "external_data", jobs, [source], problems)
