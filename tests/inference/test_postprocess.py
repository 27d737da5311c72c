"""Post-processing and decision biases: each step by hand or against a slow reference, alone and together."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from face_parsing.inference import postprocess, postprocess_settings
from face_parsing.inference.postprocess import refine
from face_parsing.inference.postprocess_options import add_arguments, settings_of
from face_parsing.inference.postprocess_settings import OPTIONS, STEPS, Postprocessing
from face_parsing.inference.postprocess_steps import grab_cut, guided_filter, remove_components, smooth_boundaries
from face_parsing.labels import CELEBAMASK, IGNORE_INDEX, NUM_CLASSES, group_labels

RNG = np.random.default_rng(0)
GREY = np.full((64, 64, 3), 128, np.uint8)
COARSE = group_labels({"rest": [], "face": ["skin", "nose"], "hair": ["hair", "hat"]})


def soft(mask: np.ndarray, classes: int = NUM_CLASSES, certainty: float = 0.9) -> np.ndarray:
    """Probabilities (C, h, w) whose largest class is the mask."""
    spread = np.full((classes, *mask.shape), (1 - certainty) / (classes - 1), dtype=np.float32)
    np.put_along_axis(spread, mask[None].astype(np.int64), certainty, axis=0)
    return spread


def disc(radius: float, size: int = 64) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) < radius


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo of a bright disc, its true mask, and a mask of a disc that is 3 pixels too large."""
    photo = np.where(disc(20)[..., None], (220, 180, 160), (30, 60, 90)).astype(np.uint8)
    photo = np.clip(photo + RNG.normal(0, 4, photo.shape), 0, 255).astype(np.uint8)
    return photo, disc(20).astype(np.uint8), disc(23).astype(np.uint8)


# --- the steps ------------------------------------------------------------------------------------


def test_small_components_go_to_the_neighbour_with_most_of_their_rim() -> None:
    mask = np.zeros((10, 12), dtype=np.uint8)
    mask[:, 6:] = 13
    mask[2:4, 2:4] = 1  # 4 pixels within the background
    mask[6:8, 5:7] = 17  # 4 pixels on the border: rim of 5 background and 7 hair pixels after the next line
    mask[8, 5] = 13
    mask[0, 0] = 15  # an earring of one pixel
    expected = mask.copy()
    expected[2:4, 2:4] = 0
    expected[6:8, 5:7] = 13
    np.testing.assert_array_equal(remove_components(mask, 5, keep=[15]), expected)
    expected[0, 0] = 0
    np.testing.assert_array_equal(remove_components(mask, 5), expected)
    np.testing.assert_array_equal(remove_components(mask, 1), mask)
    assert mask[0, 0] == 15  # the argument is not written to


def test_a_component_within_a_component_goes_first_and_a_mask_of_one_class_stays() -> None:
    mask = np.zeros((12, 12), dtype=np.uint8)
    mask[3:7, 3:7] = 1
    mask[4:6, 4:6] = 2
    np.testing.assert_array_equal(remove_components(mask, 5), np.where(mask == 2, 1, mask))
    assert not remove_components(mask, 17).any()
    full = np.full((4, 4), 3, dtype=np.uint8)
    np.testing.assert_array_equal(remove_components(full, 100), full)


@given(arrays.arrays(np.uint8, (6, 7), elements=st.integers(0, 3)), st.integers(1, 8))
def test_only_pixels_of_small_components_change(mask: np.ndarray, limit: int) -> None:
    cleaned = remove_components(mask, limit)
    for c in range(4):
        _, numbers, stats, _ = postprocess.cv2.connectedComponentsWithStats((mask == c).astype(np.uint8))
        large = np.isin(numbers, np.flatnonzero(stats[:, -1] >= limit)) & (mask == c)
        assert (cleaned[large] == c).all()
        _, _, left, _ = postprocess.cv2.connectedComponentsWithStats((cleaned == c).astype(np.uint8))
        assert (left[1:, -1] >= limit).all()
    assert set(np.unique(cleaned)) <= set(np.unique(mask))


def test_smoothing_is_the_largest_gaussian_share() -> None:
    mask = RNG.integers(0, 4, (12, 12)).astype(np.uint8).repeat(2, 0)
    sigma = 1.5
    radius = 30
    shares = []
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for c in range(4):
        padded = np.pad((mask == c).astype(np.float64), radius, mode="edge")
        rows = np.apply_along_axis(np.convolve, 0, padded, kernel, mode="valid")
        shares.append(np.apply_along_axis(np.convolve, 1, rows, kernel, mode="valid"))
    expected = np.argmax(shares, 0)
    top = np.sort(shares, 0)
    clear = top[-1] - top[-2] > 0.02  # OpenCV cuts the Gaussian off
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(smooth_boundaries(mask, sigma)[clear], expected[clear])


