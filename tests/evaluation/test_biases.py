"""Decision biases: the search against the metric, the files, the command that fits and merges them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biases import main
from face_parsing.evaluation.bias_search import LIMIT, Samples
from face_parsing.evaluation.confusion import class_counts, confusion_matrices
from face_parsing.evaluation.metrics import f_scores
from face_parsing.inference.bias_merging import merge_biases
from face_parsing.inference.logit_biases import add_biases, read_biases, write_biases
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, group_labels
from face_parsing.models import build_model
from face_parsing.models.checkpoint import load_checkpoint, restore_model, save_checkpoint

RNG = np.random.default_rng(0)
COARSE = group_labels({"rest": [], "face": ["skin", "nose"], "hair": ["hair", "hat"]})


def images(count: int, labels: Any, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probabilities and truths of images whose last class is predicted too timidly."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        truth = rng.integers(0, len(labels), (12, 12)).astype(np.uint8)
        logits = rng.normal(0, 1, (len(labels), 12, 12)) + 2.0 * (np.arange(len(labels))[:, None, None] == truth)
        logits[-1] -= 1.2
        found.append(((np.exp(logits) / np.exp(logits).sum(0)).astype(np.float32), truth))
    return found


def true_scores(data: list[tuple[np.ndarray, np.ndarray]], biases: np.ndarray) -> np.ndarray:
    predicted = torch.from_numpy(np.stack([add_biases(p, biases).argmax(0) for p, _ in data]))
    counts = confusion_matrices(predicted, torch.from_numpy(np.stack([t for _, t in data])), len(biases))
    return f_scores(class_counts(counts)).numpy()


@pytest.mark.parametrize("labels", [CELEBAMASK, COARSE], ids=["19", "coarse"])
def test_the_counts_of_the_fit_are_the_metric(labels: Any) -> None:
    data = images(5, labels)
    data[2][1][:4] = IGNORE_INDEX
    samples = Samples(labels)
    for probabilities, truth in data:
        samples.add(probabilities, truth)
    kept = [(np.exp(np.log(p).astype(np.float16).astype(np.float64)), truth) for p, truth in data]  # as it keeps them
    for seed in range(20):
        biases = np.random.default_rng(seed).uniform(-LIMIT, LIMIT, len(labels))
        np.testing.assert_allclose(samples.f_scores(biases), true_scores(kept, biases), rtol=1e-5)


def test_the_fit_finds_the_timid_class_and_cross_validation_agrees() -> None:
    data = images(10, COARSE)
    samples = Samples(COARSE)
    for probabilities, truth in data:
        samples.add(probabilities, truth)
    biases = samples.fit(np.ones(10, dtype=bool))
    assert (np.abs(biases) <= LIMIT).all()
    assert 0.7 <= biases[2] - biases[:2].mean() <= 1.8
    fresh = images(20, COARSE, seed=1)
    gain = true_scores(fresh, biases).mean() - true_scores(fresh, np.zeros(3)).mean()
    assert gain > 0.02
    change = samples.cross_validate()
    assert change.shape == (10,)
    assert change.mean() > 0.02
    # No other value of one bias alone is better than what coordinate ascent ended with.
    reached = samples.f_scores(biases).mean()
    for c in range(3):
        for value in samples.grid:
            trial = biases.copy()
            trial[c] = value
            assert samples.f_scores(trial).mean() <= reached + 1e-4


def test_only_the_chosen_classes_are_fitted_and_none_beyond_the_limit() -> None:
    samples = Samples(COARSE, limit=0.3)
    for probabilities, truth in images(10, COARSE):
        samples.add(probabilities, truth)
    everything = np.ones(10, dtype=bool)
    np.testing.assert_allclose(samples.fit(everything, [2]), [0, 0, 0.3])
    np.testing.assert_array_equal(samples.fit(everything, []), 0)
    assert samples.cross_validate(classes=[2]).mean() > 0.01
    assert not samples.cross_validate(classes=[]).any()


def test_an_image_is_in_one_fold_for_all_models() -> None:
    data = images(10, COARSE)
    once, twice = Samples(COARSE), Samples(COARSE)
    for probabilities, truth in data:
        once.add(probabilities, truth)
    for probabilities, truth in data * 2:
        twice.add(probabilities, truth)
    # The same model twice: each fold's fit is that of one, for both.
    np.testing.assert_allclose(twice.cross_validate(3, rounds=2), np.tile(once.cross_validate(3), 2), atol=1e-6)


def test_left_and_right_get_one_bias() -> None:
    samples = Samples(CELEBAMASK)
    for probabilities, truth in images(4, CELEBAMASK):
        samples.add(probabilities, truth)
    biases = samples.fit(np.ones(4, dtype=bool))
    np.testing.assert_array_equal(biases, biases[list(CELEBAMASK.flipped_ids)])
    assert biases[-1] > 0.5


def test_biases_are_written_and_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    write_biases(path, [0.5, -0.25, 0.1], COARSE)
    assert json.loads(path.read_text()) == {"rest": 0.5, "face": -0.25, "hair": 0.1}
    path.write_text('{"hair": 1, "rest": 0, "face": -0.25}')
    assert read_biases(path, COARSE) == (0.0, -0.25, 1.0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[1, 2]", "must give one number for each of the classes rest, face, hair"),
        ('{"hair": 1}', "must give one number for each"),
        ('{"hair": "1", "rest": 0, "face": 0}', "the bias of hair is '1'; it must be a finite number"),
        ('{"hair": NaN, "rest": 0, "face": 0}', "the bias of hair is nan"),
    ],
)
def test_biases_that_cannot_be_read(text: str | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_biases(path, COARSE)


TIMID = {"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1]}


def write_timid(path: Path, labels: Any, *, model: dict[str, Any] = TIMID, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    save_checkpoint(
        path, state_dict=build_model(model, len(labels)).state_dict(), model=model, image_size=64,
        inference={"scales": [1.0], "flip": True, "submission_tta": True}, track="challenge", scores={"f_score": 0.5},
        labels=labels,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("labels", [CELEBAMASK, COARSE], ids=["19", "coarse"])
def test_the_command_fits_writes_and_tells(
    labels: Any, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, output = write_timid(tmp_path / "m.pth", labels), tmp_path / "b.json"
    words = ["fit", "--data", str(faces), "--model_path", str(model), "--output", str(output)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "training, 12 pairs: F-Score" in told
    assert "on folds left out of the fit" in told
    assert "validation, 4 pairs: F-Score" in told
    assert len(read_biases(output, labels)) == len(labels)
    assert main(words) == 2
    assert f"{output} would be replaced; add --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--max_pairs", "1"]) == 2
    assert "1 training pairs are too few" in capsys.readouterr().err


def test_the_command_fits_some_classes_on_validation_pairs_for_several_networks(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(write_timid(tmp_path / f"{seed}.pth", CELEBAMASK, seed=seed)) for seed in range(2)]
    output = tmp_path / "b.json"
    words = [
        "fit",
        "--data",
        str(faces),
        "--output",
        str(output),
        "--on",
        "val",
        "--classes",
        "hat",
        "cloth",
        "--limit",
        "2",
    ]
    assert main([*words, "--model_path", *models]) == 0
    told = capsys.readouterr().out
    assert "validation, 4 pairs by 2 networks: F-Score" in told
    assert "training" not in told
    biases = dict(zip(CELEBAMASK.names, read_biases(output, CELEBAMASK), strict=True))
    assert not any(value for name, value in biases.items() if name not in ("hat", "cloth"))
    coarse = str(write_timid(tmp_path / "coarse.pth", COARSE))
    for more, sentence in [
        (["--model_path", models[0], coarse], "tell different classes apart"),
        (["--model_path", models[0], "--classes", "cap"], "there is no class cap; choose from background, "),
    ]:
        assert main([*words, "--overwrite", *more]) == 2
        assert sentence in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--limit", "9"])
    assert "9 is not from 0.1 to 4" in capsys.readouterr().err


NETWORKS: list[dict[str, Any]] = [
    TIMID,
    {"name": "light_unet", "channels": [8, 8], "space_to_depth": 2},
    {"name": "light_unet", "channels": [8, 8], "space_to_depth": 1},
    {"name": "deeplabv3plus"},
    {"name": "separable_unet"},
]


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: f"{model['name']}{model.get('space_to_depth', '')}")
@pytest.mark.parametrize("labels", [CELEBAMASK, COARSE], ids=["19", "coarse"])
def test_a_network_takes_biases_into_its_classifier(
    model: dict[str, Any], labels: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output, biases = (
        write_timid(tmp_path / "a.pth", labels, model=model),
        tmp_path / "b.pth",
        tmp_path / "b.json",
    )
    values = np.round(RNG.normal(size=len(labels)), 2)
    write_biases(biases, values, labels)
    words = ["merge", "--model_path", str(source), "--biases", str(biases), "--output", str(output)]
    assert main(words) == 0
    assert f"{labels.names[0]} {values[0]:+.2f}" in capsys.readouterr().out
    before, after = (load_checkpoint(path) for path in (source, output))
    image = torch.randn(2, 3, 48, 80)
    with torch.no_grad():
        old, new = (restore_model(content, source).eval()(image) for content in (before, after))
    torch.testing.assert_close(new, old + torch.from_numpy(values).float()[:, None, None], atol=1e-4, rtol=1e-4)
    assert after["scores"] == {}
    assert {key: after[key] for key in ("model", "image_size", "inference", "track", "classes")} == {
        key: before[key] for key in ("model", "image_size", "inference", "track", "classes")
    }
    assert main(words) == 2
    assert f"{output} would be replaced; add --overwrite" in capsys.readouterr().err


def test_a_network_that_cannot_take_biases_is_left_as_it_was() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = torch.nn.Conv2d(3, 3, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return 2 * self.last(image)

    model = Twice()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="logits do not rise"):
        merge_biases(model, [1.0, 0.0, 0.0])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="no classifier with a bias"):
        merge_biases(model, [1.0, 0.0])
