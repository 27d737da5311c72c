"""Files that are never half-written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


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
