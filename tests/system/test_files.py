"""Which file a path leads to, whatever it is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from face_parsing.system.files import identity_of, stat_of


def test_a_file_is_the_same_whatever_leads_to_it(tmp_path: Path) -> None:
    first, second, link = tmp_path / "a", tmp_path / "b", tmp_path / "link"
    first.touch()
    second.touch()
    link.symlink_to(first)
    assert identity_of(link) == identity_of(first, strict=True) != identity_of(second)


@pytest.mark.parametrize("strict", [True, False])
def test_what_is_not_there_is_none(tmp_path: Path, strict: bool) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "no", tmp_path / "loop", tmp_path / "file" / "below"):
        assert stat_of(path, strict=strict) is identity_of(path, strict=strict) is None


def test_what_cannot_be_asked_is_raised_if_it_is_to_be(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 300)  # no file can have the name
    assert identity_of(path) is None
    with pytest.raises(OSError, match="too long"):
        identity_of(path, strict=True)
