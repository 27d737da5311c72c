"""Seeds of several processes."""

from __future__ import annotations

from face_parsing.system.seeds import mix_seeds


def test_process_0_draws_what_one_alone_draws() -> None:
    assert mix_seeds(5, 7, 2, 0) == mix_seeds(5, 7, 2)
    assert len({mix_seeds(5, 7, 2, rank) for rank in range(8)}) == 8
