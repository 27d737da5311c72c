"""The metric, against the referee and by hand."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from face_parsing.evaluation import confusion, metrics
from face_parsing.evaluation.boundary import boundary_f1
from face_parsing.evaluation.confusion import class_counts, confusion_matrices, lr_corrected, mirrored
from face_parsing.evaluation.metrics import ScoreKeeper, Scores, class_f1, f_scores, set_f1
from face_parsing.labels import CELEBAMASK, CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES, is_mirrored, swap_left_right
from face_parsing.synthetic.dataset import make_pair

TINY_TRUTH = np.array([[0, 0], [1, 1]], dtype=np.uint8)
TINY_GUESS = np.array([[0, 1], [1, 1]], dtype=np.uint8)


def png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def judged(referee: ModuleType, guesses: np.ndarray, truths: np.ndarray) -> dict[str, Any]:
    """What the referee says of masks (N, H, W)."""
    names = [f"{i:03d}" for i in range(len(truths))]
    both = [dict(zip(names, map(png, masks), strict=True)) for masks in (guesses, truths)]
    result: dict[str, Any] = referee.score(*both)
    return result


def scored(guesses: np.ndarray, truths: np.ndarray, *, batch: int = 4) -> Scores:
    keeper = ScoreKeeper()
    for i in range(0, len(truths), batch):
        keeper.update(torch.from_numpy(guesses[i : i + batch].copy()), torch.from_numpy(truths[i : i + batch].copy()))
    return keeper.scores()


def assert_agree(ours: Scores, theirs: dict[str, Any]) -> None:
    assert ours.images == theirs["images"]
    assert ours.f_score == pytest.approx(theirs["f_score"], abs=1e-9, rel=0)
    assert ours.f_score_lr_corrected == pytest.approx(theirs["f_score_left_right_in_order"], abs=1e-9, rel=0)
    assert ours.miou == pytest.approx(theirs["miou"], abs=1e-9, rel=0)
    assert ours.pixel_accuracy == pytest.approx(theirs["pixel_accuracy"], abs=1e-9, rel=0)
    assert ours.f1 == pytest.approx(theirs["f1_per_class"], abs=1e-9, rel=0)
    assert list(ours.f1) == list(theirs["f1_per_class"])


def noisy(mask: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """The mask with a share of its pixels drawn anew."""
    return np.where(rng.random(mask.shape) < share, rng.integers(0, NUM_CLASSES, mask.shape), mask).astype(np.uint8)


def faces(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy guesses and true masks of synthetic faces (N, 48, 48); a third of the truths are mirrored."""
    rng = np.random.default_rng(seed)
    truths = [make_pair(seed + i, size=48)[1] for i in range(count)]
    guesses = [noisy(mask, rng, 0.03) for mask in truths]
    truths = [mask if i % 3 else swap_left_right(mask) for i, mask in enumerate(truths)]
    return np.stack(guesses), np.stack(truths)


# --- the referee ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_random_masks_score_as_the_referee_says(referee: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(7):  # each with a few classes only, so that most are absent and some are predicted in vain
        known = [rng.choice(NUM_CLASSES, size=rng.integers(1, 12), replace=False) for _ in range(2)]
        truth, guess = (rng.choice(ids, size=(11, 13)) for ids in known)
        pairs.append((np.where(rng.random(truth.shape) < 0.5, truth, guess), truth))
    guesses, truths = (np.stack(masks).astype(np.uint8) for masks in zip(*pairs, strict=True))
    assert_agree(scored(guesses, truths), judged(referee, guesses, truths))


def test_faces_some_of_them_mirrored_score_as_the_referee_says(referee: ModuleType) -> None:
    guesses, truths = faces(9, 0)
    ours = scored(guesses, truths)
    assert sum(is_mirrored(mask) for mask in truths) == 3
    assert ours.f_score_lr_corrected > ours.f_score + 0.02
    assert_agree(ours, judged(referee, guesses, truths))


