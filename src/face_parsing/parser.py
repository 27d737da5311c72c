"""A photo in, its mask out: ``FaceParser``, on which the command ``face-parsing`` runs as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from PIL import Image, ImageOps

from face_parsing.data.photos import pixels_of, read_photo, to_rgb
from face_parsing.drawing.overlays import overlay
from face_parsing.inference.onnx_network import read_onnx
from face_parsing.inference.outputs import Parse, output_paths, write_outputs
from face_parsing.labels import LabelSet, colorize
from face_parsing.system.commands import UsageError, refuse_for_onnx
from face_parsing.weights import EIGHT_BITS, REFERENCE, Weights, find_weights

if TYPE_CHECKING:
    from face_parsing.inference.postprocess_settings import Postprocessing
    from face_parsing.inference.torch_network import CheckpointNetwork, Refine

PathLike = str | os.PathLike[str]
Photo = PathLike | Image.Image | np.ndarray
"""A file, an image of Pillow's of any mode, or pixels (H, W, 3) uint8 RGB, upright."""


@dataclass(frozen=True, eq=False)
class ParsedPhoto:
    """The mask of one photo: ``result.mask``, ``result["hair"]``, pictures to look at, and files.

    ``mask`` is (H, W) uint8, as large as ``photo`` (H, W, 3) uint8 RGB, and holds class ids, which index
    ``labels.names``. ``name`` is what its files are called.
    """

    mask: np.ndarray
    photo: np.ndarray
    labels: LabelSet
    name: str = "photo"

    def __getitem__(self, name: str) -> np.ndarray:
        """Where a class is: (H, W) bool. Raises KeyError for a name that is no class."""
        if name not in self.labels.names:
            raise KeyError(f"there is no class {name!r}; choose from {', '.join(self.labels.names)}")
        return self.mask == self.labels.names.index(name)

    def color(self) -> np.ndarray:
        """The mask in the usual colors, (H, W, 3) uint8 RGB."""
        return colorize(self.mask, self.labels)

    def overlay(self, alpha: float = 0.5) -> np.ndarray:
        """The photo under the colors, ``alpha`` (0 to 1) parts of them, (H, W, 3) uint8 RGB."""
        return overlay(self.photo, self.mask, alpha, self.labels)

    def save(
        self, folder: PathLike, *, color: bool = False, overlay: bool = False, overwrite: bool = False
    ) -> dict[str, Path]:
        """Write folder/masks/<name>.png and, where asked for, color/<name>.png and overlay/<name>.jpg.

        Returns the files under ``mask``, ``color`` and ``overlay``. Raises FileExistsError where one is there already.
        """
        paths = output_paths(Path(folder), self.name, color=color, overlay=overlay)
        existing = next((path for path in paths.values() if path.exists()), None)
        if existing and not overwrite:
            raise FileExistsError(f"{existing} would be replaced; pass overwrite=True or choose another folder.")
        write_outputs(self.photo, self.mask, paths, self.labels)
        return paths


