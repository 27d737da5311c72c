"""The one file of a submission: the same masks by any network of the project."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_networks import OWN, ROOT

from face_parsing.config.networks import NETWORKS
from face_parsing.config.sections import as_dict
from face_parsing.data.photos import read_photo
from face_parsing.inference.predict import parse_photos, prepare_model
from face_parsing.inference.run_py import SubmissionError, build_run_py
from face_parsing.labels import NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.synthetic.dataset import make_pair


@pytest.mark.parametrize("name", OWN)
def test_a_run_py_of_any_own_network_makes_the_same_mask(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    description = as_dict(NETWORKS[name]())
    model = build_model(description, NUM_CLASSES)
    tta = {"scales": [1.0], "flip": True}
    content = {"state_dict": model.state_dict(), "model": description, "image_size": 64, "tta": tta}
    torch.save(content, tmp_path / "ckpt.pth")
    Image.fromarray(make_pair(0, size=72)[0]).save(tmp_path / "face.png")
    (tmp_path / "run.py").write_text(build_run_py(name), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"run_{name}", tmp_path / "run.py")
    assert spec is not None
    assert spec.loader is not None
    solution = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, solution)
    spec.loader.exec_module(solution)
    words = ["--input", "face.png", "--output", "mask.png", "--weights", "ckpt.pth"]
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    monkeypatch.chdir(tmp_path)
    assert solution.main() == 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    photos = [read_photo(tmp_path / "face.png")]
    (mask,) = parse_photos([prepare_model(model, device)], photos, image_size=64, device=device, **tta)
    with Image.open(tmp_path / "mask.png") as picture:
        np.testing.assert_array_equal(np.array(picture), mask)
    assert len(np.unique(mask)) > 1
    project = {path.stem for path in (ROOT / "src").iterdir()}
    imported = {line.split()[1].split(".")[0] for line in build_run_py(name).splitlines() if line.startswith("from ")}
    assert not imported & project


def test_a_network_of_another_package_is_not_submitted() -> None:
    with pytest.raises(SubmissionError, match="segmentation-models-pytorch cannot be submitted: run"):
        build_run_py("smp")
