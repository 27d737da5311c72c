"""Checkpoints that nobody should trust, each with what must become of it."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hostile_case import Case, packed, pipe_named, written

from face_parsing.labels import CELEBAMASK, NUM_CLASSES
from face_parsing.models import build_model

TINY: dict[str, Any] = {"name": "unet", "channels": [8, 8, 8], "blocks": [0, 0, 1], "plain_stages": 2, "expansion": 2.0}
TRACE = "code-was-run"


@cache
def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build_model(TINY, NUM_CLASSES).state_dict()


def content(**changes: Any) -> dict[str, Any]:
    """A sound checkpoint's content, but for the changes; a value of ... leaves the key out."""
    values: dict[str, Any] = {
        "format": 1, "classes": CELEBAMASK.groups, "state_dict": dict(_weights()), "model": TINY, "image_size": 64,
        "inference": {"scales": [1.0], "flip": True}, "track": "challenge", "scores": {"f_score": 0.5},
    }  # fmt: skip
    return {key: value for key, value in {**values, **changes}.items() if value is not ...}


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _would_run(function: Callable[..., Any], *arguments: str, form: str, where: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        filled = [argument.replace("TRACE", str(folder / TRACE)) for argument in arguments]
        evil = Runs(function, *filled)
        values = content(**{where: {"x": evil}}) if where else evil
        path = folder / "model.pth"
        path.write_bytes(pickle.dumps(values, 2) if form == "pickle" else packed(values, zipped=form == "zip"))
        return path

    return make


def _old_tar(folder: Path) -> Path:
    path = folder / "model.pth"
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(Runs(os.mkdir, str(folder / TRACE)), 2)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def _repacked(change: Callable[[zipfile.ZipFile, str, bytes], None], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A sound checkpoint's archive, each member of which went through change(archive, name, data)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(packed(content()))) as old, zipfile.ZipFile(buffer, "w", compression) as new:
        for name in old.namelist():
            change(new, name, old.read(name))
    return buffer.getvalue()


def _inflating() -> bytes:
    def change(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
        archive.writestr(name, data)
        if name.endswith("data.pkl"):
            archive.writestr(name.replace("data.pkl", "data/9999"), bytes(64 * 2**20))

    return _repacked(change, zipfile.ZIP_DEFLATED)


def _extra_pickle(folder: Path) -> Path:
    def change(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
        archive.writestr(name, data)
        if name.endswith("data.pkl"):
            evil = pickle.dumps(Runs(os.mkdir, str(folder / TRACE)), 2)
            archive.writestr(name.replace("data.pkl", "constants.pkl"), evil)
            archive.writestr(name.replace("data.pkl", "../../escaped.pkl"), evil)

    return written("model.pth", _repacked(change))(folder)


def _laughs(leaf: Any, depth: int = 9) -> Any:
    """Ten times the same, ten times over: 10**depth leaves in some bytes."""
    for _ in range(depth):
        leaf = [leaf] * 10
    return leaf


def _looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _stretched() -> dict[str, torch.Tensor]:
    """Weights whose tensors claim 10**12 elements of one stored number."""
    return {name: torch.zeros(1).expand(10**12) for name in _weights()}


NO_CHECKPOINT = "is no checkpoint of this project"
NO_FIT = "do not fit its own description"
_CODE: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "os.system": (os.system, ("touch TRACE",)),
    "eval": (eval, ("__import__('os').mkdir('TRACE')",)),
    "exec": (exec, ("import os; os.mkdir('TRACE')",)),
    "os.mkdir": (os.mkdir, ("TRACE",)),
    "torch.load": (torch.load, ("TRACE",)),
}
_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "image_size a text": ({"image_size": "64"}, "image_size is '64', not a whole number from 32 to 4096"),
    "image_size negative": ({"image_size": -64}, "image_size is -64, not"),
    "image_size zero": ({"image_size": 0}, "image_size is 0, not"),
    "image_size huge": ({"image_size": 10**9}, "image_size is 1000000000, not"),
    "image_size beyond 64 bits": ({"image_size": 10**40}, "a whole number of more than 64 bits"),
    "image_size a fraction": ({"image_size": 64.0}, "image_size is 64.0, not"),
    "image_size nan": ({"image_size": float("nan")}, "image_size is nan, not"),
    "image_size true": ({"image_size": True}, "image_size is True, not"),
    "image_size none": ({"image_size": None}, "image_size is None, not"),
    "image_size a tensor": ({"image_size": torch.tensor(64)}, r"image_size is tensor\(64\), not"),
    "format a text": ({"format": "1"}, "has format '1', this version reads format 1"),
    "format from the future": ({"format": 2}, "has format 2"),
    "format a list": ({"format": [1]}, r"has format \[1\]"),
    "model a text": ({"model": "unet"}, "model is 'unet', not a description"),
    "model none": ({"model": None}, "model is None, not a description"),
    "model a list": ({"model": ["unet"]}, "model is .*, not a description"),
    "model with numbers for keys": ({"model": {1: 2}}, "model is .*, not a description"),
    "model without a name": ({"model": {}}, NO_FIT),
    "model of no known name": ({"model": {"name": "os.system"}}, NO_FIT),
    "model whose name is a list": ({"model": {"name": ["unet"]}}, NO_FIT),
    "a million channels": ({"model": {**TINY, "channels": [10**6, 10**6, 10**6]}}, f"{NO_FIT}.*far larger network"),
    "10**15 channels": ({"model": {**TINY, "channels": [10**15] * 3}}, NO_FIT),
    "no channels": ({"model": {**TINY, "channels": []}}, NO_FIT),
    "negative channels": ({"model": {**TINY, "channels": [-8, 8, 8]}}, NO_FIT),
    "channels of zero": ({"model": {**TINY, "channels": [0, 0, 0]}}, NO_FIT),
    "channels of text": ({"model": {**TINY, "channels": ["8", "8", "8"]}}, NO_FIT),
    "a billion blocks": ({"model": {**TINY, "blocks": [10**9, 0, 0]}}, f"{NO_FIT}.*far larger network"),
    "blocks one too few": ({"model": {**TINY, "blocks": [0, 0]}}, NO_FIT),
    "endless expansion": ({"model": {**TINY, "expansion": float("inf")}}, NO_FIT),
    "expansion of 10**9": ({"model": {**TINY, "expansion": 1e9}}, NO_FIT),
    "dropout of 7": ({"model": {**TINY, "dropout": 7.0}}, NO_FIT),
    "another network, huge": ({"model": {"name": "light_unet", "channels": [10**6] * 6}}, f"{NO_FIT}.*far larger"),
    "a third network, wide": ({"model": {"name": "deeplabv3plus", "width": 1e5}}, f"{NO_FIT}.*far larger"),
    "a pyramid of a million": ({"model": {"name": "deeplabv3plus", "rates": [1] * 9000}}, f"{NO_FIT}.*far larger"),
    "an argument too many": ({"model": {**TINY, "num_classes": 3}}, NO_FIT),
    "a description ten times itself": ({"model": {**TINY, "blocks": _laughs(1)}}, "holds more than 10,000 values"),
    "a description within itself": ({"model": {"name": "unet", "blocks": _looped()}}, "nested more than 30 deep"),
    "a description 200 deep": ({"model": {"name": "unet", "blocks": _deep(200)}}, "nested more than 30 deep"),
    "a description of 10**6 letters": ({"model": {"name": "u" * 10**6}}, "more than 100,000 characters"),
    "classes ten times themselves": ({"classes": {"a": _laughs("skin")}}, "holds more than 10,000 values"),
    "classes within themselves": ({"classes": _looped()}, "nested more than 30 deep"),
    "classes that do not exist": ({"classes": {"a": ["no_class"], "b": []}}, "was trained on other classes"),
    "classes a number": ({"classes": 19}, "was trained on other classes: 19"),
    "classes of numbers": ({"classes": {1: [2], 3: [4]}}, "was trained on other classes"),
    "classes of nothing": ({"classes": {"a": None}}, "was trained on other classes"),
    "classes that are missing": ({"classes": ...}, "was trained on other classes: None"),
    "scales of a thousand": ({"inference": {"scales": [1000.0], "flip": True}}, "inference is .*, not flip and scales"),
    "scales without end": ({"inference": {"scales": [1.0] * 5000, "flip": True}}, "inference is .*, not flip and"),
    "no scales": ({"inference": {"scales": [], "flip": True}}, "inference is .*, not flip and scales"),
    "scales of nan": ({"inference": {"scales": [float("nan")], "flip": True}}, "inference is .*, not flip and scales"),
    "flip a text": ({"inference": {"scales": [1.0], "flip": "no"}}, "inference is .*, not flip and scales"),
    "inference a list": ({"inference": [1.0]}, "inference is .*, not flip and scales"),
    "track a list": ({"track": ["challenge"]}, "track is .*, not a name"),
    "scores a text": ({"scores": "1.0"}, "scores is '1.0', not figures by name"),
    "state_dict a list": ({"state_dict": [torch.zeros(1)]}, "state_dict is .*, not tensors by name"),
    "state_dict none": ({"state_dict": None}, "state_dict is None, not tensors by name"),
    "state_dict of numbers": ({"state_dict": {"a": 1.0}}, "state_dict is .*, not tensors by name"),
    "state_dict by number": ({"state_dict": {1: torch.zeros(1)}}, "state_dict is .*, not tensors by name"),
    "state_dict of sparse tensors": (
        {"state_dict": {"a": torch.eye(3).to_sparse()}}, "state_dict is .*, not tensors by name",
    ),
    "state_dict empty": ({"state_dict": {}}, NO_FIT),
    "state_dict of another network": ({"state_dict": {"weight": torch.zeros(3)}}, NO_FIT),
    "weights of 10**12 elements": ({"state_dict": _stretched()}, NO_FIT),
    "weights of complex numbers": ({"state_dict": {k: v.to(torch.complex64) for k, v in _weights().items()}}, None),
    "weights of nothing": ({"state_dict": {k: torch.empty(0) for k in _weights()}}, NO_FIT),
    "weights on no device": ({"state_dict": {k: torch.empty_like(v, device="meta") for k, v in _weights().items()}},
                             NO_FIT),
    "weights of the wrong shape": ({"state_dict": {k: v[None] for k, v in _weights().items()}}, NO_FIT),
    "weights of nan": ({"state_dict": {k: v * float("nan") for k, v in _weights().items()}}, "not all finite numbers"),
    "one weight infinite": (
        {"state_dict": {**_weights(), "head.1.bias": _weights()["head.1.bias"] + float("inf")}},
        r"not all finite numbers \(head\.1\.bias\)",
    ),
}  # fmt: skip


def checkpoints() -> Iterator[Case]:
    """Checkpoints."""
    yield Case("sound", written("model.pth", lambda: packed(content())), "")
    for name, (function, arguments) in _CODE.items():
        for form in ("zip", "legacy", "pickle"):
            for where in ("", "scores"):
                made = _would_run(function, *arguments, form=form, where=where)
                yield Case(f"{name} in {where or 'place of all'}, {form}", made, "refused without running any of it")
    yield Case("an old tar archive", _old_tar, "is damaged|refused without running any of it")
    yield Case("more pickles in the archive", _extra_pickle, "is damaged|" + NO_CHECKPOINT + "|^$")
    yield Case("an archive that inflates", written("model.pth", _inflating), "unpack to .* but training compresses")
    for name, (changes, expected) in _FIELDS.items():
        values = content(**changes)
        yield Case(name, written("model.pth", lambda values=values: packed(values)), expected)
    for values, name in ([], "a list"), (7, "a number"), ({}, "nothing"), (_weights(), "bare weights"):
        yield Case(f"{name} for a checkpoint", written("model.pth", packed(values)), NO_CHECKPOINT)
    for name, data in {
        "empty": b"",
        "text": b"no checkpoint\n",
        "zip": b"PK\x03\x04",
        "pickle": b"\x80\x02]q\x00.",
    }.items():
        yield Case(f"{name} file", written("model.pth", data), "is damaged|" + NO_CHECKPOINT + "|refused without")
    whole = packed(content())
    for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999):
        data = whole[: int(share * len(whole))]
        yield Case(f"cut at {share:%}", written("model.pth", data), "is damaged|" + NO_CHECKPOINT)
    rng = np.random.default_rng(0)
    for i in range(24):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 8):
            damaged[place] ^= 1 << int(rng.integers(8))
        yield Case(f"turned bits {i}", written("model.pth", bytes(damaged)), None)
    yield Case("a folder", lambda folder: folder, "There is no checkpoint")
    yield Case("nothing there", lambda folder: folder / "none.pth", "There is no checkpoint")
    yield Case("a pipe", pipe_named("model.pth"), "There is no checkpoint")
