"""The page in Chromium, used as a person would use it: its masks are Python's, and nothing leaves the machine.

``drive.mjs`` uses the page and writes down what came of it; here it is compared. Skipped where node, Chromium or the
packages of web/package-lock.json (``npm --prefix web ci``) are missing.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from face_parsing import FaceParser, ParsedPhoto
from face_parsing.faces.alignment import crop, quadrangle
from face_parsing.labels import CLASS_NAMES, PALETTE, class_ids
from face_parsing.synthetic.dataset import make_pair

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SIZES = (512, 512, 512, 384, 300, 640, 448, 512, 256, 512)
"""Of ten synthetic faces, whose seeds are 0 to 9."""


@dataclass(frozen=True)
class Seen:
    """What came of using the page: the photos that it got, the files that it gave, and what it said."""

    photos: Path
    files: Path
    said: dict[str, Any]

    def step(self, name: str) -> Any:
        found = self.said[name]
        assert not (isinstance(found, dict) and "error" in found and len(found) == 1), found["error"]
        return found


def write_photos(folder: Path) -> None:
    """The portrait as it is, aligned and lying, ten drawn faces, several in a photo, two in a tall one, and others."""
    folder.mkdir()
    portrait = Image.open(ROOT / "docs" / "images" / "astronaut.jpg").convert("RGB")
    shutil.copy(ROOT / "docs" / "images" / "astronaut.jpg", folder / "portrait.jpg")
    for seed, size in enumerate(SIZES):
        image = Image.fromarray(make_pair(seed, size=size)[0])
        image.crop((0, 0, size, size - 16 * seed)).save(folder / f"drawn{seed}.jpg", quality=90)
    group = Image.new("RGB", (900, 600), (120, 130, 140))
    for place, size, turn in (((20, 30), 260, 0), ((330, 180), 400, 20), ((700, 60), 180, -10)):
        group.paste(portrait.resize((size, size)).rotate(turn, Image.Resampling.BICUBIC), place)
    group.save(folder / "group.jpg", quality=92)
    square = quadrangle(FaceParser()(portrait).faces[0].points)
    Image.fromarray(crop(np.array(portrait), square, 512)).save(folder / "aligned.png")
    portrait.transpose(Image.Transpose.ROTATE_90).save(folder / "lying.png")
    turned = portrait.resize((400, 400)).transpose(Image.Transpose.ROTATE_90)
    tall = Image.new("RGB", (700, 1800), (110, 120, 130))  # much larger than faces are looked for, one upright, one not
    tall.paste(portrait.resize((600, 600)), (40, 60))
    tall.paste(portrait.resize((560, 560)).transpose(Image.Transpose.ROTATE_90), (90, 1100))
    tall.save(folder / "tall.jpg", quality=92)
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by a quarter to the right": upright again
    turned.save(folder / "turned.jpg", quality=90, exif=exif)
    (folder / "broken.jpg").write_bytes((ROOT / "docs" / "images" / "astronaut.jpg").read_bytes()[:400])
    with (folder / "camera.mjpeg").open("wb") as film:
        for shift in (0, 4, 8, 4):
            frame = Image.new("RGB", (640, 480), (150, 150, 150))
            frame.paste(portrait.resize((440, 440)), (100 + shift, 30))
            frame.save(film, format="JPEG", quality=92)


def need_tools() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node, which drives the browser")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}; install it, or set CHROMIUM")
    if not (WEB / "node_modules" / "playwright-core").is_dir():
        pytest.skip("the page's packages are missing: npm --prefix web ci")
    return node


def use_page(folder: Path, node: str) -> None:
    """Build the page, and let drive.mjs use it."""
    write_photos(folder / "photos")
    vite = WEB / "node_modules" / "vite" / "bin" / "vite.js"
    site = folder / "site"
    build = [node, vite, "build", "--outDir", site / "page", "--logLevel", "warn"]
    for command in (build, [node, ROOT / "tests/web/drive.mjs", site, folder / "photos", folder / "files"]):
        done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The page is used once, however many processes test it."""
    node = need_tools()
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "page"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            use_page(folder, node)
    files = folder / "files"
    assert (files / "outcome.json").is_file(), "the page could not be used; another process says why"
    return Seen(folder / "photos", files, json.loads((files / "outcome.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def parsed(seen: Seen) -> dict[str, ParsedPhoto]:
    """What Python finds in the photos, by their files' names."""
    parser = FaceParser()
    return {name: parser(seen.photos / name) for name in seen.step("masks")}


@pytest.fixture(scope="module")
def masks(parsed: dict[str, ParsedPhoto]) -> dict[str, np.ndarray]:
    """Python's masks of the photos."""
    return {name: result.mask for name, result in parsed.items()}


def ids_of(path: Path) -> np.ndarray:
    """The ids of a mask that the page saved."""
    with Image.open(path) as image:
        assert image.mode == "P"
        palette = image.getpalette()
        assert palette is not None
        assert palette[: 3 * len(PALETTE)] == [value for color in PALETTE for value in color]
        return np.array(image)


def test_its_classes_are_those_of_the_project(seen: Seen) -> None:
    assert [(one["name"], tuple(one["color"])) for one in seen.step("classes")] == list(
        zip(CLASS_NAMES, PALETTE, strict=True)
    )


def test_its_masks_are_those_of_python(seen: Seen, masks: dict[str, np.ndarray]) -> None:
    agreement = {}
    for name, said in seen.step("masks").items():
        found = ids_of(seen.files / said["file"])
        assert found.shape == masks[name].shape, name
        agreement[name] = float((found == masks[name]).mean())
    print(agreement)
    assert len(agreement) == 16
    assert min(agreement.values()) >= 0.999, agreement


def test_its_faces_are_those_of_python(seen: Seen, parsed: dict[str, ParsedPhoto]) -> None:
    for name, said in seen.step("masks").items():
        assert said["boxes"] == len(parsed[name].faces), name
    said = {name: one["status"] for name, one in seen.step("masks").items()}
    assert parsed["aligned.png"].found == "portrait"
    assert said["aligned.png"].startswith("One face was found, aligned already.")
    assert parsed["lying.png"].found == "faces"
    assert said["group.jpg"].startswith("3 faces were found.")
    assert said["tall.jpg"].startswith("2 faces were found.")


def test_threads_where_a_host_allows_them_and_by_the_service_worker_elsewhere(
    seen: Seen, masks: dict[str, np.ndarray]
) -> None:
    several = str(min(4, os.cpu_count() or 1))
    assert seen.said["threads"] == several
    assert seen.step("plainHost")["threads"] == several
    assert seen.step("oneThread")["threads"] == "1"
    for name in ("plain_host.png", "one_thread.png"):
        assert (ids_of(seen.files / name) == masks["portrait.jpg"]).mean() >= 0.999


def test_the_small_runtime_does_and_where_it_should_not_the_whole_one(seen: Seen, masks: dict[str, np.ndarray]) -> None:
    assert seen.said["runtime"] == "small"  # after all that was done
    assert seen.step("trappedRuntime")["runtime"] == "whole"
    assert (ids_of(seen.files / "whole_runtime.png") == masks["portrait.jpg"]).mean() >= 0.999


def test_no_request_leaves_the_pages_own_origin(seen: Seen) -> None:
    foreign = [url for url in seen.said["requests"] if not url.startswith((*seen.said["origins"], "blob:", "data:"))]
    assert len(seen.said["requests"]) > 10
    assert not foreign


def test_the_console_holds_no_error(seen: Seen) -> None:
    assert not seen.said["complaints"]


def test_overlay_cutout_and_json(seen: Seen, parsed: dict[str, ParsedPhoto], masks: dict[str, np.ndarray]) -> None:
    overlay, cutout, facts = (seen.files / name for name in seen.step("saving"))
    photo = np.array(Image.open(seen.photos / "portrait.jpg").convert("RGB")).astype(float)
    hair = masks["portrait.jpg"] == CLASS_NAMES.index("hair")
    shown = np.array(Image.open(overlay).convert("RGB")).astype(float)
    np.testing.assert_allclose(shown[hair], 0.6 * photo[hair] + 0.4 * np.array((0, 0, 204)), atol=1)
    np.testing.assert_array_equal(shown[~hair], photo[~hair])
    cut = np.array(Image.open(cutout))
    assert cut.shape[2] == 4
    np.testing.assert_array_equal(cut[..., :3], photo)  # colors stay, even under what is transparent
    assert ((cut[..., 3] > 127) == hair).mean() > 0.995
    said = json.loads(facts.read_text(encoding="utf-8"))
    assert [one["name"] for one in said["classes"]] == list(CLASS_NAMES)
    assert set(parsed["portrait.jpg"].to_json()) <= set(said)
    counts = np.array([one["pixels"] for one in said["classes"]])
    assert np.abs(counts - np.bincount(masks["portrait.jpg"].ravel(), minlength=19)).sum() <= 0.002 * hair.size
    assert "non-commercial" in said["licence"]
    found = said["faces"][0]
    face = parsed["portrait.jpg"].faces[0]
    np.testing.assert_allclose(found["points"], face.points, atol=0.02)
    np.testing.assert_allclose(found["quadrangle"], face.quadrangle, atol=0.02)
    assert (said["width"], said["height"]) == hair.shape[::-1]


def test_colors_are_tried_on_and_the_texture_stays(seen: Seen, masks: dict[str, np.ndarray]) -> None:
    seen.step("colors")
    before, after = (np.array(Image.open(seen.files / f"{name}.png").convert("RGB")).astype(float) for name in (
        "uncolored", "colored",
    ))  # fmt: skip
    np.testing.assert_array_equal(before, np.array(Image.open(seen.photos / "portrait.jpg").convert("RGB")))
    mask = masks["portrait.jpg"]
    hair = mask == CLASS_NAMES.index("hair")
    assert (after[hair][:, 2] > after[hair][:, 0]).mean() > 0.9  # blue
    light = np.array((0.299, 0.587, 0.114))
    assert np.corrcoef(before[hair] @ light, after[hair] @ light)[0, 1] > 0.9
    lips = np.isin(mask, class_ids("u_lip", "l_lip"))
    assert np.abs(after[lips] - before[lips]).mean() > 20
    elsewhere = np.isin(mask, class_ids("nose", "l_eye", "r_eye", "cloth"))
    assert (after[elsewhere] == before[elsewhere]).mean() > 0.98


def test_a_broken_file_is_a_sentence_and_the_page_goes_on(seen: Seen) -> None:
    found = seen.step("broken")
    assert "“broken.jpg” cannot be read as a photo" in found["error"]
    assert found["hidden"]
    assert "Parsed in" in found["after"]


def test_photos_are_pasted_and_dropped_and_examples_taken(seen: Seen) -> None:
    assert [caption.split(",")[0] for caption in seen.step("pastedAndDropped")] == ["paste.jpg", "drop.jpg"]
    assert len(seen.step("examples")) == 5
    assert all("Parsed in" in status for status in seen.step("examples"))


def test_the_keyboard_does_all(seen: Seen) -> None:
    found = seen.step("keyboard")
    assert {"choose", "camera", "stage", "opacity", "strength", "mask", "overlay", "cutout", "json"} <= set(
        found["reached"]
    )
    assert found["spoken"] == "Skin"
    assert found["opacity"] == "41 %"
    assert found["unnamed"] == 0


def test_pointing_names_the_class(seen: Seen) -> None:
    found = seen.step("pointing")
    assert found["tip"].startswith("Hair")
    assert found["marked"] == "Hair"


def test_the_camera_is_parsed_live(seen: Seen) -> None:
    found = seen.step("camera")
    assert float(found["rate"].split()[0]) > 0.5
    assert "Parsed in" in found["still"]
    assert found["stopped"]
    assert ids_of(seen.files / "camera_mask.png").shape == (480, 640)
    assert seen.step("noCamera") == "No camera was found. Connect one, or choose a photo."


def test_a_phone_shows_all_without_scrolling_sideways(seen: Seen) -> None:
    found = seen.step("phone")
    assert found["before"] == [360, 360]
    assert found["after"] == [360, 360]
    assert "Parsed in" in found["status"]