class FaceParser:
    """A network that parses photos: ``parser = FaceParser()``, then ``result = parser("photo.jpg")``.

    ``weights`` says which it is, ``labels`` which classes it tells apart, ``checkpoint`` what a ``.pth`` held (None for
    an ONNX file). ``parse`` takes several photos of one size, each (H, W, 3) uint8, to their masks (H, W) uint8 at
    once, which is faster on a GPU and may round differently.
    """

    weights: Weights
    labels: LabelSet
    parse: Parse
    checkpoint: CheckpointNetwork | None = None

    def __init__(
        self,
        model_path: PathLike | Sequence[PathLike] | None = None,
        *,
        tta: bool = False,
        size: int | None = None,
        precision: str = "fp32",
        device: str = "auto",
        threads: int = 0,
        track: str = "challenge",
        postprocess: Postprocessing | Callable[[LabelSet], Postprocessing | None] | None = None,
    ) -> None:
        """``model_path`` is an ONNX file of export.py, which needs no PyTorch, or a checkpoint, which does.

        None is the shipped reference network: in 8 bits or, where an option asks for what a checkpoint alone can do,
        in float32. Several checkpoints are averaged, on the track ``open``. ``threads`` is of CPU threads; 0 leaves
        their number to the library. ``device`` is cpu, cuda, or auto, which takes a GPU, if any, for checkpoints; for
        ONNX files cuda needs ONNX Runtime's GPU build.

        Of checkpoints alone: ``tta`` averages over scales and flip; ``size`` is the longer side, in pixels, at which
        the network sees a photo; ``precision`` is fp32 or bf16; ``postprocess`` has
        the steps after the network, or makes them for the classes. Raises ValueError or OSError with one sentence.
        """
        asked = {"tta": tta, "size": size, "precision": precision != "fp32"}
        asked["postprocess"] = postprocess is not None
        if model_path is None:
            paths = [default_weights(checkpoint=any(asked.values()) or device == "cuda")]
        else:
            several = [model_path] if isinstance(model_path, str | os.PathLike) else model_path
            paths = [Path(path) for path in several]
        if paths[0].suffix == ".onnx":
            refuse_for_onnx(paths[0], asked, alone=len(paths) == 1)
            network = read_onnx(paths[0], threads, device)
            self.parse, self.labels = network.parse, network.labels
            self.weights = Weights((network.path,), network.track, network.licence)
            return
        self.checkpoint = _read_checkpoints(
            paths, tta=tta, size=size, precision=precision, device=device, threads=threads, track=track,
            postprocess=postprocess,
        )  # fmt: skip
        self.parse, self.labels = self.checkpoint.parse, self.checkpoint.labels
        self.weights = Weights(tuple(paths), self.checkpoint.content.get("track", "unknown"))

    def __repr__(self) -> str:
        return f"<FaceParser: {self.weights}>"

    @overload
    def __call__(self, photo: Photo) -> ParsedPhoto: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, photo: Sequence[Photo]) -> list[ParsedPhoto]: ...

    def __call__(self, photo: Photo | Sequence[Photo]) -> ParsedPhoto | list[ParsedPhoto]:
        """The mask of a photo, or of each of several, one at a time.

        Files and Pillow's images are turned upright by their EXIF data, and what is transparent is laid over white.
        Raises PhotoError, naming the file, for what cannot be read.
        """
        if not isinstance(photo, str | os.PathLike | Image.Image | np.ndarray):
            if not isinstance(photo, Sequence):
                kind = type(photo).__name__
                raise TypeError(f"a photo is a path, a Pillow image or an array, or a list of these, and not {kind}")
            return [self(one) for one in photo]
        pixels = _pixels(photo)
        return ParsedPhoto(self.parse([pixels])[0], pixels, self.labels, _name(photo))


def default_weights(*, checkpoint: bool) -> Path:
    """The shipped reference network in 8 bits, or its checkpoint. Raises ValueError or OSError with one sentence."""
    if checkpoint:
        _need_torch("What was asked for takes a checkpoint, which")
    return find_weights(REFERENCE if checkpoint else EIGHT_BITS)


def _need_torch(what: str) -> None:
    import importlib.util  # not at every start: it takes its milliseconds

    if importlib.util.find_spec("torch") is None:
        raise UsageError(f'{what} needs PyTorch: pip install "face-parsing[train]", or parse with an ONNX file.')


def _read_checkpoints(
    paths: Sequence[Path],
    *,
    tta: bool,
    size: int | None,
    precision: str,
    device: str,
    threads: int,
    track: str,
    postprocess: Postprocessing | Callable[[LabelSet], Postprocessing | None] | None,
) -> CheckpointNetwork:
    _need_torch(str(paths[0]))
    from face_parsing.inference.postprocess_options import refine_of
    from face_parsing.inference.torch_network import read_checkpoints
    from face_parsing.system import distributed
    from face_parsing.system.device import choose_device, prepare_device

    def after(labels: LabelSet) -> Refine | None:
        return refine_of(postprocess(labels) if callable(postprocess) else postprocess, labels)

    chosen = distributed.own_device(choose_device(device))
    prepare_device(chosen, threads=threads)
    return read_checkpoints(paths, device=chosen, track=track, size=size, tta=tta, precision=precision, refine=after)


def _pixels(photo: Photo) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of a photo. Raises PhotoError, and ValueError for an array of another kind."""
    if isinstance(photo, Image.Image):
        return pixels_of(to_rgb(ImageOps.exif_transpose(photo)))
    if not isinstance(photo, np.ndarray):
        return read_photo(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise ValueError(f"a photo is (height, width, 3) uint8 RGB, and this array is {photo.shape} {photo.dtype}.")
    return photo


def _name(photo: Photo) -> str:
    """What the files of a photo are called: as its own file, if it has one."""
    file = getattr(photo, "filename", None) if isinstance(photo, Image.Image) else photo
    return Path(file).stem or "photo" if isinstance(file, str | os.PathLike) else "photo"
