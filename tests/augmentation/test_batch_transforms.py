"""Augmentation of whole batches: what albumentations does, decided by seed, epoch and index alone."""

from __future__ import annotations

from collections.abc import Callable

import albumentations as A
import cv2
import numpy as np
import pytest
import torch
from albumentations.augmentations.blur.functional import create_gaussian_kernel_1d
from albumentations.augmentations.pixel import functional as albumentations_pixel
from torch import Tensor

from face_parsing.augmentation.batch_transforms import (
    NOISE_BANK,
    BatchAugmentation,
    Draws,
    color_values,
    sampling_matrices,
)
from face_parsing.augmentation.image_ops import (
    blur,
    blur_kernels,
    compress,
    grey_of,
    mix_grey,
    resize_batch,
    shift_hue,
    warp,
)
from face_parsing.augmentation.transforms import build_augmentation
from face_parsing.data.pairs import resize_pair
from face_parsing.labels import FLIP_TABLE, IGNORE_INDEX, NUM_CLASSES
from face_parsing.synthetic.dataset import make_pair
from face_parsing.system.seeds import mix_seeds

OFF = {"flip": 0.0, "geometric": 0.0, "rotate": 20.0, "scale": (0.78, 1.28), "shift": 0.12, "color": 0.0,
       "color_strength": 0.3, "grey": 0.0, "noise": 0.0, "occlusion": 0.0}  # fmt: skip
ALL = {**OFF, "flip": 0.5, "geometric": 0.9, "color": 0.8, "grey": 0.2, "noise": 0.8, "occlusion": 0.5}
SIZE = 96
CPU = torch.device("cpu")


def build(seed: int = 0, **changes: object) -> BatchAugmentation:
    return BatchAugmentation(seed=seed, device=CPU, **{**OFF, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pairs() -> tuple[Tensor, Tensor]:
    """Images (4, SIZE, SIZE, 3), a little noisy so that no area is flat, and masks (4, SIZE, SIZE)."""
    faces = [make_pair(i, size=SIZE) for i in range(4)]
    noise = np.random.default_rng(0).integers(-12, 12, (4, SIZE, SIZE, 3))
    images = np.clip(np.stack([image for image, _ in faces]) + noise, 0, 255).astype(np.uint8)
    return torch.from_numpy(images), torch.from_numpy(np.stack([mask for _, mask in faces]))


@pytest.fixture
def planes(pairs: tuple[Tensor, Tensor]) -> Tensor:
    return pairs[0].permute(0, 3, 1, 2).float()


def photos(images: Tensor) -> np.ndarray:
    """Planes (n, 3, H, W) float as photos (n, H, W, 3) uint8, rounded."""
    return (images + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    assert one.shape == other.shape
    return np.abs(one.astype(int) - other.astype(int))


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


# --- each step, beside albumentations with the same parameters ---------------------------------------


def test_a_flip_is_exact_and_swaps_labels(pairs: tuple[Tensor, Tensor]) -> None:
    flip = build(flip=1.0)
    images, masks = flip(*pairs, flip.draw([(0, i, SIZE) for i in range(4)]))
    np.testing.assert_array_equal(images.numpy(), pairs[0].numpy()[:, :, ::-1])
    np.testing.assert_array_equal(masks.numpy(), FLIP_TABLE[pairs[1].numpy()[:, :, ::-1]])
    assert not np.array_equal(masks.numpy(), pairs[1].numpy()[:, :, ::-1])


@pytest.mark.parametrize(
    ("angle", "scale", "shift"), [(17.3, 1.21, (5, -7)), (-33.1, 0.8, (0, 3)), (5.2, 1.0, (-11, 2)), (0, 0.87, (9, 4))]
)
@pytest.mark.parametrize("mirrored", [False, True])
def test_affine(
    pairs: tuple[Tensor, Tensor], planes: Tensor, angle: float, scale: float, shift: tuple[int, int], mirrored: bool
) -> None:
    matrices = sampling_matrices(
        np.full(4, np.deg2rad(angle)), np.full(4, scale), np.tile(shift, (4, 1)), np.full(4, mirrored), SIZE
    )
    images, masks = warp(planes, pairs[1], torch.from_numpy(matrices).float())
    there = A.Affine(
        rotate=(angle, angle),
        scale=(scale, scale),
        keep_ratio=True,
        translate_px={"x": (shift[0],) * 2, "y": (shift[1],) * 2},
        border_mode=cv2.BORDER_REFLECT_101,
        p=1,
    )
    for i in range(4):
        image, mask = (part[i].numpy()[:, ::-1] if mirrored else part[i].numpy() for part in pairs)
        expected = there(image=np.ascontiguousarray(image), mask=np.ascontiguousarray(mask))
        assert difference(photos(images)[i], expected["image"]).mean() < 0.5
        assert (masks[i].numpy() == expected["mask"]).mean() > 0.99


def test_brightness_contrast_saturation_and_hue(pairs: tuple[Tensor, Tensor], planes: Tensor) -> None:
    factor, none = column(0.7, 0.9, 1.1, 1.3), torch.zeros(4)
    given = pairs[0].numpy()
    for adjust, arguments in (
        (albumentations_pixel.adjust_brightness_torchvision, (factor, none, none)),
        (albumentations_pixel.adjust_contrast_torchvision, (factor, none, 1 - factor)),
        (albumentations_pixel.adjust_saturation_torchvision, (factor, 1 - factor, none)),
    ):
        expected = np.stack([adjust(image, float(f)) for image, f in zip(given, factor, strict=True)])
        assert difference(photos(mix_grey(planes, *arguments)), expected).max() <= 1
    turn = column(-0.03, -0.013, 0.02, 0.03)
    expected = np.stack(
        [albumentations_pixel.adjust_hue_torchvision(im, float(h)) for im, h in zip(given, turn, strict=True)]
    )
    apart = difference(photos(shift_hue(planes, turn)), expected)
    assert apart.mean() < 0.5
    assert np.percentile(apart, 99) <= 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 3, 2, 0)])
