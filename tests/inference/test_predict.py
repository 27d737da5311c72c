"""From pixels to masks: reading, the network's input, test-time augmentation and the way back to the photo's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from face_parsing.data import photos
from face_parsing.data.photos import PhotoError, read_photo
from face_parsing.inference.predict import (
    MEAN,
    STD,
    exact_arithmetic,
    fuse_conv_bn,
    largest_class,
    normalize,
    parse_photos,
    predict_masks,
    predict_probabilities,
    prepare_model,
)
from face_parsing.labels import CLASS_NAMES, NUM_CLASSES
from face_parsing.models import build_model
from face_parsing.models.checkpoint import load_checkpoint, restore_model
from face_parsing.sizes import network_size
from face_parsing.synthetic.dataset import make_pair

ID = {name: index for index, name in enumerate(CLASS_NAMES)}
CPU = torch.device("cpu")
ALL_SCALES = (0.75, 1.0, 1.25)


def one_hot_logits(classes: Tensor, height: float = 4.0) -> Tensor:
    return height * F.one_hot(classes, NUM_CLASSES).permute(0, 3, 1, 2).float()


class BySide(nn.Module):
    """Bright pixels are the left eye at the right side of its input and the right eye at the left, as in a photo."""

    def forward(self, x: Tensor) -> Tensor:
        right = torch.arange(x.shape[3]) >= x.shape[3] / 2
        eye = torch.where(right, ID["l_eye"], ID["r_eye"]).expand(x.shape[0], *x.shape[2:])
        return one_hot_logits(torch.where(x[:, 0] > 0, eye, 0))


class Always(nn.Module):
    """One class everywhere."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.id = ID[name]

    def forward(self, x: Tensor) -> Tensor:
        return one_hot_logits(torch.full((x.shape[0], *x.shape[2:]), self.id))