@pytest.fixture(scope="module")
def real_masks(real_data: Path) -> np.ndarray:
    """20 real masks, 5 of them mirrored."""
    chosen: dict[bool, list[np.ndarray]] = {True: [], False: []}
    wanted = {True: 5, False: 15}
    for path in sorted((real_data / "train" / "masks").glob("*.png")):
        with Image.open(path) as picture:
            mask = np.array(picture)
        kind = is_mirrored(mask)
        if len(chosen[kind]) < wanted[kind]:
            chosen[kind].append(mask)
        if all(len(chosen[k]) == wanted[k] for k in wanted):
            break
    return np.stack(chosen[True] + chosen[False])


@pytest.mark.parametrize("knows_left_from_right", [False, True])
def test_real_masks_shifted_by_a_pixel_score_as_the_referee_says(
    referee: ModuleType, real_masks: np.ndarray, knows_left_from_right: bool
) -> None:
    guesses = np.roll(real_masks, (1, 1), axis=(1, 2))
    if knows_left_from_right:
        guesses = np.stack([referee.in_order(mask) for mask in guesses])
    ours = scored(guesses, real_masks, batch=7)
    assert sum(is_mirrored(mask) for mask in real_masks) == 5
    assert_agree(ours, judged(referee, guesses, real_masks))
    if knows_left_from_right:
        assert ours.f_score < ours.f_score_lr_corrected - 0.05
    assert 0.9 < ours.f_score_lr_corrected < 1


# --- by hand ----------------------------------------------------------------------------------------


def test_a_tiny_example_by_hand() -> None:
    found = scored(TINY_GUESS[None], TINY_TRUTH[None])
    # background: precision 1/1, recall 1/2; skin: precision 2/3, recall 2/2.
    assert found.images == 1
    assert found.precision == pytest.approx({"background": 1.0, "skin": 2 / 3}, abs=1e-6)
    assert found.recall == pytest.approx({"background": 0.5, "skin": 1.0}, abs=1e-6)
    assert found.f1 == pytest.approx({"background": 2 / 3, "skin": 0.8}, abs=1e-6)
    assert found.f_score == pytest.approx((2 / 3 + 0.8) / 2, abs=1e-6)
    assert found.iou == pytest.approx({"background": 1 / 2, "skin": 2 / 3})
    assert found.miou == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found.pixel_accuracy == 0.75


def test_images_are_averaged_and_not_their_pixels() -> None:
    # The second image is perfect; skin is absent from it, so the skin of the first one counts alone.
    truths = np.stack([TINY_TRUTH, np.zeros_like(TINY_TRUTH)])
    guesses = np.stack([TINY_GUESS, np.zeros_like(TINY_GUESS)])
    found = scored(guesses, truths)
    assert found.f_score == pytest.approx(((2 / 3 + 0.8) / 2 + 1) / 2, abs=1e-6)
    assert found.f1 == pytest.approx({"background": (2 / 3 + 1) / 2, "skin": 0.8}, abs=1e-6)
    assert found.iou["background"] == pytest.approx(5 / 6)


