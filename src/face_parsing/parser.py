"""A photo in, its mask out: ``FaceParser``, on which the command ``face-parsing`` runs as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, get_args, overload

import numpy as np
from PIL import Image, ImageOps

from face_parsing.data.photo_files import CLIP_SUFFIXES
from face_parsing.data.photos import PhotoError, pixels_of, read_photo, to_rgb
from face_parsing.faces.alignment import quadrangle
from face_parsing.faces.choice import FACES_MODES, FacesMode, GivenFace, choose_faces, given_faces
from face_parsing.faces.detector import Face, RunDetector, read_detector
from face_parsing.faces.paste import Look
from face_parsing.faces.people import People, parse_people
from face_parsing.faces.search import LEAST_SCORE, LEAST_SIZE
from face_parsing.inference.onnx_network import ExportedNetwork, read_onnx
from face_parsing.inference.outputs import Parse
from face_parsing.labels import LabelSet
from face_parsing.results import Found, ParsedFace, ParsedPhoto
from face_parsing.system.commands import UsageError, refuse_for_onnx
from face_parsing.weights import BEST, CHALLENGE, DETECTOR, EIGHT_BITS, Weights, find_weights, named_weights

if TYPE_CHECKING:
    from face_parsing.inference.postprocess_settings import Postprocessing
    from face_parsing.inference.torch_network import CheckpointNetwork, Refine

PathLike = str | os.PathLike[str]
Photo = PathLike | Image.Image | np.ndarray
"""A file, an image of Pillow's of any mode, or pixels (H, W, 3) uint8 RGB, upright."""

NoFace = Literal["whole", "empty", "skip"]
"""What becomes of a photo without a face: it is parsed as it is, its mask is background, or it is left out."""
NO_FACE: tuple[NoFace, ...] = get_args(NoFace)
Choice = TypeVar("Choice", bound=str)


