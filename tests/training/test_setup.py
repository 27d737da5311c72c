"""What is checked before a training starts."""

from __future__ import annotations

import pytest

from face_parsing.config.loading import ConfigError
from face_parsing.config.optimization import Stage
from face_parsing.system import distributed
from face_parsing.training.setup import check_processes


def test_a_batch_that_cannot_be_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = [Stage(image_size=64, epochs=4, batch_size=16)]
    check_processes(stages, 15)
    monkeypatch.setattr(distributed, "world_size", lambda: 4)
    check_processes(stages)
    with pytest.raises(ConfigError, match=r"batch_size = 16 \(here 15, .*cannot be split evenly over 4"):
        check_processes(stages, 15)
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(ConfigError, match=r"schedule.stages.0.batch_size = 16 is the batch of all .* a multiple of 3"):
        check_processes(stages)