def test_a_class_predicted_in_vain_is_not_scored_itself() -> None:
    truth = np.zeros((1, 2, 2), dtype=np.uint8)
    guess = truth.copy()
    guess[0, 0, 0] = 18
    found = scored(guess, truth)
    assert list(found.f1) == ["background"]
    assert found.f_score == pytest.approx(2 * 0.75 / 1.75, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_perfect_prediction_scores_1_and_a_wrong_one_0(seed: int) -> None:
    _, truths = faces(3, seed)
    perfect = scored(truths, truths)
    assert perfect.f_score == pytest.approx(1, abs=1e-6)
    assert (perfect.miou, perfect.pixel_accuracy) == (1.0, 1.0)
    assert scored((truths + 1) % NUM_CLASSES, truths).summary()["f_score"] == pytest.approx(0, abs=1e-6)


def test_the_confusion_matrix_is_counted_by_image() -> None:
    truths = torch.from_numpy(np.stack([TINY_TRUTH, TINY_TRUTH]))
    guesses = torch.from_numpy(np.stack([TINY_GUESS, TINY_TRUTH]))
    found = confusion_matrices(guesses, truths)
    assert (found.shape, found.dtype) == ((2, NUM_CLASSES, NUM_CLASSES), torch.int64)
    assert found[0, :2, :2].tolist() == [[1, 1], [0, 2]]
    assert found[1, :2, :2].tolist() == [[2, 0], [0, 2]]
    assert int(found.sum()) == 8
    assert class_counts(found)[0, :, :2].tolist() == [[1, 2], [1, 3], [2, 2]]
    assert f_scores(class_counts(found)).tolist() == pytest.approx([(2 / 3 + 0.8) / 2, 1.0], abs=1e-6)


# --- properties -------------------------------------------------------------------------------------


def test_ignored_pixels_are_not_counted() -> None:
    guesses, truths = faces(4, 3)
    hidden = np.random.default_rng(0).random(truths.shape) < 0.3
    truths[hidden] = IGNORE_INDEX
    first = scored(guesses, truths)
    changed = guesses.copy()
    changed[hidden] = 13
    again = scored(changed, truths)
    keeper = ScoreKeeper()
    keeper.update(torch.from_numpy(changed), torch.from_numpy(truths))
    assert keeper.counts()[:, 2].sum(1).tolist() == (~hidden).sum((1, 2)).tolist()
    assert int(keeper.confusion().sum()) == (~hidden).sum()
    assert (again.f_score, again.miou, again.f1) == (first.f_score, first.miou, first.f1)


def test_ignoring_pixels_is_cutting_them_away() -> None:
    guesses, truths = faces(3, 4)
    hidden = truths.copy()
    hidden[:, :, :9] = IGNORE_INDEX
    found, cut = scored(guesses, hidden), scored(guesses[:, :, 9:], truths[:, :, 9:])
    assert (found.f_score, found.f1, found.iou) == (cut.f_score, cut.f1, cut.iou)


@pytest.mark.parametrize("batch", [1, 2, 5, 9])
def test_batches_change_nothing(batch: int) -> None:
    guesses, truths = faces(9, 5)
    assert scored(guesses, truths, batch=batch) == scored(guesses, truths, batch=4)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_masks_may_have_any_integer_type(dtype: torch.dtype) -> None:
    guesses, truths = (torch.from_numpy(masks) for masks in faces(3, 1))
    assert torch.equal(confusion_matrices(guesses.to(dtype), truths.to(dtype)), confusion_matrices(guesses, truths))
    assert torch.equal(mirrored(truths.to(dtype)), mirrored(truths))


MASKS = st.integers(1, 4).flatmap(
    lambda count: st.tuples(
        st.integers(0, 2**32 - 1), st.just(count), st.lists(st.sampled_from(range(NUM_CLASSES)), min_size=1, max_size=8)
    )
)


def masks_of(seed: int, count: int, ids: list[int]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).choice(ids, size=(count, 5, 7)).astype(np.uint8))


@given(MASKS)
def test_mirrored_says_what_labels_say(drawn: tuple[int, int, list[int]]) -> None:
    masks = masks_of(*drawn)
    assert mirrored(masks).tolist() == [is_mirrored(mask) for mask in masks.numpy()]


