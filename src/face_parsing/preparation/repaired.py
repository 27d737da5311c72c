"""A copy of a data set whose mirrored masks have left and right labels swapped back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from face_parsing.data.mask_palettes import USUAL, IdRule
from face_parsing.data.masks import read_mask, save_mask
from face_parsing.data.problems import DataError
from face_parsing.data.provenance import PROVENANCE, broken_rule
from face_parsing.labels import swap_left_right
from face_parsing.preparation.pair_files import copy_photo


def check_repair(root: Path, folder: Path, *, overwrite: bool) -> None:
    """Raise DataError where a repaired copy must not be written."""
    here, there = root.resolve(), folder.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise DataError(f"--repair {folder} and --root {root} lie in each other; choose a folder beside the data set.")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise DataError(f"--repair {folder} exists; choose another folder, or add --overwrite for an older copy.")
    if not (folder / PROVENANCE).is_file():
        raise DataError(f"--repair {folder} holds no {PROVENANCE}, so it is no older copy; choose another folder.")


def write_repaired(
    root: Path,
    splits: Sequence[str],
    mirrored: set[Path],
    folder: Path,
    *,
    pairs: int,
    command: Sequence[str],
    rule: IdRule = USUAL,
    progress: bool = True,
) -> None:
    """Copy the splits of a data set and the files beside them, with left and right labels of mirrored masks swapped.

    Unchanged files are hard links where possible. The folder appears when it is complete, in place of one of that
    name. ``pairs`` and ``command`` go into its provenance.
    """
    files = [path for path in sorted(root.iterdir()) if path.is_file() and path.name != PROVENANCE]
    for split in splits:
        files += [path for path in sorted((root / split).rglob("*")) if path.is_file()]
    folder = Path(os.path.abspath(folder))
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    provenance = {
        "command": list(command),
        "source": str(root.resolve()),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "breaks": broken_rule(root),
        "pairs": pairs,
    }
    try:
        for path in tqdm(files, desc="copying", unit="file", disable=not progress, leave=False):
            target = partial / path.relative_to(root)
            if path in mirrored:
                save_mask(swap_left_right(read_mask(path, rule)), target)
            else:
                copy_photo(path, target, link=True)
        (partial / PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