def test_smoothing_takes_spikes_and_leaves_straight_lines_and_kept_classes() -> None:
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[20:] = 1
    mask[15:20, 10] = 1  # a spike
    mask[30, 20:24] = 6  # a thin brow
    smoothed = smooth_boundaries(mask, 2, keep=[6])
    assert not smoothed[15:18, 10].any()
    np.testing.assert_array_equal(smoothed[:, 28:], mask[:, 28:])
    np.testing.assert_array_equal(smoothed == 6, mask == 6)
    assert not (smooth_boundaries(mask, 2) == 6).any()


def test_the_guided_filter_is_the_windows_linear_fits() -> None:
    h, w, r, eps = 7, 8, 1, 0.01
    photo = RNG.integers(0, 256, (h, w, 3)).astype(np.uint8)
    p = RNG.random((2, h, w)).astype(np.float32)
    guide = np.pad(photo / 255, ((2 * r, 2 * r), (2 * r, 2 * r), (0, 0)), mode="symmetric")
    for c in range(2):
        wide = np.pad(p[c], 2 * r, mode="symmetric")
        slopes, offsets = {}, {}
        for y in range(h):
            for x in range(w):
                window = (slice(y + r, y + 3 * r + 1), slice(x + r, x + 3 * r + 1))
                I, q = guide[window].reshape(-1, 3), wide[window].ravel()  # noqa: E741 - as the paper names it
                covariance = np.cov(I.T, bias=True) + eps * np.eye(3)
                slopes[y, x] = np.linalg.solve(covariance, (I * q[:, None]).mean(0) - I.mean(0) * q.mean())
                offsets[y, x] = q.mean() - slopes[y, x] @ I.mean(0)
        filtered = guided_filter(photo, p, r, eps)[c]
        for y in range(r, h - r):
            for x in range(r, w - r):
                near = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
                slope, offset = np.mean([slopes[n] for n in near], 0), np.mean([offsets[n] for n in near])
                assert filtered[y, x] == pytest.approx(max(slope @ (photo[y, x] / 255) + offset, 0), abs=2e-4)


def test_grabcut_and_the_crf_find_the_photos_edge() -> None:
    pytest.importorskip("pydensecrf")
    photo, truth, wrong = scene()
    prediction = soft(wrong, certainty=0.6)
    before = (wrong != truth).mean()
    for steps, values in [
        (("grabcut",), {"grabcut_band": 48.0}),
        (("crf",), {"crf_weight": 8.0, "crf_distance": 160.0}),
    ]:
        scores = refine(photo, prediction, Postprocessing(steps=steps, **values))
        assert (scores.argmax(0) != truth).mean() < before / 4, steps


def test_the_guided_filter_puts_a_jump_where_the_photo_has_one() -> None:
    photo, truth, _ = scene()
    blurred = np.stack([postprocess.cv2.GaussianBlur(p, (0, 0), 4) for p in soft(truth)])
    guided = refine(photo, blurred, Postprocessing(steps=("guided",), guided_radius=64.0))
    inside, outside = disc(20) & ~disc(19), disc(21) & ~disc(20)

    def jump(p: np.ndarray) -> float:
        return float(p[1][inside].mean() - p[1][outside].mean())

    assert jump(guided) > 3 * jump(blurred)
    np.testing.assert_allclose(guided.sum(0), 1, atol=1e-4)


def test_grabcut_without_seeds_changes_nothing_and_gives_the_same_twice() -> None:
    photo, _, wrong = scene()
    nothing = np.zeros((64, 64), np.uint8)
    for mask in (nothing, nothing + 1, disc(2).astype(np.uint8)):
        np.testing.assert_array_equal(grab_cut(photo, soft(mask), mask, [1], 4), mask)
    first = grab_cut(photo, soft(wrong), wrong, [1], 6)
    np.testing.assert_array_equal(grab_cut(photo, soft(wrong), wrong, [1], 6), first)


def test_the_missing_crf_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(ValueError, match=r"pydensecrf2; 'pip install -r requirements-crf\.txt' installs it"):
        refine(GREY, soft(np.zeros((64, 64), np.uint8)), Postprocessing(steps=("crf",)))
    requirements = Path(__file__).resolve().parent.parent.parent / "requirements-crf.txt"
    assert "pydensecrf2==" in requirements.read_text()


# --- all of it ------------------------------------------------------------------------------------


def test_without_steps_the_very_same_scores_come_back() -> None:
    prediction = RNG.random((NUM_CLASSES, 20, 30)).astype(np.float32)
    assert refine(GREY, prediction, Postprocessing()) is prediction