def test_colors_in_each_order(pairs: tuple[Tensor, Tensor], order: tuple[int, ...]) -> None:
    factors, hue = np.array([[1.2, 0.8, 1.25]] * 4), np.full(4, 0.02)
    place = order.index(3)
    draws = Draws(
        rows={f"hue {place}": np.arange(4)},
        values={**color_values(factors, np.array([order] * 4)), f"hue {place}": hue},
    )
    images, _ = build()(*pairs, draws)
    there = A.ColorJitter(p=1)
    expected = np.stack(
        [
            there.apply(image, brightness=1.2, contrast=0.8, saturation=1.25, hue=0.02, order=list(order))
            for image in pairs[0].numpy()
        ]
    )
    assert difference(images.numpy(), expected).mean() < 1.5  # three fractions of a level that it cuts off
    for other in ((0, 1, 2, 3), (3, 2, 1, 0)):
        if other != order:
            wrong = there.apply(
                pairs[0].numpy()[0], brightness=1.2, contrast=0.8, saturation=1.25, hue=0.02, order=list(other)
            )
            assert difference(wrong, expected[0]).max() > 3


def test_grey_and_blur(pairs: tuple[Tensor, Tensor], planes: Tensor) -> None:
    given = pairs[0].numpy()
    expected = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in given])
    assert difference(photos(grey_of(planes)[:, None])[..., 0], expected).max() <= 1
    sigma = np.array([0.3, 0.6, 1.0, 1.5])
    expected = np.stack(
        [
            albumentations_pixel.separable_convolve(image, create_gaussian_kernel_1d(s))
            for image, s in zip(given, sigma, strict=True)
        ]
    )
    assert difference(photos(blur(planes, torch.from_numpy(blur_kernels(sigma)).float())), expected).max() <= 1