@given(MASKS, st.integers(0, 2**32 - 1))
def test_permuting_the_matrix_is_counting_the_swapped_masks(drawn: tuple[int, int, list[int]], seed: int) -> None:
    truths = masks_of(*drawn)
    guesses = masks_of(seed, len(truths), [*drawn[2], 4, 5, 8, 9])
    swap_guess, swap_truth = mirrored(guesses), mirrored(truths)
    found = lr_corrected(confusion_matrices(guesses, truths), swap_guess, swap_truth)

    def swapped(masks: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        pairs = zip(masks.numpy(), which.tolist(), strict=True)
        return torch.from_numpy(np.stack([swap_left_right(mask) if swap else mask for mask, swap in pairs]))

    assert torch.equal(found, confusion_matrices(swapped(guesses, swap_guess), swapped(truths, swap_truth)))


# --- F1 of a set, F1 of boundaries -------------------------------------------------------------------


def test_f1_of_a_set_pools_the_counts_by_hand() -> None:
    # Two images; rows are true classes, columns predicted ones. Class 2 is in no truth and once predicted.
    confusion = torch.tensor([[[3, 1, 0], [0, 4, 0], [0, 0, 0]], [[1, 0, 1], [2, 2, 0], [0, 0, 0]]])
    counts = class_counts(confusion)
    found = set_f1(counts)
    # Class 0: TP 4, FP 2, FN 2; class 1: TP 6, FP 1, FN 2.
    assert found[:2].tolist() == pytest.approx([8 / 12, 12 / 15])
    assert found[2].isnan()
    each = class_f1(counts)
    # 2TP / (2TP + FP + FN), but for the referee's guards.
    assert each[:, :2].flatten().tolist() == pytest.approx([6 / 7, 8 / 9, 2 / 5, 4 / 6], abs=1e-6)
    assert each[:, 2].isnan().all()
    assert f_scores(counts).tolist() == pytest.approx(each[:, :2].mean(1).tolist())


def slow_boundary_f1(
    prediction: np.ndarray, target: np.ndarray, tolerance: float, num_classes: int
) -> list[float | None]:
    """The definition, a pixel at a time."""
    H, W = target.shape

    def edge(mask: np.ndarray, c: int) -> list[tuple[int, int]]:
        around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        return [
            (y, x)
            for y in range(H)
            for x in range(W)
            if mask[y, x] == c
            and any(0 <= y + dy < H and 0 <= x + dx < W and mask[y + dy, x + dx] != c for dy, dx in around)
        ]

    def near(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        return float(np.mean([any(np.hypot(y - v, x - u) <= tolerance for v, u in others) for y, x in some]))

    found: list[float | None] = []
    for c in range(num_classes):
        true, guess = edge(target, c), edge(prediction, c)
        if not true:
            found.append(None)
        elif not guess:
            found.append(0.0)
        else:
            precision, recall = near(guess, true), near(true, guess)
            found.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return found


@pytest.mark.parametrize("tolerance", [0.5, 1.0, 2.0, 3.5])
def test_boundary_f1_is_its_definition(tolerance: float) -> None:
    rng = np.random.default_rng(int(tolerance * 10))
    for _ in range(5):
        target = np.kron(rng.integers(0, 5, (4, 5)), np.ones((5, 4))).astype(np.uint8)
        prediction = np.where(rng.random(target.shape) < 0.1, 5, np.roll(target, 2, axis=0)).astype(np.uint8)
        expected = slow_boundary_f1(prediction, target, tolerance, 7)
        found = boundary_f1(prediction, target, tolerance=tolerance, num_classes=7)
        assert [None if np.isnan(value) else value for value in found] == pytest.approx(expected)


def test_boundary_f1_by_hand() -> None:
    target, prediction = np.zeros((100, 100), dtype=np.uint8), np.zeros((100, 100), dtype=np.uint8)
    target[:, 50:], prediction[:, 52:] = 1, 1
    # The boundaries are two pixels apart: 0.75 % of the diagonal are 1.06 pixels.
    np.testing.assert_array_equal(boundary_f1(prediction, target, num_classes=3), [0, 0, np.nan])
    np.testing.assert_array_equal(boundary_f1(prediction, target, tolerance=2, num_classes=3), [1, 1, np.nan])
    # A class that fills the truth has no boundary; one that was not predicted scores 0.
    np.testing.assert_array_equal(boundary_f1(prediction, np.full_like(target, 2), num_classes=3), [np.nan] * 3)
    np.testing.assert_array_equal(boundary_f1(np.zeros_like(target), target, num_classes=2), [0, 0])
    # What is ignored in the truth is ignored in the prediction: here the false half of the boundary.
    prediction = target.copy()
    prediction[50:] = 0
    target[50:] = IGNORE_INDEX
    np.testing.assert_array_equal(boundary_f1(prediction, target, num_classes=2), [1, 1])


# --- presentation -----------------------------------------------------------------------------------


def test_table_and_summary_hold_every_class_that_occurs() -> None:
    found = scored(*faces(6, 2))
    rows = found.table().splitlines()
    assert [row.split()[0] for row in rows[1:-1]] == list(found.f1)
    assert set(found.f1) <= set(CLASS_NAMES)
    assert f"F-Score {found.f_score:.4f}" in rows[-1]
    assert found.summary() == {
        "f_score": found.f_score,
        "f_score_lr_corrected": found.f_score_lr_corrected,
        "miou": found.miou,
        "pixel_accuracy": found.pixel_accuracy,
    }


def test_nothing_to_score() -> None:
    with pytest.raises(ValueError, match="the validation set is empty"):
        ScoreKeeper().scores()


def test_images_without_a_pixel_to_score_are_left_out() -> None:
    keeper = ScoreKeeper()
    target = torch.zeros(2, 4, 4, dtype=torch.uint8)
    target[1] = 255
    keeper.update(torch.zeros(2, 4, 4, dtype=torch.uint8), target)
    scores = keeper.scores()
    assert scores.images == 1
    assert scores.f_score == pytest.approx(1)
    empty = ScoreKeeper()
    with pytest.raises(ValueError, match="no image was scored"):
        empty.scores()
    empty.update(target[1:], target[1:])
    with pytest.raises(ValueError, match="no image was scored"):
        empty.scores()


# --- counting runs on a CPU, and pixels elsewhere ------------------------------------------------------


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 21), st.integers(1, 40))
def test_counting_runs_is_counting_pixels(seed: int, batch: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, NUM_CLASSES, (2, batch, -(-height // 4), -(-width // 4)), dtype=np.uint8)
    masks = coarse.repeat(4, 2).repeat(4, 3)[:, :, :height, :width].copy()
    noise = rng.random(masks.shape) < 0.1
    masks[noise] = rng.integers(0, NUM_CLASSES, int(noise.sum()), dtype=np.uint8)
    masks[1][rng.random(masks[1].shape) < 0.05] = IGNORE_INDEX
    guesses, truths = map(torch.from_numpy, masks)
    expected = confusion._count_pixels(guesses, truths, NUM_CLASSES)
    assert torch.equal(confusion_matrices(guesses, truths), expected)
    for found in (guesses, truths):
        places = confusion._place_pixels(found, CELEBAMASK)
        sides = [label for pair in CELEBAMASK.pairs for label in pair]
        assert torch.equal(confusion.side_ids(found, CELEBAMASK)[:, :, sides], places[:, :, sides])
        assert torch.equal(mirrored(found), confusion.left_of_right(places, CELEBAMASK))
    keeper = ScoreKeeper()
    keeper.update(guesses, truths)
    assert torch.equal(keeper.confusion(), expected.sum(0))
    assert torch.equal(keeper.counts(), class_counts(expected).int())
    assert torch.equal(
        keeper.lr_corrected_counts(), class_counts(lr_corrected(expected, mirrored(guesses), mirrored(truths))).int()
    )


@pytest.mark.parametrize("waiting", [1, 4, 7])
def test_what_is_kept_of_an_image_is_small_and_changes_nothing(waiting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    guesses, truths = (torch.from_numpy(masks) for masks in faces(11, 6))
    truths[4] = IGNORE_INDEX
    matrices = confusion_matrices(guesses, truths)
    whole = ScoreKeeper()
    whole.update(guesses, truths)
    monkeypatch.setattr(metrics, "WAITING", waiting)
    keeper = ScoreKeeper()
    for i in range(11):
        keeper.update(guesses[i : i + 1], truths[i : i + 1])
    assert keeper.scores() == whole.scores()
    again = pickle.loads(pickle.dumps(keeper))  # as one process sends it to another
    again.update(guesses[:2], truths[:2])
    assert torch.equal(again.counts()[:11], class_counts(matrices).int())
    assert torch.equal(again.confusion(), matrices.sum(0) + matrices[:2].sum(0))
    assert len(pickle.dumps(keeper)) < 11 * 24 * NUM_CLASSES + NUM_CLASSES**2 * 8 + 6000


def test_columns_of_runs_by_hand() -> None:
    mask = np.array([[[4, 4, 0, 5], [4, 0, 0, 5]]], dtype=np.uint8)
    counts, columns = confusion.count_runs(mask, mask, NUM_CLASSES)
    assert [counts[0, c, c] for c in (0, 4, 5)] == [3, 3, 2]
    assert [columns[0, c, c] for c in (0, 4, 5)] == [2 + 1 + 2, 0 + 1 + 0, 3 + 3]
    assert counts.sum() == 8


def test_few_set_is_flatnonzero() -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.02, 0.5, 1.0):
        flags = rng.random(4096) < share
        np.testing.assert_array_equal(confusion._few_set(flags), np.flatnonzero(flags))