class FaceParser:
    """A network that parses photos: ``parser = FaceParser()``, then ``result = parser("photo.jpg")``.

    ``weights`` says which it is, ``labels`` which classes it tells apart, ``checkpoint`` what a ``.pth`` held (None for
    an ONNX file), ``faces`` which faces are parsed in aligned crops of ``size`` pixels; ``tta``, ``precision`` and
    ``postprocessing`` are what was asked of a checkpoint. ``parse`` takes several photos of one size, each (H, W, 3)
    uint8, to their masks (H, W) uint8 as they are, without a look at faces, at once, which is faster on a GPU and may
    round differently. ``network`` gives scores and probabilities instead of masks; ``detector`` finds faces, None where
    ``faces`` is off.
    """

    weights: Weights
    labels: LabelSet
    parse: Parse
    faces: FacesMode
    size: int
    network: ExportedNetwork | CheckpointNetwork
    detector: RunDetector | None
    checkpoint: CheckpointNetwork | None = None
    tta: bool
    precision: str
    postprocessing: Postprocessing | None = None

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
        faces: FacesMode | None = None,
        least_score: float = LEAST_SCORE,
        least_size: float = LEAST_SIZE,
        no_face: NoFace = "whole",
        margin: float = 1.0,
        soft: bool = False,
    ) -> None:
        """``model_path`` is an ONNX file of export.py, which needs no PyTorch, or a checkpoint, which does.

        The bare name of a shipped file, such as ``face_parsing_fast.onnx``, will do anywhere. None is the shipped
        reference network of the open track: in 8 bits or, where an option asks for what only a checkpoint can do, in
        float32.
        Several checkpoints are averaged, on the track ``open``. ``threads`` is of CPU threads; 0 leaves their number to
        the library. ``device`` is cpu, cuda, or auto, which takes a GPU, if any, for checkpoints; for ONNX files cuda
        needs ONNX Runtime's GPU build.

        Of checkpoints alone: ``tta`` averages over scales and flip; ``size`` is the longer side, in pixels, at which
        the network sees a photo; ``precision`` is fp32 or bf16; ``postprocess`` has
        the steps after the network, or makes them for the classes. Raises ValueError or OSError with one sentence.

        ``faces`` says which faces are looked for, aligned, parsed and put back: ``auto`` (all of them, but an aligned
        portrait is parsed as it is), ``all``, the ``largest``, or none (``off``). None is auto for shipped weights, and
        off for others. A face counts from ``least_score`` (0 to 1) and ``least_size`` (the shorter side of its box, in
        pixels) on. ``no_face`` says what becomes of a photo without one, ``margin`` how many times as wide as usual
        the crops are. With ``soft`` results have ``probabilities``, which takes C bytes a pixel.
        """
        self.faces = _one_of("faces", faces or ("auto" if model_path is None else "off"), FACES_MODES)
        self.no_face = _one_of("no_face", no_face, NO_FACE)
        self.least_score, self.least_size = least_score, least_size
        self.margin, self._soft = _positive("margin", margin), soft
        self.tta, self.precision = tta, precision
        asked = {"tta": tta, "size": size, "precision": precision != "fp32"}
        asked["postprocess"] = postprocess is not None
        if model_path is None:
            paths = [default_weights(checkpoint=any(asked.values()), device=device)]
        else:
            several = [model_path] if isinstance(model_path, str | os.PathLike) else model_path
            paths = [named_weights(Path(path)) for path in several]
        if paths[0].suffix == ".onnx":
            refuse_for_onnx(paths[0], asked, alone=len(paths) == 1)
            self.network = read_onnx(paths[0], threads, device)
        else:

            def choose(labels: LabelSet) -> Postprocessing | None:
                self.postprocessing = postprocess(labels) if callable(postprocess) else postprocess
                return self.postprocessing

            self.network = self.checkpoint = _read_checkpoints(
                paths, tta=tta, size=size, precision=precision, device=device, threads=threads, track=track,
                postprocess=choose,
            )  # fmt: skip
        network = self.network
        self.parse, self.labels, self.size = network.parse, network.labels, network.image_size
        detector = None if self.faces == "off" else find_weights(DETECTOR)
        self.detector = None if detector is None else read_detector(detector)
        self.weights = Weights(tuple(paths), network.track, network.licence, detector)
        self._threads = threads or os.cpu_count() or 1

    def __repr__(self) -> str:
        return f"<FaceParser: {self.weights}>"

    @overload
    def __call__(self, photo: Photo, faces: Sequence[GivenFace] | None = None) -> ParsedPhoto: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, photo: Sequence[Photo]) -> list[ParsedPhoto]: ...

    def __call__(
        self, photo: Photo | Sequence[Photo], faces: Sequence[GivenFace] | None = None
    ) -> ParsedPhoto | list[ParsedPhoto]:
        """The mask of a photo, or of each of several, one at a time.

        Files and Pillow's images are turned upright by their EXIF data, and what is transparent is laid over white.
        ``faces`` of one photo are parsed instead of those that would be found: each a ``Face``, five points (5, 2) or a
        box (4,), in pixels. Raises PhotoError, naming the file, for what cannot be read, and ValueError for what is no
        face.
        """
        if not isinstance(photo, str | os.PathLike | Image.Image | np.ndarray):
            if not isinstance(photo, Sequence):
                kind = type(photo).__name__
                raise TypeError(f"a photo is a path, a Pillow image or an array, or a list of these, and not {kind}")
            if faces is not None:
                raise ValueError("faces are those of one photo: call the parser for each photo with its own.")
            return [self(one) for one in photo]
        pixels = _pixels(photo)
        found, chosen = self._look(pixels, faces)
        return self._parsed(pixels, found, chosen, name=_name(photo), file=_file(photo))

    def _look(self, pixels: np.ndarray, given: Sequence[GivenFace] | None) -> tuple[Found, list[Face]]:
        """How a photo (H, W, 3) is to be parsed, and its faces, largest first."""
        if given is not None:
            faces = given_faces(given, pixels, self.detector)
        elif self.detector is None:
            return "off", []
        else:
            is_portrait, faces = choose_faces(
                self.detector, pixels, self.faces,
                least_score=self.least_score, least_size=self.least_size, threads=self._threads,
            )  # fmt: skip
            if is_portrait:
                return "portrait", faces
        return ("faces", faces) if faces else (self.no_face, [])

    def _parsed(
        self, photo: np.ndarray, found: Found, faces: Sequence[Face], *, name: str, file: Path | None
    ) -> ParsedPhoto:
        """The result of a photo (H, W, 3) of which it is known how it is to be parsed."""
        H, W = photo.shape[:2]
        quadrangles = [quadrangle(face.points, margin=self.margin) for face in faces]
        parsed, soft = self._whole(photo, found)
        people = People(parsed, (parsed > 0).astype(np.uint16) if faces else np.zeros((H, W), np.uint16), [])
        if found == "faces":
            people = parse_people(
                photo, quadrangles, parsed, self.labels,
                scores=self.network.scores, size=self.size, probabilities=self.network.probabilities, soft=soft,
            )  # fmt: skip
        mask, instances = people.mask, people.instances
        crop_masks: list[np.ndarray | None] = [*people.crop_masks] or [None] * len(faces)
        parsed_faces = tuple(
            ParsedFace(face.box, face.points, face.score, corners, number, self.size, photo, mask, instances, crop_mask)
            for number, (face, corners, crop_mask) in enumerate(zip(faces, quadrangles, crop_masks, strict=True), 1)
        )
        return ParsedPhoto(
            mask, photo, self.labels, name, file=file, faces=parsed_faces, found=found, instances=instances,
            probabilities=soft, weights=self.weights,
        )  # fmt: skip

    def _whole(self, photo: np.ndarray, found: Found) -> tuple[np.ndarray, np.ndarray | None]:
        """The mask (H, W) of a photo as it is and, if soft, its probabilities (H, W, C) uint8, times 255."""
        H, W = photo.shape[:2]
        values = np.zeros((H, W, len(self.labels)), np.uint8) if self._soft else None
        if found in ("empty", "skip"):
            if values is not None:
                values[:, :, 0] = 255
            return np.zeros((H, W), np.uint8), values
        if values is None:
            return self.parse([photo])[0], None
        mask, scores = self.network.mask_and_scores(photo)
        look = Look(np.array([[0, 0], [W, 0], [W, H], [0, H]], np.float64), scores)
        look.fill_probabilities(0, np.zeros((H, W), np.uint16), values, self.network.probabilities)
        return mask, values


