"""Accessories of one face put on another: where they go, and what becomes of image and mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from face_parsing.augmentation.accessories import AccessoryChoice
from face_parsing.augmentation.accessory_kinds import ACCESSORIES, Accessory, placements
from face_parsing.augmentation.face_geometry import FACE_PARTS, face_similarity, mirror_centres, part_centres
from face_parsing.augmentation.pasting import Paint, paste
from face_parsing.labels import CLASS_NAMES, IGNORE_INDEX, swap_left_right

ID = {name: i for i, name in enumerate(CLASS_NAMES)}
GLASSES, SUNGLASSES, HAT, BAND, EARRING, NECKLACE = ACCESSORIES

# Parts of a plain face of 64 pixels: name, (top, bottom, left, right). l_* lies at the right of the picture.
PARTS = {
    "neck": (52, 64, 22, 42),
    "skin": (16, 52, 16, 48),
    "r_ear": (30, 38, 12, 16),
    "l_ear": (30, 38, 48, 52),
    "r_eye": (28, 32, 22, 28),
    "l_eye": (28, 32, 36, 42),
    "r_brow": (22, 25, 20, 30),
    "l_brow": (22, 25, 34, 44),
    "nose": (32, 40, 29, 35),
    "u_lip": (43, 45, 26, 38),
    "l_lip": (45, 47, 26, 38),
}


def face(size: int = 64, *, color: int = 100, **worn: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A grey face whose accessories, boxes by class name, are brighter by 50."""
    mask = np.zeros((64, 64), np.uint8)
    for name, (top, bottom, left, right) in {**PARTS, **worn}.items():
        mask[top:bottom, left:right] = ID[name]
    image = np.full((64, 64, 3), color, np.uint8)
    for name in worn:
        image[mask == ID[name]] = color + 50
    k = size // 64
    return image.repeat(k, 0).repeat(k, 1), mask.repeat(k, 0).repeat(k, 1)


def clear_glasses() -> tuple[np.ndarray, np.ndarray]:
    """A face with glasses behind which its eyes show."""
    image, mask = face(eye_g=(26, 34, 18, 46))
    for eye in ("l_eye", "r_eye"):
        top, bottom, left, right = PARTS[eye]
        mask[top:bottom, left:right] = ID[eye]
    return image, mask


def test_part_centres_are_shares_of_the_size() -> None:
    centres = part_centres(face()[1])
    assert centres[ID["nose"]] == pytest.approx((32 + 36j) / 64)
    assert np.isnan(centres[ID["hat"]])
    # Located in a smaller copy, a part keeps its place.
    assert part_centres(face(512)[1])[list(FACE_PARTS)] == pytest.approx(centres[list(FACE_PARTS)], abs=0.005)


def test_face_similarity_is_scale_and_tilt() -> None:
    source = part_centres(face()[1])
    turn = 1.2 * np.exp(0.3j)
    assert face_similarity(source, 0.1 + turn * source) == pytest.approx(turn)
    assert face_similarity(source, 2.5 * source) is None
    assert face_similarity(source, np.exp(1.2j) * source) is None
    lonely = source.copy()
    lonely[list(FACE_PARTS[2:])] = np.nan
    assert face_similarity(lonely, source) is None


def test_glasses_between_equal_faces_are_copied_as_they_are() -> None:
    donor = face(eye_g=(26, 34, 18, 46), r_eye=(28, 32, 22, 28), l_eye=(28, 32, 36, 42))
    plain = face()
    where = placements(GLASSES, part_centres(donor[1]), part_centres(plain[1]))
    image, mask = paste(plain, donor, GLASSES, where)
    assert np.array_equal(mask == ID["eye_g"], donor[1] == ID["eye_g"])
    assert np.array_equal(mask == ID["l_eye"], donor[1] == ID["l_eye"])
    inside = (mask == ID["eye_g"])[1:-1, 1:-1]
    assert image[1:-1, 1:-1][inside].mean() > 140
    assert (image[:20] == plain[0][:20]).all()
    # What was given is left alone.
    assert not (plain[1] == ID["eye_g"]).any()