def test_biases_move_the_decision_as_on_log_probabilities() -> None:
    prediction = RNG.random((NUM_CLASSES, 20, 30)).astype(np.float32) + 1e-3
    biases = tuple(RNG.normal(size=NUM_CLASSES))
    scores = refine(GREY, prediction, Postprocessing(biases=biases))
    expected = (np.log(prediction) + np.array(biases)[:, None, None]).argmax(0)
    np.testing.assert_array_equal(scores.argmax(0), expected)


def test_scores_change_only_where_the_mask_does() -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[10:12, 10:12] = 13
    prediction = soft(mask, certainty=0.7)
    kept = prediction.copy()
    scores = refine(GREY, prediction, Postprocessing(steps=("components",), min_component=2000.0))
    assert not scores.argmax(0).any()
    changed = mask == 13
    np.testing.assert_array_equal(scores[:, ~changed], prediction[:, ~changed])
    assert (scores[0, changed] == np.float32(0.7)).all()
    assert (scores[1:, changed] == 0).all()
    np.testing.assert_array_equal(prediction, kept)


def test_lengths_grow_with_the_photo() -> None:
    """A mask and the same twice as large are smoothed alike, since lengths are at 512 pixels."""
    mask = RNG.integers(0, 3, (16, 16)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    double = mask.repeat(2, 0).repeat(2, 1)
    settings = Postprocessing(steps=("smooth",), smooth_sigma=12.0)
    small, large = (refine(GREY, soft(m), settings).argmax(0) for m in (mask, double))
    assert (small != mask).any()
    assert (large[::2, ::2] != small).mean() < 0.03


@pytest.mark.parametrize("labels", [CELEBAMASK, COARSE], ids=["19", "coarse"])
@pytest.mark.parametrize("steps", [*((step,) for step in STEPS), STEPS[::-1]], ids=" ".join)
def test_every_step_takes_masks_and_probabilities_of_any_classes_and_shape(labels: Any, steps: Any) -> None:
    if "crf" in steps:
        pytest.importorskip("pydensecrf")
    mask = RNG.integers(0, len(labels), (6, 5)).astype(np.uint8).repeat(8, 0).repeat(9, 1)
    photo = RNG.integers(0, 256, (90, 85, 3)).astype(np.uint8)
    settings = Postprocessing(steps=steps, biases=(0.0,) * len(labels))
    for prediction in (mask, soft(mask, len(labels))):
        scores = refine(photo, prediction, settings, labels)
        assert scores.shape == (len(labels), 48, 45)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()


def test_kept_classes_are_kept_in_a_group_only_if_all_its_members_are() -> None:
    labels = group_labels({"rest": [], "eyes": ["l_eye", "r_eye"], "top": ["hair", "l_brow", "r_brow"]})
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[5:7, 5:7] = 1
    mask[20:22, 20:22] = 2
    settings = Postprocessing(steps=("components",), min_component=2000.0)
    refined = refine(GREY, mask, settings, labels).argmax(0)
    np.testing.assert_array_equal(refined, np.where(mask == 1, 1, 0))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"steps": ("blur",)}, "no post-processing step 'blur'; choose from guided, crf, grabcut, smooth, components"),
        ({"smooth_sigma": 0.0}, r"smooth_sigma is 0\.0; it must be a number above 0"),
        ({"min_component": float("nan")}, "min_component is nan"),
        ({"crf_iterations": -1}, "crf_iterations is -1"),
        ({"keep": ("wig",)}, "keep names 'wig'"),
        ({"biases": (0.0,) * 3}, "there are 3 biases for 19 classes"),
        ({"steps": ("grabcut",), "grabcut_classes": ("wig",)}, "grabcut_classes names 'wig'; choose person or"),
        ({"steps": ("grabcut",), "grabcut_classes": ("person", "background")}, "some of the classes and not all"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        refine(GREY, np.zeros((64, 64), np.uint8), Postprocessing(**values))


def test_options_name_settings_and_ignored_pixels_are_no_prediction() -> None:
    assert {step for step, _ in OPTIONS.values()} == set(STEPS)
    assert all(hasattr(Postprocessing(), name) for name in OPTIONS)
    with pytest.raises(ValueError, match="holds the label 255"):
        refine(GREY, np.full((64, 64), IGNORE_INDEX, np.uint8), Postprocessing())


def test_the_old_spelling_of_an_option_is_still_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postprocess_settings, "crf_class", lambda: object)  # the package itself is an extra
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for option in ("--crf_color", "--crf_colour"):
        settings = settings_of(parser.parse_args(["--postprocess", "crf", option, "3"]), CELEBAMASK)
        assert settings is not None
        assert settings.crf_color == 3
    assert "colour" not in parser.format_help()