def _one_of(name: str, value: str, choices: Sequence[Choice]) -> Choice:
    """The value, which is one of the choices. Raises ValueError."""
    for choice in choices:
        if value == choice:
            return choice
    raise ValueError(f"{name} is one of {', '.join(choices)}, and not {value!r}.")


def _positive(name: str, value: float) -> float:
    if not 0 < value < np.inf:
        raise ValueError(f"{name} is a number above 0, and not {value}.")
    return value


def default_weights(*, checkpoint: bool, device: str = "auto", submission: bool = False) -> Path:
    """The shipped open reference in 8 bits, or its checkpoint; on a GPU the checkpoint, where PyTorch is installed.

    A submission takes the challenge's checkpoint. Raises ValueError or OSError with one sentence.
    """
    if checkpoint or submission:
        _need_torch("What was asked for takes a checkpoint, which")
    if submission:
        return find_weights(CHALLENGE)
    on_gpu = device == "cuda" and _has_torch()
    return find_weights(BEST if checkpoint or on_gpu else EIGHT_BITS)


def _has_torch() -> bool:
    import importlib.util  # not at every start: it takes its milliseconds

    return importlib.util.find_spec("torch") is not None


def _need_torch(what: str) -> None:
    if not _has_torch():
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
    postprocess: Callable[[LabelSet], Postprocessing | None],
) -> CheckpointNetwork:
    _need_torch(str(paths[0]))
    from face_parsing.inference.postprocess_options import refine_of
    from face_parsing.inference.torch_network import read_checkpoints
    from face_parsing.system import distributed
    from face_parsing.system.device import choose_device, prepare_device

    def after(labels: LabelSet) -> Refine | None:
        return refine_of(postprocess(labels), labels)

    chosen = distributed.own_device(choose_device(device))
    prepare_device(chosen, threads=threads)
    return read_checkpoints(paths, device=chosen, track=track, size=size, tta=tta, precision=precision, refine=after)


def _pixels(photo: Photo) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of a photo. Raises PhotoError, and ValueError for an array of another kind."""
    if isinstance(photo, Image.Image):
        return pixels_of(to_rgb(ImageOps.exif_transpose(photo)))
    if not isinstance(photo, np.ndarray):
        if Path(photo).suffix.lower() in CLIP_SUFFIXES:
            raise PhotoError(f"{os.fspath(photo)} is a clip; face_parsing.video.parse_video parses clips")
        return read_photo(photo)
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise ValueError(f"a photo is (height, width, 3) uint8 RGB, and this array is {photo.shape} {photo.dtype}.")
    return photo


def _file(photo: Photo) -> Path | None:
    """The file that a photo was read from, if it has one."""
    file = getattr(photo, "filename", None) if isinstance(photo, Image.Image) else photo
    return Path(file) if isinstance(file, str | os.PathLike) and str(file) else None


def _name(photo: Photo) -> str:
    """What the files of a photo are called: as its own file, if it has one."""
    return file.stem if (file := _file(photo)) and file.stem else "photo"
