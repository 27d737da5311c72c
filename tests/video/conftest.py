"""What the tests of clips share: they are skipped where PyAV is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("av")


@pytest.fixture(scope="session")
def clip(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of a face."""
    from made_clips import moving_face, write_clip  # which need PyAV

    photo = root / "docs/images/astronaut.jpg"
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", moving_face(photo, 3, size=(128, 96), face=96))