@pytest.mark.parametrize("quality", [40, 55, 75, 90])
@pytest.mark.parametrize("size", [96, 90])
def test_jpeg_errs_as_opencv_does(pairs: tuple[Tensor, Tensor], planes: Tensor, quality: int, size: int) -> None:
    parts = build()
    given = np.ascontiguousarray(pairs[0].numpy()[:, :size, :size])
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    ours = photos(compress(planes[:, :, :size, :size], torch.full((4,), float(scale)), parts._tables, parts._dct))
    theirs = np.stack([albumentations_pixel.image_compression(image, quality, ".jpg") for image in given])
    error = difference(theirs, given)
    assert difference(ours, theirs).mean() < 0.2 * error.mean()
    assert difference(ours, given).mean() == pytest.approx(error.mean(), rel=0.05)


@pytest.mark.parametrize("size", [32, 37, 64, 96, 128, 192, 200])
def test_resizing(pairs: tuple[Tensor, Tensor], size: int) -> None:
    rounding = [(False, False), (True, False), (False, True), (True, True)]
    images, masks = resize_batch(*pairs, size, torch.tensor(rounding))
    assert images.is_contiguous()
    for i in range(4):
        image, mask = resize_pair(pairs[0][i].numpy(), pairs[1][i].numpy(), size, rounding=rounding[i])
        assert difference(images[i].numpy(), image).max() <= 1
        np.testing.assert_array_equal(masks[i].numpy(), mask)


# --- all steps, in distribution -----------------------------------------------------------------------

DRAWS = 300
SMALL = 48


def dot() -> tuple[np.ndarray, np.ndarray]:
    """An image and a mask with a lip somewhat off the centre."""
    mask = np.zeros((SMALL, SMALL), dtype=np.uint8)
    mask[20:34, 26:36] = 11
    ramp = np.linspace(60, 180, SMALL).astype(np.uint8)
    image = np.stack([np.tile(ramp, (SMALL, 1)), np.tile(ramp[:, None], (1, SMALL)), 40 + 10 * mask], -1)
    return image.astype(np.uint8), mask


def texture() -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(1).integers(80, 170, (SMALL, SMALL, 3)).astype(np.uint8)
    return cv2.GaussianBlur(image, (0, 0), 1.0), np.zeros((SMALL, SMALL), dtype=np.uint8)


def flat() -> tuple[np.ndarray, np.ndarray]:
    return np.full((SMALL, SMALL, 3), 128, dtype=np.uint8), np.zeros((SMALL, SMALL), dtype=np.uint8)


Measure = Callable[[np.ndarray, np.ndarray], float]


def chroma(image: np.ndarray, mask: np.ndarray) -> float:
    return float((image.max(2).astype(float) - image.min(2)).mean())


def gradient(image: np.ndarray, mask: np.ndarray) -> float:
    return float(np.abs(np.diff(image.astype(float), axis=1)).mean())


def place(image: np.ndarray, mask: np.ndarray) -> float:
    return float(np.nonzero(mask)[1].mean() - np.nonzero(mask)[0].mean()) if mask.any() else 0.0


def tilt(image: np.ndarray, mask: np.ndarray) -> float:
    return float(np.corrcoef(np.array(np.nonzero(mask)))[0, 1]) if (mask > 0).sum() > 9 else 0.0