def test_a_hat_follows_a_moved_and_larger_face() -> None:
    donor = face(hat=(6, 16, 16, 48))
    small = face()[1]
    mask = np.zeros((128, 128), np.uint8)
    mask[40:104, 30:94] = small
    wearer = np.full((128, 128, 3), 100, np.uint8), mask
    large = donor[0].repeat(2, 0).repeat(2, 1), donor[1].repeat(2, 0).repeat(2, 1)
    where = placements(HAT, part_centres(large[1]), part_centres(mask))
    _, pasted = paste(wearer, large, HAT, where)
    rows, columns = np.nonzero(pasted == ID["hat"])
    # Half as large as the donor's, whose hat spans rows 12 to 31 and columns 32 to 95, and moved by (40, 30).
    assert (rows.min(), rows.max()) == pytest.approx((46, 55), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((46, 77), abs=1)


def test_earrings_go_to_the_ears_that_show() -> None:
    donor = face(ear_r=(38, 44, 12, 16))
    both = donor[1].copy()
    both[38:44, 48:52] = ID["ear_r"]
    wearer = face()
    hidden = wearer[1].copy()
    hidden[hidden == ID["l_ear"]] = ID["hair"]
    source = part_centres(both)
    for mask, columns in ((wearer[1], {*range(12, 16), *range(48, 52)}), (hidden, set(range(12, 16)))):
        where = placements(EARRING, source, part_centres(mask))
        _, pasted = paste((wearer[0], mask), (donor[0], both), EARRING, where)
        assert set(np.nonzero(pasted == ID["ear_r"])[1].tolist()) == columns


def test_a_necklace_takes_the_light_of_its_wearer() -> None:
    donor = face(color=100, neck_l=(54, 58, 24, 40))
    wearer = face(color=50)
    where = placements(NECKLACE, part_centres(donor[1]), part_centres(wearer[1]))
    image, mask = paste(wearer, donor, NECKLACE, where)
    # The neck's centre is not the same, as the necklace hides a part of it.
    rows, columns = np.nonzero(mask == ID["neck_l"])
    middle = image[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()]
    assert middle.mean() == pytest.approx(150 * 51 / 101, abs=2)


def test_uncertain_pixels_of_the_donor_are_not_taken_along() -> None:
    donor = face(hat=(6, 16, 16, 48))
    donor[1][0:3] = IGNORE_INDEX
    wearer = face()
    where = placements(HAT, part_centres(donor[1]), part_centres(wearer[1]))
    assert IGNORE_INDEX not in paste(wearer, donor, HAT, where)[1]


def test_a_mirrored_donor_gives_what_the_mirrored_photo_would() -> None:
    # An asymmetric hat, and one earring at the donor's right ear.
    for accessory, worn in ((HAT, {"hat": (6, 16, 16, 30)}), (EARRING, {"ear_r": (38, 44, 12, 16)})):
        donor, wearer = face(**worn), face()
        flipped = np.ascontiguousarray(donor[0][:, ::-1]), swap_left_right(donor[1][:, ::-1])
        where = placements(accessory, mirror_centres(part_centres(donor[1])), part_centres(wearer[1]))
        expected = paste(wearer, flipped, accessory, where)
        got = paste(wearer, donor, accessory, where, mirrored=True)
        assert (expected[1] == accessory.label).any()
        assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))
        assert mirror_centres(part_centres(donor[1])) == pytest.approx(part_centres(flipped[1]), nan_ok=True)


