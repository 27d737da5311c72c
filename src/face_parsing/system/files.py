"""Files that are never half-written, and what tells one file from another."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

GONE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
"""What is said of a path that leads to nothing, or to itself."""

Identity = tuple[int, int]
"""Of a file or folder, whatever it is called: its device and its number there."""


def stat_of(path: Path, *, strict: bool = False) -> os.stat_result | None:
    """What a path, or the end of a link, is. None where it leads to nothing or, unless ``strict``, cannot be asked."""
    try:
        return path.stat()
    except OSError as error:
        if strict and error.errno not in GONE:
            raise
        return None


def identity_of(path: Path, *, strict: bool = False) -> Identity | None:
    """Which file or folder a path leads to; None as in ``stat_of``."""
    facts = stat_of(path, strict=strict)
    return None if facts is None else (facts.st_dev, facts.st_ino)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary neighbour of path to write to: it replaces path when the block ends well, else it vanishes.

    Raises OSError, naming path, where it cannot be written.
    """
    temporary = path.with_name(f".{os.getpid()}.{_short(path.name)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        # Python names no file where a write fails, and else the temporary one or a folder above it.
        named = error.filename and Path(os.fsdecode(error.filename))
        if named and named != temporary and named not in path.parents:
            raise
        reason = error.strerror or str(error)
        full = error.errno in (None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        mend = "make room for it or choose another place" if full else "choose another place"
        raise OSError(f"{path} cannot be written: {reason}; {mend}.") from None


def _short(name: str) -> str:
    """A name may be as long as file systems allow, which leaves no room for more before it: then a digest of it."""
    encoded = os.fsencode(name)
    if len(encoded) < 200:
        return name
    import hashlib

    return hashlib.sha256(encoded).hexdigest()
