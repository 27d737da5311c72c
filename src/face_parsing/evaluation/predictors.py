"""Where the predictions that are scored come from: masks in a folder or a zip, ONNX files, checkpoints."""

from __future__ import annotations

import dataclasses
import posixpath
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from face_parsing.data.mask_log import MaskLog, SeenMask
from face_parsing.data.mask_palettes import USUAL, IdRule, PaletteKind
from face_parsing.data.masks import decode_mask, mask_files
from face_parsing.data.photos import read_photo
from face_parsing.data.problems import DataError
from face_parsing.evaluation.evaluator import EvaluationItem, Predictor
from face_parsing.inference.onnx_network import read_onnx
from face_parsing.inference.torch_network import Refine, read_checkpoints
from face_parsing.labels import CELEBAMASK, LabelSet
from face_parsing.system.commands import UsageError, refuse_for_onnx
from face_parsing.system.device import choose_device, prepare_device

MEMBER_BYTES = 32 * 2**20  # a mask of 512 px takes some 5 kB


def _decode(
    source: Path | BytesIO, name: str, labels: LabelSet, rule: IdRule, log: MaskLog | None = None
) -> np.ndarray:
    mask, kind = decode_mask(source, name, dataclasses.replace(rule, palette=labels.palette), wide=log is not None)
    if log is not None:
        log.seen[name] = SeenMask(kind, empty=False, ignored=False)
    elif kind is PaletteKind.RENUMBERED:
        raise DataError(
            f"{name}: its palette says that its indices are no ids, as PNG optimizers leave it, but the judges read "
            "the indices; save it anew, or score it as it is by --mask_ids index."
        )
    if mask.max() >= len(labels):
        raise DataError(f"{name} holds the label {mask.max()}; a prediction's ids are 0 to {len(labels) - 1}.")
    return mask


def _need_all(place: Path, found: set[str], items: Sequence[EvaluationItem]) -> None:
    missing = [item.mask.name for item in items if item.stem not in found]
    if missing:
        raise DataError(f"{place} lacks {len(missing)} of {len(items)} masks, the first: {missing[0]}.")