class Sizes(nn.Module):
    """Remembers the sizes of its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append((x.shape[2], x.shape[3]))
        return torch.zeros(x.shape[0], NUM_CLASSES, *x.shape[2:])


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    torch.manual_seed(0)
    return build_model({"name": "unet", "channels": [16, 16, 16], "blocks": [0, 1, 1]}, NUM_CLASSES).eval()


def photo_of(seed: int, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(make_pair(seed, size=max(height, width))[0])
    return np.array(image.crop((0, 0, width, height)))


def batch_of(*photos: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack(photos))


# --- reading --------------------------------------------------------------------------------------


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_rgb_is_read_as_it_is(tmp_path: Path) -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    photo = read_photo(saved(tmp_path / "a.png", Image.fromarray(pixels)))
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, pixels)


def test_transparent_pixels_become_white_and_half_transparent_ones_half_white(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 100, 200, 51]]], dtype=np.uint8)
    photo = read_photo(saved(tmp_path / "a.png", Image.fromarray(pixels, "RGBA")))
    # 51/255 = 0.2 of the color and 0.8 of 255.
    np.testing.assert_array_equal(photo[0], [[255, 255, 255], [10, 20, 30], [204, 224, 244]])


def test_grey_with_and_without_alpha(tmp_path: Path) -> None:
    grey = read_photo(saved(tmp_path / "l.png", Image.fromarray(np.array([[0, 77, 255]], dtype=np.uint8))))
    np.testing.assert_array_equal(grey[0], [[0] * 3, [77] * 3, [255] * 3])
    pixels = np.array([[[77, 255], [77, 0]]], dtype=np.uint8)
    alpha = read_photo(saved(tmp_path / "la.png", Image.fromarray(pixels, "LA")))
    np.testing.assert_array_equal(alpha[0], [[77] * 3, [255] * 3])


def test_black_and_white_palette_and_its_transparent_entry(tmp_path: Path) -> None:
    bits = Image.fromarray(np.array([[0, 255]], dtype=np.uint8)).convert("1")
    np.testing.assert_array_equal(read_photo(saved(tmp_path / "1.png", bits))[0], [[0] * 3, [255] * 3])
    palette = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8))
    palette.putpalette([9, 8, 7, 60, 50, 40, 1, 2, 3])
    expected = [[9, 8, 7], [60, 50, 40], [1, 2, 3]]
    np.testing.assert_array_equal(read_photo(saved(tmp_path / "p.png", palette))[0], expected)
    photo = read_photo(saved(tmp_path / "t.png", palette, transparency=1))
    np.testing.assert_array_equal(photo[0], [[9, 8, 7], [255, 255, 255], [1, 2, 3]])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path: Path, name: str) -> None:
    values = np.array([[0, 255, 257, 32768, 65407, 65535]], dtype=np.uint16)
    photo = read_photo(saved(tmp_path / name, Image.fromarray(values)))
    # value / 65535 * 255, rounded: 255 -> 0.99, 257 -> 1, 32768 -> 127.5, 65407 -> 254.5
    np.testing.assert_array_equal(photo[0, :, 0], [0, 1, 1, 128, 255, 255])
    assert (photo == photo[..., :1]).all()


def test_32_bit_pixels_are_read_as_16_bits_where_they_fit_and_refused_otherwise(tmp_path: Path) -> None:
    fits = Image.fromarray(np.array([[0, 65535]], dtype=np.int32))
    np.testing.assert_array_equal(read_photo(saved(tmp_path / "a.tif", fits))[0, :, 0], [0, 255])
    for values in (np.array([[0, 65536]], dtype=np.int32), np.array([[0.5]], dtype=np.float32)):
        with pytest.raises(PhotoError, match=r"b\.tif: its pixels .* save it with 8 or 16 bits"):
            read_photo(saved(tmp_path / "b.tif", Image.fromarray(values)))


def test_cmyk(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 0, 0], [0, 255, 255, 0], [0, 0, 0, 255]]], dtype=np.uint8)
    photo = read_photo(saved(tmp_path / "a.tif", Image.fromarray(pixels, "CMYK")))
    np.testing.assert_array_equal(photo[0], [[255, 255, 255], [255, 0, 0], [0, 0, 0]])


def test_exif_orientation_6_is_turned_clockwise(tmp_path: Path) -> None:
    stored = np.zeros((16, 32, 3), dtype=np.uint8)
    stored[:, :16] = (255, 0, 0)  # red left of black, 32 wide
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned left: to be shown turned right by 90 degrees
    photo = read_photo(saved(tmp_path / "a.png", Image.fromarray(stored), exif=exif))
    assert photo.shape == (32, 16, 3)
    assert (photo[:16] == (255, 0, 0)).all()
    assert (photo[16:] == 0).all()


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    photo = read_photo(saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]))
    np.testing.assert_array_equal(photo[0, 0], [255, 0, 0])


def test_every_unusable_file_is_named_in_one_sentence(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.jpg", Image.fromarray(photo_of(1, 64, 64))).read_bytes()
    files = {"empty.jpg": b"", "text.png": b"no image at all", "short.jpg": whole[: len(whole) // 2]}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name in [*files, "missing.jpg"]:
        with pytest.raises(PhotoError) as caught:
            read_photo(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ")
        assert "\n" not in message
    with pytest.raises(PhotoError, match=r"cannot be read as a photo \(.+\); replace or remove it"):
        read_photo(tmp_path)


@pytest.mark.parametrize("size", [(10_000, 8_500), (10_000, 9_000), (20_000, 20_000)], ids=str)
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.gif"
    head = b"GIF89a" + size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little") + b"\x80\0\0" + b"\0" * 6
    frame = b"," + b"\0" * 4 + size[0].to_bytes(2, "little") + size[1].to_bytes(2, "little") + b"\0\x02\x02L\x01\0;"
    path.write_bytes(head + frame)
    with pytest.raises(PhotoError, match=r"bomb\.gif: .*more than 80 megapixels; make it smaller"):
        read_photo(path)


# --- preparing ------------------------------------------------------------------------------------


def test_normalize_by_hand() -> None:
    photos = torch.zeros(2, 4, 5, 3, dtype=torch.uint8)
    photos[1, 2, 3] = torch.tensor([255, 51, 102])
    x = normalize(photos)
    assert (x.shape, x.dtype) == ((2, 3, 4, 5), torch.float32)
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = [(value - m) / s for value, m, s in zip((1.0, 0.2, 0.4), MEAN, STD, strict=True)]
    torch.testing.assert_close(x[1, :, 2, 3], torch.tensor(expected))
    torch.testing.assert_close(x[0, :, 0, 0], torch.tensor([-m / s for m, s in zip(MEAN, STD, strict=True)]))


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ((512, 512), (512, 512)),
        ((1024, 512), (512, 256)),
        ((600, 801), (384, 512)),  # 383.5 rounded to even
        ((100, 200), (256, 512)),
        ((1, 1), (512, 512)),
        ((5000, 20), (512, 32)),
    ],
)
def test_network_size(photo: tuple[int, int], expected: tuple[int, int]) -> None:
    assert network_size(*photo, 512) == expected


def test_a_photo_of_the_networks_size_is_not_resampled() -> None:
    class ExpectsThePhoto(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch.testing.assert_close(x, normalize(photos), rtol=0, atol=0)
            return torch.zeros(x.shape[0], NUM_CLASSES, *x.shape[2:])

    photos = batch_of(photo_of(0, 64, 64))
    predict_masks([ExpectsThePhoto()], photos, image_size=64)


# --- probabilities --------------------------------------------------------------------------------


def test_without_augmentation_it_is_softmax_of_the_logits(tiny: nn.Module) -> None:
    photos = batch_of(photo_of(0, 64, 48), photo_of(1, 64, 48))
    probabilities = predict_probabilities([tiny], photos, image_size=64)
    with torch.no_grad():
        expected = tiny(normalize(photos)).softmax(1)
    assert probabilities.shape == (2, NUM_CLASSES, 64, 48)
    torch.testing.assert_close(probabilities, expected, rtol=0, atol=0)
    masks = predict_masks([tiny], photos, image_size=64)
    assert (masks.shape, masks.dtype) == ((2, 64, 48), torch.uint8)
    torch.testing.assert_close(masks.long(), expected.argmax(1))


def test_flip_swaps_left_and_right_back() -> None:
    photo = np.zeros((64, 64, 3), dtype=np.uint8)
    photo[20:30, 8:24] = photo[20:30, 44:50] = 255
    plain = predict_masks([BySide()], batch_of(photo), image_size=64)
    flipped = predict_masks([BySide()], batch_of(photo), image_size=64, flip=True)
    assert set(plain[0, 20:30, 8:24].unique().tolist()) == {ID["r_eye"]}
    assert set(plain[0, 20:30, 44:50].unique().tolist()) == {ID["l_eye"]}
    torch.testing.assert_close(flipped, plain)


def test_flip_by_hand() -> None:
    photo = batch_of(photo_of(0, 32, 32))
    probabilities = predict_probabilities([Always("l_brow")], photo, image_size=32, flip=True)
    top, rest = torch.tensor([4.0, 0.0]).exp() / (torch.tensor(4.0).exp() + NUM_CLASSES - 1)
    expected = rest.repeat(NUM_CLASSES)
    expected[[ID["l_brow"], ID["r_brow"]]] = (top + rest) / 2
    torch.testing.assert_close(probabilities, expected.view(1, -1, 1, 1).expand(1, -1, 32, 32))


def test_the_mask_of_a_mirrored_photo_is_the_mirrored_mask_with_left_and_right_swapped(tiny: nn.Module) -> None:
    photo = photo_of(3, 64, 64)
    probabilities, mirrored = (
        predict_probabilities([tiny], batch_of(p), image_size=64, scales=ALL_SCALES, flip=True)
        for p in (photo, np.ascontiguousarray(photo[:, ::-1]))
    )
    swapped = mirrored.flip(3).clone()
    for left, right in (("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")):
        swapped[:, [ID[left], ID[right]]] = swapped[:, [ID[right], ID[left]]]
    torch.testing.assert_close(probabilities, swapped, rtol=1e-4, atol=1e-6)


def test_scales_and_flips_of_a_constant_model_change_nothing() -> None:
    photos = batch_of(photo_of(0, 50, 37))
    plain = predict_probabilities([Always("hair")], photos, image_size=64)
    averaged = predict_probabilities([Always("hair")], photos, image_size=64, scales=(0.5, 1.0, 1.3), flip=True)
    assert plain.shape == averaged.shape == (1, NUM_CLASSES, 64, 47)
    torch.testing.assert_close(averaged, plain)


def test_scales_are_of_the_image_size() -> None:
    model = Sizes()
    predict_probabilities([model], batch_of(photo_of(0, 40, 80)), image_size=128, scales=(0.75, 1.0, 1.5), flip=True)
    assert model.seen == [(48, 96)] * 2 + [(64, 128)] * 2 + [(96, 192)] * 2


def test_an_ensemble_is_the_mean_of_its_models() -> None:
    photos = batch_of(photo_of(0, 32, 32))
    both = predict_probabilities([Always("hair"), Always("hat")], photos, image_size=32)
    each = [predict_probabilities([Always(name)], photos, image_size=32) for name in ("hair", "hat")]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_a_photos_result_does_not_depend_on_its_batch(tiny: nn.Module) -> None:
    photos = [photo_of(seed, 70, 51) for seed in range(3)]
    options = {"image_size": 64, "scales": ALL_SCALES, "flip": True}
    together = predict_probabilities([tiny], batch_of(*photos), **options)
    for i, photo in enumerate(photos):
        alone = predict_probabilities([tiny], batch_of(photo), **options)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-6)


# --- masks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(33, 47), (101, 77), (20, 90), (16, 12), (1, 1)], ids=str)
def test_strips_change_nothing(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    probabilities = torch.randn(2, NUM_CLASSES, 33, 47).softmax(1)
    whole = largest_class(probabilities, size, strip_elements=10**9)
    for strip_elements in (1, *(rows * 2 * size[1] * NUM_CLASSES for rows in (7, 13))):
        assert torch.equal(largest_class(probabilities, size, strip_elements=strip_elements), whole)


@pytest.mark.parametrize("size", [(33, 47), (200, 300), (129, 40)], ids=str)
def test_it_is_bilinear_interpolation_and_argmax(size: tuple[int, int]) -> None:
    torch.manual_seed(1)
    probabilities = torch.randn(2, NUM_CLASSES, 33, 47).softmax(1)
    expected = F.interpolate(probabilities, size=size, mode="bilinear", align_corners=False).argmax(1)
    masks = largest_class(probabilities, size, strip_elements=30_000)
    assert (masks.shape, masks.dtype) == ((2, *size), torch.uint8)
    assert (masks.long() != expected).float().mean() < 1e-4  # ties that other rounding decides


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["planes", "pixels"])
@pytest.mark.parametrize("size", [(64, 96), (150, 200), (20, 31)], ids=str)
def test_regions_of_one_class_keep_it_and_their_borders_are_interpolated(
    size: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(2)
    coarse = torch.randn(2, NUM_CLASSES, 4, 6)
    scores = F.interpolate(coarse, size=(40, 60), mode="bilinear", align_corners=False).contiguous(memory_format=layout)
    expected = F.interpolate(scores, size=size, mode="bilinear", align_corners=False).argmax(1)
    masks = largest_class(scores, size, strip_elements=100_000)
    assert len(masks.unique()) > 5
    assert (masks.long() != expected).float().mean() < 1e-3  # ties that other rounding decides


def test_masks_are_as_large_as_the_photos_or_as_asked_for(tiny: nn.Module) -> None:
    photos = batch_of(photo_of(0, 33, 71))
    assert predict_masks([tiny], photos, image_size=64, scales=ALL_SCALES, flip=True).shape == (1, 33, 71)
    assert predict_masks([tiny], photos, image_size=64, output_size=(10, 20)).shape == (1, 10, 20)


def test_a_boundary_stays_where_it_is_when_the_photo_is_enlarged_or_reduced() -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return one_hot_logits(torch.where(x[:, 0] > 0, ID["hair"], ID["skin"]))

    for height, width, edge in ((64, 64, 40), (160, 240, 90), (33, 31, 12)):
        photo = np.zeros((height, width, 3), dtype=np.uint8)
        photo[:, edge:] = 255
        mask = predict_masks([Halves()], batch_of(photo), image_size=64)[0]
        assert abs(int((mask == ID["skin"]).sum(1)[0]) - edge) <= width / 64


def test_parse_photos_is_predict_masks_for_arrays(tiny: nn.Module) -> None:
    photo = photo_of(2, 60, 40)
    masks = parse_photos([prepare_model(tiny, CPU)], [photo, photo], image_size=64, flip=True, device=CPU)
    assert (masks.shape, masks.dtype) == ((2, 60, 40), np.uint8)
    expected = predict_masks([tiny], batch_of(photo, photo), image_size=64, flip=True)
    np.testing.assert_array_equal(masks, expected.numpy())


def test_prepare_model_ends_training_mode() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout()).train()
    assert not prepare_model(model, CPU).training
    assert not model[1].training


def test_exact_arithmetic_restores_what_was_set_even_after_an_error() -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul

    def fail() -> None:
        with exact_arithmetic():
            assert (cudnn.conv.fp32_precision, matmul.fp32_precision) == ("ieee", "ieee")
            assert (cudnn.benchmark, cudnn.deterministic) == (False, True)
            raise KeyError

    before = (cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic)
    try:
        cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark = "tf32", "tf32", True
        with pytest.raises(KeyError):
            fail()
        assert (cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark) == ("tf32", "tf32", True)
    finally:
        cudnn.conv.fp32_precision, matmul.fp32_precision, cudnn.benchmark, cudnn.deterministic = before


def test_the_pixel_limit_is_below_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert Image.MAX_IMAGE_PIXELS > photos.MAX_PIXELS >= 6000 * 8000


# --- what makes it fast --------------------------------------------------------------------------------


def seen(model: nn.Module) -> nn.Module:
    """The model in evaluation mode, its BatchNorms with drawn weights and the statistics of some noise."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            with torch.no_grad():
                module.weight.copy_(torch.rand(module.weight.shape, generator=generator) + 0.5)
                module.bias.copy_(torch.rand(module.bias.shape, generator=generator) - 0.5)
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, 3, 64, 96, generator=generator))
    return model.eval()