CASES: dict[str, tuple[dict[str, object], Callable[[], tuple[np.ndarray, np.ndarray]], Measure, float]] = {
    "area": ({"geometric": 1.0}, dot, lambda i, m: float((m > 0).mean() * 100), 0),
    "centre": ({"geometric": 1.0}, dot, place, 0),
    "tilt": ({"geometric": 1.0}, dot, tilt, 0),
    "corner": ({"geometric": 1.0}, dot, lambda i, m: float(i[0, 0, 0]), 0),
    "moved": ({"geometric": 0.5}, dot, lambda i, m: float((m != dot()[1]).any()), 0),
    "flip": ({"flip": 0.3}, dot, lambda i, m: float((m != dot()[1]).any()), 0),
    "red": ({"color": 0.8}, dot, lambda i, m: float(i[..., 0].mean()), 2),  # its fractions are cut off
    "blue": ({"color": 0.8}, dot, lambda i, m: float(i[..., 2].mean()), 2),
    "contrast": ({"color": 1.0}, dot, lambda i, m: float(i.std()), 1),
    "saturation": ({"color": 1.0}, dot, chroma, 1),
    "grey": ({"grey": 0.2}, dot, lambda i, m: float(np.ptp(i, axis=2).max() == 0), 0),
    "noise": ({"noise": 1.0}, flat, lambda i, m: float(i.std()), 0.2),
    "sharpness": ({"noise": 1.0}, texture, gradient, 0.2),
    "loss": ({"noise": 0.5}, texture, lambda i, m: float(difference(i, texture()[0]).mean()), 0.2),
    "boxes": ({"occlusion": 0.5}, flat, lambda i, m: float((i != 128).any(2).mean() * 100), 0),
    "box color": ({"occlusion": 1.0}, flat, lambda i, m: float(i.astype(float)[(i != 128).any(2)].mean()), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_both_ways_have_one_distribution(name: str) -> None:
    changes, make, measure, bias = CASES[name]
    image, mask = make()
    there = build_augmentation(**{**OFF, **changes})  # type: ignore[arg-type]
    theirs = []
    for seed in range(DRAWS):
        # One seed for the whole would be each step's own, and all would happen together or not at all.
        for number, step in enumerate(there.transforms):
            step.set_random_seed(mix_seeds(seed, number))
        done = there(image=image, mask=mask)
        theirs.append(measure(done["image"], done["mask"]))
    here = build(**changes)
    batch = (torch.from_numpy(np.stack([image] * DRAWS)), torch.from_numpy(np.stack([mask] * DRAWS)))
    images, masks = here(*batch, here.draw([(0, i, SMALL) for i in range(DRAWS)]))
    ours = [measure(i, m) for i, m in zip(images.numpy(), masks.numpy(), strict=True)]
    a, b = np.array(theirs), np.array(ours)
    assert a.std() > 0
    assert abs(a.mean() - b.mean()) < 4 * np.sqrt((a.var() + b.var()) / DRAWS) + bias
    # A share has no spread of its own, and a heavy tail makes that of others uncertain.
    assert a.std() == pytest.approx(b.std(), rel=0.25, abs=0.02)


def test_noise_is_normal_and_never_twice_the_same() -> None:
    noisy = build(noise=1.0)
    draws = noisy.draw([(0, i, SIZE) for i in range(64)])
    assert len(set(draws.values["offset"])) == 64
    assert draws.values["offset"].min() >= 0
    assert draws.values["offset"].max() < NOISE_BANK
    assert float(noisy._bank.mean()) == pytest.approx(0, abs=0.003)
    assert float(noisy._bank.std()) == pytest.approx(1, abs=0.003)
    # A pair at the end of the bank goes on at its beginning.
    grey = torch.full((1, SIZE, SIZE, 3), 128, dtype=torch.uint8)
    end = Draws(rows={"noise": np.array([0])}, values={"std": np.array([8.0]), "offset": np.array([NOISE_BANK - 5])})
    image, _ = noisy(grey, grey[..., 0], end)
    assert 3 < float(image.float().std()) < 8


# --- what decides a draw ------------------------------------------------------------------------------


def keys(epoch: int = 0) -> list[tuple[int, int, int]]:
    return [(epoch, index, SIZE) for index in range(4)]


def test_a_draw_follows_from_seed_epoch_and_index(pairs: tuple[Tensor, Tensor]) -> None:
    def augmented(seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        augmentation = build(seed, **ALL)
        return augmentation(*pairs, augmentation.draw(keys(epoch)))

    first = augmented(0, 0)
    torch.manual_seed(99)  # the global state must not matter
    for one, other in zip(first, augmented(0, 0), strict=True):
        assert torch.equal(one, other)
    for other in (augmented(1, 0), augmented(0, 1)):
        assert all(not torch.equal(first[0][i], other[0][i]) for i in range(4))


def test_batch_mates_do_not_matter(pairs: tuple[Tensor, Tensor]) -> None:
    augmentation = build(**ALL)
    for epoch in range(12):
        together = augmentation(*pairs, augmentation.draw(keys(epoch)))
        for mates in ([0], [1], [2], [3], [3, 1], [2, 0, 1]):
            parts = (pairs[0][mates], pairs[1][mates])
            apart = augmentation(*parts, augmentation.draw([keys(epoch)[i] for i in mates]))
            for one, other in zip(together, apart, strict=True):
                assert torch.equal(one[mates], other)


def test_masks_keep_their_ids_and_the_given_tensors_their_values() -> None:
    augmentation = build(**ALL)
    rng = np.random.default_rng(0)
    allowed = [*range(NUM_CLASSES), IGNORE_INDEX]
    masks = torch.from_numpy(rng.choice(allowed, (4, SIZE, SIZE)).astype(np.uint8))
    images = torch.from_numpy(rng.integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.uint8))
    before = images.clone(), masks.clone()
    for epoch in range(10):
        done, ids = augmentation(images, masks, augmentation.draw(keys(epoch)))
        assert (done.dtype, done.shape, done.is_contiguous()) == (torch.uint8, images.shape, True)
        assert (ids.dtype, ids.shape) == (torch.uint8, masks.shape)
        assert set(ids.unique().tolist()) <= set(allowed)
    assert torch.equal(images, before[0])
    assert torch.equal(masks, before[1])


def test_without_any_probability_nothing_happens(pairs: tuple[Tensor, Tensor]) -> None:
    augmentation = build()
    draws = augmentation.draw(keys())
    assert (draws.rows, draws.values, draws.boxes) == ({}, {}, [])
    images, masks = augmentation(*pairs, draws)
    assert torch.equal(images, pairs[0])
    assert torch.equal(masks, pairs[1])


def test_steps_are_drawn_apart_from_each_other() -> None:
    often = {"flip": 0.5, "geometric": 0.5, "color": 0.5, "grey": 0.5, "noise": 0.5, "occlusion": 0.5}
    augmentation = build(**often)
    taken = []
    for index in range(400):
        draws = augmentation.draw([(0, index, SIZE)])
        # A matrix that only mirrors is no geometry.
        moved = "matrix" in draws.values and abs(draws.values["matrix"][0, 0, 1]) > 0
        colored = "own" in draws.values
        rows = [name in draws.rows for name in ("flip", "grey", "blur", "noise", "jpeg")]
        taken.append([moved, colored, bool(draws.boxes), *rows])
    together = np.corrcoef(np.array(taken, dtype=float).T)
    assert np.abs(together - np.eye(8)).max() < 0.2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_a_cpu_gives(pairs: tuple[Tensor, Tensor]) -> None:
    gpu = torch.device("cuda")
    there = BatchAugmentation(seed=0, device=gpu, **ALL)  # type: ignore[arg-type]
    here = build(**ALL)
    for epoch in range(10):
        images, masks = here(*pairs, here.draw(keys(epoch)))
        others, ids = there(pairs[0].to(gpu), pairs[1].to(gpu), there.draw(keys(epoch)))
        assert difference(images.numpy(), others.cpu().numpy()).mean() < 0.1
        assert (masks == ids.cpu()).float().mean() > 0.999
    for size in (48, 96, 130):
        rounding = torch.tensor([False, True, True, False]).view(2, 2).repeat(2, 1)
        small = resize_batch(*pairs, size, rounding)
        large = resize_batch(pairs[0].to(gpu), pairs[1].to(gpu), size, rounding.to(gpu))
        assert difference(small[0].numpy(), large[0].cpu().numpy()).max() <= 1
        assert torch.equal(small[1], large[1].cpu())
