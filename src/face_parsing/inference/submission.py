"""The challenge's zip: masks, weights, and a ``run.py`` that needs nothing of this project.

``run.py`` is put together from the source files that inference itself uses, so that it cannot differ from them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from face_parsing.challenge import PARAMETER_LIMIT
from face_parsing.data.mask_palettes import PaletteKind
from face_parsing.data.masks import decode_mask
from face_parsing.data.photos import read_photo
from face_parsing.inference.run_py import SubmissionError, build_run_py, check_network
from face_parsing.labels import CLASS_NAMES, NUM_CLASSES
from face_parsing.models import build_model, count_parameters
from face_parsing.system.files import atomic_path

REQUIREMENTS = "torch>=2.11\nnumpy>=1.26\npillow>=10.1\n"
# A busy GPU or another number of threads rounds differently and may turn a tie in single pixels. Anything that
# is wrong with a run.py changes far more than one pixel in ten thousand.
ROUNDING_SHARE = 1e-4
JUDGES_SECONDS = 900


def _plain_weights(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU, floats as float32, without the storage of anything they are a view of."""
    copies: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        kept = value.detach().to("cpu", torch.float32 if value.is_floating_point() else value.dtype)
        copies[key] = kept.clone(memory_format=torch.contiguous_format)
    return copies


def _check_content(content: Mapping[str, Any]) -> None:
    """Raise SubmissionError where the rules of the challenge forbid the network of a checkpoint."""
    if content.get("track") != "challenge":
        raise SubmissionError(
            f"This checkpoint was trained on the track {content.get('track')!r}, with what the challenge forbids; "
            "only one of the track 'challenge' may be submitted."
        )
    if list(content.get("classes", CLASS_NAMES)) != list(CLASS_NAMES):
        raise SubmissionError("This checkpoint tells other classes apart; a submission's masks hold all 19.")
    check_network(content["model"].get("name", "unet"))
    try:
        model = build_model(content["model"], NUM_CLASSES)
        model.load_state_dict(content["state_dict"])
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise SubmissionError(f"The checkpoint's weights do not fit its own description: {reason}") from None
    count = count_parameters(model)
    if count >= PARAMETER_LIMIT:
        raise SubmissionError(
            f"The network has {count:,} parameters; the challenge wants fewer than {PARAMETER_LIMIT:,}."
        )


def _read_mask(data: bytes, name: str) -> np.ndarray:
    with Image.open(BytesIO(data)) as picture:
        if picture.mode not in ("L", "P"):
            raise SubmissionError(f"{name} has the mode {picture.mode}; a mask is single-channel, mode L or P.")
        mask = np.array(picture)
    if decode_mask(BytesIO(data), name)[1] is PaletteKind.RENUMBERED:
        raise SubmissionError(
            f"{name}: its palette says that its indices are no ids, as PNG optimizers leave it, but the judges read "
            "the indices; predict it anew."
        )
    if mask.max() >= NUM_CLASSES:
        raise SubmissionError(f"{name} holds the label {mask.max()}; ids are 0 to {NUM_CLASSES - 1}.")
    return mask


def _grey_png(data: bytes, name: str) -> bytes:
    """The mask as mode L: some readers turn a palette into colors, and so into wrong ids."""
    packed = BytesIO()
    Image.fromarray(_read_mask(data, name)).save(packed, format="PNG")
    return packed.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: str | bytes) -> None:
    """Put a file into the archive that everybody may read: writestr alone would give it to its owner only."""
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data, compress_type=zipfile.ZIP_DEFLATED)


def _write_zip(path: Path, masks: Path, photos: Sequence[Path], checkpoint: Mapping[str, Any]) -> None:
    weights = BytesIO()
    torch.save(dict(checkpoint), weights)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for photo in photos:
            mask = masks / f"{photo.stem}.png"
            if not mask.is_file():
                raise SubmissionError(f"There is no mask {mask} of the photo {photo}; every photo needs one.")
            _add(archive, f"masks/{mask.name}", _grey_png(mask.read_bytes(), str(mask)))
        _add(archive, "solution/run.py", build_run_py(checkpoint["model"].get("name", "unet")))
        _add(archive, "solution/ckpt.pth", weights.getvalue())
        _add(archive, "solution/requirements.txt", REQUIREMENTS)


def _check_zip(path: Path, photos: Sequence[Path], check_photos: int) -> None:
    """Raise SubmissionError unless the zip holds what the challenge wants and its run.py makes the masks in it."""
    stored: list[np.ndarray] = []
    with zipfile.ZipFile(path) as archive:
        for photo in photos:
            name = f"masks/{photo.stem}.png"
            mask = _read_mask(archive.read(name), name)
            height, width = read_photo(photo).shape[:2]
            if mask.shape != (height, width):
                raise SubmissionError(
                    f"{name} is {mask.shape[1]}x{mask.shape[0]}, but its photo {photo} is {width}x{height}."
                )
            stored.append(mask)
    chosen = np.linspace(0, len(photos) - 1, min(check_photos, len(photos))).round().astype(int).tolist()
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith("solution/")])
        for index in chosen:
            different = float((_judged(Path(folder) / "solution", photos[index]) != stored[index]).mean())
            if different > ROUNDING_SHARE:
                name = f"masks/{photos[index].stem}.png"
                raise SubmissionError(
                    f"The submission's run.py gives another mask of {photos[index]} than {name}: {different:.2%} of "
                    "the pixels differ; predict it again with the same checkpoint and settings."
                )


def _judged(solution: Path, photo: Path) -> np.ndarray:
    """The mask that the judges' own command writes, run in the folder solution."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    output = solution.parent / "judged.png"
    command = [sys.executable, "run.py", "--input", str(photo.absolute()), "--output", str(output)]
    try:
        done = subprocess.run(
            [*command, "--weights", "ckpt.pth"],
            cwd=solution, env=environment, capture_output=True, text=True, timeout=JUDGES_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise SubmissionError(f"The submission's run.py took more than {JUDGES_SECONDS} s for {photo}.") from None
    if done.returncode != 0 or not output.is_file():
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SubmissionError(f"The submission's run.py failed on {photo}: {reason}")
    mask = _read_mask(output.read_bytes(), f"run.py's mask of {photo}")
    output.unlink()
    return mask


def pack_submission(
    zip_path: Path,
    *,
    masks: Path,
    photos: Sequence[Path],
    content: Mapping[str, Any],
    tta: Mapping[str, Any],
    check_photos: int = 2,
) -> None:
    """Write the challenge's zip: the mask of each photo from the folder masks, and the solution that made them.

    ``content`` is a loaded checkpoint, ``tta`` the ``scales`` and ``flip`` that the masks were predicted with, one
    photo at a time. The zip appears at zip_path only after every mask has been checked against its photo and the
    judges' command, run in an empty folder, has given the masks of check_photos of them. Raises SubmissionError,
    and leaves nothing, otherwise; PhotoError for a photo that cannot be read.
    """
    if not photos:
        raise SubmissionError("There are no photos to submit masks of.")
    _check_content(content)
    checkpoint = {
        "state_dict": _plain_weights(content["state_dict"]),
        "model": dict(content["model"]),
        "image_size": int(content["image_size"]),
        "tta": {"scales": [float(scale) for scale in tta["scales"]], "flip": bool(tta["flip"])},
    }
    with atomic_path(zip_path) as temporary:
        _write_zip(temporary, masks, photos, checkpoint)
        _check_zip(temporary, photos, check_photos)