def _zip_members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The PNGs of a submission's masks/, or of the zip's root where it has no masks/, by stem."""
    places: dict[str, dict[str, zipfile.ZipInfo]] = {"masks": {}, "": {}}
    for member in archive.infolist():
        name = member.filename
        if name.startswith("/") or "\\" in name or ".." in name.split("/"):
            raise DataError(f"{path} holds {name!r}, a path that leads out of the zip; pack it anew.")
        folder, file = posixpath.split(name)
        if folder not in places or not file.endswith(".png") or file.startswith("."):
            continue
        if member.file_size > MEMBER_BYTES:
            size, limit = member.file_size / 2**20, MEMBER_BYTES // 2**20
            raise DataError(f"{path}: {name} unpacks to {size:.0f} MiB; a mask takes less than {limit}.")
        if file[:-4] in places[folder]:
            raise DataError(f"{path} holds {name} twice; pack it anew.")
        places[folder][file[:-4]] = member
    found = places["masks"] or places[""]
    if not found:
        raise DataError(f"There are no masks/*.png in {path}, and no PNG masks at its root.")
    return found


def stored_masks(
    place: Path,
    items: Sequence[EvaluationItem],
    labels: LabelSet = CELEBAMASK,
    rule: IdRule = USUAL,
    log: MaskLog | None = None,
) -> Predictor:
    """Predictions that lie in a folder, or a zip (a submission's masks/*.png, or PNGs at its root), by stem.

    A folder's are read by the rule, in the colors of ``labels``, and ``log`` is told; a zip's by index, as the judges
    do, and refused where the palette disagrees. A zip is read in memory, a mask at a time. Raises DataError for a
    missing prediction and a zip that is none.
    """
    if place.is_dir():
        files = mask_files(place)
        _need_all(place, set(files), items)
        known = MaskLog() if log is None else log
        return lambda item: _decode(files[item.stem], str(files[item.stem]), labels, rule, known)
    if not place.is_file():
        raise DataError(f"There is no folder {place} of PNG masks, and no zip.")
    if rule.mask_ids == "palette":
        raise UsageError(f"{place} is read by index, as the judges read it; leave out --mask_ids palette.")
    try:
        archive = zipfile.ZipFile(place)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DataError(f"{place} is neither a folder nor a zip of masks that can be read ({error}).") from None
    members = _zip_members(archive, place)
    _need_all(place, set(members), items)

    def read(item: EvaluationItem) -> np.ndarray:
        name = f"{place}: {members[item.stem].filename}"
        try:
            data = archive.read(members[item.stem])
        except Exception as error:  # what damaged, encrypted or oddly packed members raise has no class in common
            raise DataError(f"{name} cannot be unpacked ({error}); pack the zip anew.") from None
        return _decode(BytesIO(data), name, labels, rule)

    return read


def _photo_of(item: EvaluationItem) -> np.ndarray:
    if item.photo is None:
        raise DataError(f"The photo of {item.mask} is not known; name the folder of photos by --images.")
    return read_photo(item.photo)


def exported(path: Path, *, threads: int) -> tuple[Predictor, LabelSet]:
    """Predictions of an ONNX file from export.py, and the classes it tells apart. Raises ExportError."""
    network = read_onnx(path, threads)
    return lambda item: network.parse([_photo_of(item)])[0], network.labels


def networks(
    paths: Sequence[Path],
    *,
    tta: bool,
    track: str,
    device: torch.device,
    size: int | None = None,
    precision: str = "fp32",
    refine: Callable[[LabelSet], Refine | None] | None = None,
) -> tuple[Predictor, LabelSet, frozenset[str]]:
    """Predictions of one checkpoint, or the mean of several on the open track, and the classes they tell apart.

    Also the stems of the faces that they say they were trained on.

    One photo at a time, in exact float32 as run.py of a submission predicts, or in bf16; with tta at the first
    checkpoint's scales and flip; at ``size`` pixels, or the checkpoint's own. ``refine`` makes the post-processing, if
    any, for those classes. Raises CheckpointError.
    """
    network = read_checkpoints(
        paths, device=device, track=track, size=size, tta=tta, precision=precision, refine=refine
    )
    return lambda item: network.parse([_photo_of(item)])[0], network.labels, network.trained_on


def training_faces_note(name: str, stems: frozenset[str], items: Sequence[EvaluationItem]) -> str | None:
    """That a network is scored on faces that it was trained on, by their names; None where it is not."""
    count = sum(item.stem in stems for item in items)
    if not count:
        return None
    return f"Note: {name} was trained on {count} of these {len(items)} faces, so its score says little about new ones."


@dataclass(frozen=True, kw_only=True)
class Computing:
    """How networks are run, alike for all that are scored."""

    track: str = "challenge"
    device: str = "auto"
    precision: str = "fp32"
    threads: int = 0
    """Of a CPU; 0 leaves it to torch."""
    rule: IdRule = USUAL
    """How stored masks are read."""
    log: MaskLog = dataclasses.field(default_factory=MaskLog)
    """What is worth a word about stored masks."""


@dataclass(frozen=True, kw_only=True)
class System:
    """What is scored: the place of its predictions, and what a network's are to be made with."""

    paths: Sequence[Path]
    """A folder or zip of masks, an ONNX file, or checkpoints, whose mean is taken."""
    tta: bool = False
    size: int | None = None
    """Longer side at which a network sees a photo, pixels; None is the checkpoint's own."""
    size_option: str = "--size"
    """What the command line calls it, for messages."""
    steps: Sequence[str] = ()
    """Of post-processing, as the command line names them."""
    biases: Path | None = None
    refine: Callable[[LabelSet], Refine | None] | None = None
    """Makes the post-processing, if any, for the classes of a network."""

    @property
    def name(self) -> str:
        """What it is called, by its paths."""
        return " + ".join(map(str, self.paths))

    @property
    def is_stored(self) -> bool:
        """Whether its masks lie in a folder or a zip."""
        return len(self.paths) == 1 and is_stored(self.paths[0])


class OpenSystem(NamedTuple):
    """A system that predicts, the classes it tells apart, and what to call it."""

    predictor: Predictor
    labels: LabelSet
    name: str
    trained_on: frozenset[str] = frozenset()
    """The stems of the faces that a checkpoint says it was trained on."""


def is_stored(path: Path) -> bool:
    """Whether a path is that of a folder or a zip of masks, and no network's."""
    return path.is_dir() or path.suffix in ("", ".zip")


def open_system(
    system: System,
    items: Sequence[EvaluationItem],
    computing: Computing,
    *,
    labels: LabelSet = CELEBAMASK,
    any_checkpoint: bool = True,
) -> OpenSystem:
    """The predictions of a system, and what is to be known of them.

    ``labels`` are the classes of stored masks. Without ``any_checkpoint`` among all that are scored, options of
    computing that are for checkpoints alone are refused. Raises ValueError for what the system cannot be asked for.
    """
    path = system.paths[0]
    if system.is_stored:
        if system.tta or system.size or system.steps or system.biases:
            raise UsageError(
                f"Test-time augmentation, a size and post-processing need a checkpoint; {path} holds masks."
            )
        return OpenSystem(stored_masks(path, items, labels, computing.rule, computing.log), labels, system.name)
    if path.suffix == ".onnx":
        asked: dict[str, object] = {"--tta": system.tta, system.size_option: system.size}
        asked |= {"--postprocess": system.steps, "--biases": system.biases}
        if not any_checkpoint:
            asked |= {"--device cuda": computing.device == "cuda", "--precision": computing.precision != "fp32"}
        refuse_for_onnx(path, asked, alone=len(system.paths) == 1)
        return OpenSystem(*exported(path, threads=computing.threads), system.name)
    device = choose_device(computing.device)
    prepare_device(device, threads=computing.threads)
    predictor, known, trained_on = networks(
        system.paths,
        tta=system.tta,
        track=computing.track,
        device=device,
        size=system.size,
        precision=computing.precision,
        refine=system.refine,
    )
    refined = system.steps or system.biases
    more = [text for text, used in (("test-time augmentation", system.tta), ("post-processing", refined)) if used]
    name = f"{system.name} at {system.size} px" if system.size else system.name
    return OpenSystem(predictor, known, f"{name} with {' and '.join(more)}" if more else name, trained_on)