def test_sunglasses_are_pushed_up_into_the_hair() -> None:
    donor = face(eye_g=(26, 34, 18, 46))
    wearer = face()
    centres = part_centres(donor[1]), part_centres(wearer[1])
    rows = [
        np.nonzero(paste(wearer, donor, SUNGLASSES, placements(SUNGLASSES, *centres, lift=lift))[1] == ID["eye_g"])[0]
        for lift in (0.0, 2.0)
    ]
    assert rows[0].mean() == pytest.approx(29.5, abs=1.5)
    # The eyes of the face lie six pixels above its nose.
    assert rows[0].mean() - rows[1].mean() == pytest.approx(12, abs=0.5)
    hidden = wearer[1].copy()
    hidden[hidden == ID["nose"]] = ID["skin"]
    assert placements(SUNGLASSES, centres[0], part_centres(hidden), lift=2.0) == []


@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_glasses_in_the_hair_lean_back(turn: float) -> None:
    source = part_centres(clear_glasses()[1])
    target = 0.5 + 0.5j + np.exp(1j * turn) * (part_centres(face()[1]) - 0.5 - 0.5j)
    (plain,), (leaning,) = (placements(SUNGLASSES, source, target, lift=2.0, height=h) for h in (1.0, 0.5))
    middle = np.array([*source[ID["eye_g"]][None].view(float), 1.0])
    along, across = np.array([0.1, 0, 0]), np.array([0, 0.1, 0])  # of the donor's glasses, whose face is upright
    assert leaning.matrix @ middle == pytest.approx(plain.matrix @ middle)
    assert leaning.matrix @ along == pytest.approx(plain.matrix @ along)
    assert leaning.matrix @ across == pytest.approx(0.5 * plain.matrix @ across)


def test_a_hat_becomes_a_band_higher_up() -> None:
    donor, wearer = face(hat=(4, 16, 16, 48)), face()
    (where,) = placements(BAND, part_centres(donor[1]), part_centres(wearer[1]), lift=0.5, height=0.5)
    rows, columns = np.nonzero(paste(wearer, donor, BAND, [where])[1] == ID["hat"])
    # Half of the hat's 12 rows, about its middle, which is three pixels higher: half as far as the eyes above the nose.
    assert (rows.min(), rows.max()) == (4, 9)
    assert (columns.min(), columns.max()) == (16, 47)


def test_bands_are_flatter_and_higher_than_hats() -> None:
    faces = [face(), face(hat=(4, 16, 16, 48))]
    presence = np.array([np.isin(np.arange(19), mask) for _, mask in faces])
    centres = np.stack([part_centres(mask) for _, mask in faces])
    choose = AccessoryChoice(presence, centres, probability=1.0)
    chosen = [c for seed in range(200) if (c := choose(0, seed=seed)) is not None]
    own = np.array([*centres[1][ID["hat"]][None].view(float), 1.0])
    heights: dict[Accessory, set[float]] = {HAT: set(), BAND: set()}
    for c in chosen:
        matrix = c.where[0].matrix
        heights[c.accessory].add(round(float(np.linalg.det(matrix[:, :2])), 6))
        if c.accessory is HAT:
            continue
        assert matrix[0, 1] == pytest.approx(0)
        middle = (matrix @ own)[1]
        assert own[1] - 1.5 * 6 / 64 <= middle + 1e-9
        assert middle <= own[1] + 1e-9
    assert heights[HAT] == {1.0}
    assert len(heights[BAND]) > 50
    assert min(heights[BAND]) == pytest.approx(0.3, abs=0.05)
    assert max(heights[BAND]) == pytest.approx(0.8, abs=0.05)


def test_hats_tilt_about_the_face_to_either_side() -> None:
    faces = [face(), face(hat=(4, 16, 16, 48))]
    centres = np.stack([part_centres(mask) for _, mask in faces])
    (where,) = placements(HAT, centres[1], centres[0], tilt=0.5)
    assert where.matrix @ [0, -1, 0] == pytest.approx([np.sin(0.5), -np.cos(0.5)])  # its top, to the right
    place = centres[1][list(FACE_PARTS)].mean()
    assert where.matrix @ [place.real, place.imag, 1] == pytest.approx([place.real, place.imag])
    presence = np.array([np.isin(np.arange(19), mask) for _, mask in faces])
    choose = AccessoryChoice(presence, centres, probability=1.0)
    chosen = [c for seed in range(200) if (c := choose(0, seed=seed)) and c.accessory is HAT]
    tilts = [np.arctan2(c.where[0].matrix[1, 0], c.where[0].matrix[0, 0]) for c in chosen]
    assert (min(tilts), max(tilts)) == pytest.approx((-HAT.tilt, HAT.tilt), abs=0.1)
    assert all(abs(tilt) <= HAT.tilt for tilt in tilts)