def norms_in(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("name", ["unet", "deeplabv3plus", "light_unet", "separable_unet"])
def test_folded_norms_change_no_prediction_and_not_the_model(name: str) -> None:
    torch.manual_seed(0)
    model = seen(build_model({"name": name}, NUM_CLASSES))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    photos = batch_of(photo_of(0, 64, 96), photo_of(1, 64, 96))
    ready = prepare_model(model, CPU)
    assert norms_in(ready) == 0
    expected, found = (predict_probabilities([m], photos, image_size=96) for m in (model, ready))
    assert (found - expected).abs().max() < 1e-4
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    model.train()  # and it can go on training
    model(normalize(photos)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_only_plain_norms_behind_plain_convolutions_are_folded() -> None:
    class NormAndMore(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).relu()

    class Backwards(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            for module in reversed(list(self)):
                x = module(x)
            return x

    def conv() -> nn.Conv2d:
        return nn.Conv2d(3, 3, 3, padding=1)

    kept = nn.Sequential(
        nn.Sequential(conv(), NormAndMore(3)),
        nn.Sequential(conv(), nn.ReLU(), nn.BatchNorm2d(3)),
        nn.Sequential(nn.BatchNorm2d(3), conv()),
        Backwards(conv(), nn.BatchNorm2d(3)),
    )
    model = seen(nn.Sequential(kept, nn.Sequential(conv(), nn.BatchNorm2d(3), nn.ReLU())))
    fused = fuse_conv_bn(model)
    assert norms_in(fused) == norms_in(kept) == 4
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-5)


def test_the_largest_logit_is_the_largest_probability() -> None:
    torch.manual_seed(0)
    model = seen(build_model({"name": "unet", "channels": [8, 8, 8, 8, 8]}, NUM_CLASSES))
    photos = batch_of(photo_of(0, 64, 96), photo_of(1, 64, 96))
    probabilities = predict_probabilities([model], photos, image_size=96)
    found = predict_masks([model], photos, image_size=96)
    assert found.dtype == torch.uint8
    assert len(found.unique()) > 2
    assert torch.equal(found, largest_class(probabilities, (64, 96)))
    twice = predict_masks([model, model], photos, image_size=96)  # the way through probabilities
    assert torch.equal(found, twice)


def test_equal_logits_are_the_lower_class() -> None:
    class Even(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits = torch.zeros(x.shape[0], NUM_CLASSES, *x.shape[2:])
            logits[:, [5, 11]] = 1.0
            return logits

    assert (predict_masks([Even()], batch_of(photo_of(0, 64, 64)), image_size=64) == 5).all()


def test_the_shipped_weights_predict_the_same_masks_folded(root: Path) -> None:
    source = root / "weights" / "face_parsing.pth"
    content = load_checkpoint(source)
    photos = batch_of(read_photo(root / "docs" / "images" / "astronaut.jpg"), make_pair(0)[0])
    model = restore_model(content, source)
    plain, fused = (
        largest_class(predict_probabilities([m], photos, image_size=512), (512, 512))
        for m in (model, prepare_model(model, CPU))
    )
    assert (plain == fused).double().mean() >= 0.9999
