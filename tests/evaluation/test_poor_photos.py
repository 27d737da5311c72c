"""benchmarks/poor_photos.py: what it shows of a face, and its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import poor_photos, wide_crops
from benchmarks.poor_photos import WAYS, ways

from face_parsing.synthetic.dataset import make_pair, write_dataset


def test_each_way_is_poorer_and_only_the_turned_one_moves_labels() -> None:
    pair = make_pair(3, size=128)
    shown = ways(pair, seed=1)
    assert tuple(shown) == WAYS
    assert shown["as it is"] is pair
    for way in WAYS[1:]:
        image, mask = shown[way]
        assert image.shape == pair[0].shape
        assert (image != pair[0]).mean() > 0.2
        assert (mask is pair[1]) == (way != "turned")
    means = {way: float(image.mean()) for way, (image, _) in shown.items()}
    assert max(means["dark"], means["gamma"]) < 0.8 * means["as it is"]
    np.testing.assert_array_equal(shown["dark"][0], ways(pair, seed=1)["dark"][0])


def test_the_table_has_a_row_for_each_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    write_dataset(data, train=4, val=3, test=0, size=64, seed=0)
    monkeypatch.setattr(wide_crops, "SIZE", 64)
    monkeypatch.setattr(poor_photos, "open_network", lambda path: lambda photos: [np.zeros((64, 64), np.uint8)])
    threads = torch.get_num_threads()
    assert poor_photos.main(["--data", str(data), "--model_path", "one.pth", "other.onnx", "--limit", "2"]) == 0
    torch.set_num_threads(threads)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 faces"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["weights", "---", "one.pth", "other.onnx"]
    assert all(line.count("|") == 9 for line in lines[2:])