def test_a_tint_colors_the_accessory_alone() -> None:
    donor, wearer = face(hat=(6, 16, 16, 48)), face()
    where = placements(HAT, part_centres(donor[1]), part_centres(wearer[1]))
    image, mask = paste(wearer, donor, HAT, where, tint=(0.5, 1.0, 1.2))
    assert image[10, 30].tolist() == pytest.approx([75, 150, 180], abs=1)
    assert (image[20:] == 100).all()
    assert (mask[6:16, 16:48] == ID["hat"]).all()


def test_paint_colors_the_edge_and_the_inside_of_the_accessory_alone() -> None:
    donor, wearer = face(eye_g=(20, 31, 18, 46)), face()
    where = placements(SUNGLASSES, part_centres(donor[1]), part_centres(wearer[1]))
    # Six pixels deep in the middle, so that the edge is two pixels wide.
    paint = Paint(0.34, (200, 0, 0), 1.0, (0, 0, 250), 0.5)
    plain, painted = (paste(wearer, donor, SUNGLASSES, where, paint=p) for p in (None, paint))
    assert np.array_equal(plain[1], painted[1])
    worn = plain[1] == ID["eye_g"]
    rows, columns = (np.flatnonzero(worn.any(axis)) for axis in (1, 0))
    assert painted[0][rows[5], columns[14]].tolist() == pytest.approx([75, 75, 200], abs=2)
    assert painted[0][rows[1], columns[14]].tolist() == pytest.approx([200, 0, 0], abs=2)
    around = cv2.dilate(worn.astype(np.uint8), np.ones((5, 5))) == 0
    assert np.array_equal(plain[0][around], painted[0][around])
    assert (donor[0][25, 30] == face(eye_g=(20, 31, 18, 46))[0][25, 30]).all()


def test_what_lies_behind_a_lens_shows_through_it() -> None:
    donor, wearer = face(eye_g=(20, 31, 18, 46)), face()
    wearer[0][:, 32:] = 20  # hair that is dark on one side
    where = placements(SUNGLASSES, part_centres(donor[1]), part_centres(wearer[1]))
    paint = Paint(0.34, (200, 0, 0), 1.0, (0, 0, 250), 1.0, through=0.4)
    image, mask = paste(wearer, donor, SUNGLASSES, where, paint=paint)
    rows, columns = (np.flatnonzero((mask == ID["eye_g"]).any(axis)) for axis in (1, 0))
    middle = image[rows[5]]
    gain = image[rows[1], columns[14], 0] / 200  # of the skin's light, in which the paint stands
    for column, behind in ((27, 100), (37, 20)):
        wanted = [0.4 * behind, 0.4 * behind, 0.4 * behind + 0.6 * 250 * gain]
        assert middle[column].tolist() == pytest.approx(wanted, abs=3)
    assert image[rows[1], columns[8], 0] == image[rows[1], columns[20], 0]  # not through the frame


