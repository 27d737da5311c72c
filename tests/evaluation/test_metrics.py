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
from PIL import Image
from scored_masks import TINY_GUESS, TINY_TRUTH, faces, scored

from face_parsing.evaluation import metrics
from face_parsing.evaluation.confusion import class_counts, confusion_matrices
from face_parsing.evaluation.metrics import ScoreKeeper, Scores, class_f1, f_scores, set_f1
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, NUM_CLASSES, is_mirrored


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


def assert_agree(ours: Scores, theirs: dict[str, Any]) -> None:
    assert ours.images == theirs["images"]
    assert ours.f_score == pytest.approx(theirs["f_score"], abs=1e-9, rel=0)
    assert ours.f_score_lr_corrected == pytest.approx(theirs["f_score_left_right_in_order"], abs=1e-9, rel=0)
    assert ours.miou == pytest.approx(theirs["miou"], abs=1e-9, rel=0)
    assert ours.pixel_accuracy == pytest.approx(theirs["pixel_accuracy"], abs=1e-9, rel=0)
    assert ours.f1 == pytest.approx(theirs["f1_per_class"], abs=1e-9, rel=0)
    assert list(ours.f1) == list(theirs["f1_per_class"])


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


@pytest.mark.parametrize("processes", [2, 3, 7])
def test_scores_of_shares_are_those_of_the_whole(processes: int) -> None:
    rng = torch.Generator().manual_seed(1)
    batches = [
        torch.randint(NUM_CLASSES, (2, size, 9, 9), generator=rng, dtype=torch.uint8) for size in (3, 3, 3, 3, 1)
    ]
    whole, parts = ScoreKeeper(), [ScoreKeeper() for _ in range(processes)]
    for number, (predicted, true) in enumerate(batches):
        whole.update(predicted, true)
        parts[number % processes].update(predicted, true)
    merged = ScoreKeeper.merged(parts)
    assert torch.equal(merged.confusion(), whole.confusion())
    assert torch.equal(merged.counts(), whole.counts())
    assert torch.equal(merged.lr_corrected_counts(), whole.lr_corrected_counts())
    assert merged.scores() == whole.scores()