def test_half_of_the_glasses_are_painted_and_inside_those_for_the_hair_alone() -> None:
    faces = [face(), face(eye_g=(26, 34, 18, 46)), clear_glasses(), face(hat=(6, 16, 16, 48))]
    presence = np.array([np.isin(np.arange(19), mask) for _, mask in faces])
    choose = AccessoryChoice(presence, np.stack([part_centres(mask) for _, mask in faces]), probability=1.0)
    chosen = [c for seed in range(1600) if (c := choose(0, seed=seed)) is not None]
    # Painted, and how much of the inside, by who wears what.
    for accessory, donor, share, inside in (
        (GLASSES, 1, 0.5, (0, 0)),
        (GLASSES, 2, 0.5, (0, 0)),
        (SUNGLASSES, 1, 0.5, (0, 0.7)),
        (SUNGLASSES, 2, 1.0, (0.7, 1)),  # an eye shows through none, and hair through these
        (HAT, 3, 0.0, (0, 0)),
    ):
        clear = accessory is SUNGLASSES and donor == 2
        paints = [c.paint for c in chosen if c.accessory is accessory and c.donor == donor]
        assert len(paints) > 150
        assert sum(p is not None for p in paints) == pytest.approx(share * len(paints), abs=30)
        assert any(p.inside_opacity > 0 for p in paints if p is not None) == (accessory is SUNGLASSES)
        assert all(inside[0] <= p.inside_opacity <= inside[1] for p in paints if p is not None)
        assert all((p.through > 0) == clear for p in paints if p is not None)


def test_glasses_are_not_taken_out_of_a_hair() -> None:
    faces = [face(), face(eye_g=(8, 14, 18, 46)), clear_glasses()]
    presence = np.array([np.isin(np.arange(19), mask) for _, mask in faces])
    choose = AccessoryChoice(presence, np.stack([part_centres(mask) for _, mask in faces]), probability=1.0)
    chosen = [c for seed in range(100) if (c := choose(0, seed=seed)) is not None and c.accessory is SUNGLASSES]
    assert {c.donor for c in chosen} == {2}


def test_glasses_for_the_hair_cover_the_eyes_behind_them() -> None:
    donor, wearer = clear_glasses(), face()
    where = placements(SUNGLASSES, part_centres(donor[1]), part_centres(wearer[1]), lift=2.0)
    paint = Paint(0.0, (0, 0, 0), 1.0, (0, 0, 200), 1.0)
    image, mask = paste(wearer, donor, SUNGLASSES, where, paint=paint)
    assert (mask == ID["eye_g"]).sum() == 8 * 28
    rows, columns = np.nonzero(mask == ID["eye_g"])
    assert rows.max() < 26  # above the wearer's own eyes, which stay
    assert (mask == ID["l_eye"]).sum() == (wearer[1] == ID["l_eye"]).sum()
    inside = image[rows.min() + 2 : rows.max() - 1, columns.min() + 2 : columns.max() - 1]
    assert (inside.reshape(-1, 3) == inside[0, 0]).all()


def test_the_choice_is_that_of_its_seed_and_only_of_what_a_face_lacks() -> None:
    faces = [face(), face(eye_g=(26, 34, 18, 46)), face(hat=(6, 16, 16, 48)), face(hat=(4, 16, 16, 48))]
    presence = np.array([np.isin(np.arange(19), mask) for _, mask in faces])
    choose = AccessoryChoice(presence, np.stack([part_centres(mask) for _, mask in faces]), probability=0.5)
    plain = [choose(0, seed=seed) for seed in range(400)]
    chosen = [paste for paste in plain if paste is not None]
    assert len(chosen) == pytest.approx(200, abs=40)
    # Glasses, on the nose or in the hair, as often as hats and bands, though two wear hats and one glasses.
    for accessory in (GLASSES, SUNGLASSES, HAT, BAND):
        assert sum(c.accessory is accessory for c in chosen) == pytest.approx(len(chosen) / 4, abs=30)
    assert sum(c.mirrored for c in chosen) == pytest.approx(len(chosen) / 2, abs=30)
    assert {c.accessory.any_color for c in chosen if c.tint != (1, 1, 1)} == {True}
    assert {c.donor for c in chosen} == {1, 2, 3}
    assert {c.accessory.label for seed in range(100) if (c := choose(1, seed=seed))} == {ID["hat"]}
    again = choose(0, seed=7), choose(0, seed=7)
    assert (again[0] is None) == (again[1] is None)
    assert AccessoryChoice(presence, choose.centres, probability=0.0)(0, seed=1) is None
