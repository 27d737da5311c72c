"""Masks with holes, parts, lone pixels and pixels to ignore, as files beside their photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from face_parsing.data.masks import save_mask
from face_parsing.labels import IGNORE_INDEX

H, W = 24, 36


def odd_mask() -> np.ndarray:
    """Skin with two holes, ears of two parts, an earring of one pixel, hair up to every edge, one pixel to ignore."""
    mask = np.full((H, W), 13, dtype=np.uint8)
    mask[3:21, 3:30] = 1
    mask[6:9, 6:9] = 0
    mask[6:9, 20:24] = 5
    mask[10:12, :2] = mask[14, 33:] = 8
    mask[16, 1] = 15
    mask[23, 35] = IGNORE_INDEX
    return mask


def write_labelled(folder: Path) -> dict[str, np.ndarray]:
    """folder/masks of three masks and folder/images of their photos. Gives the masks by stem."""
    masks = {"2": odd_mask(), "10": odd_mask()[::-1], "a face": np.zeros((H, W), dtype=np.uint8)}
    (folder / "images").mkdir(parents=True)
    for stem, mask in masks.items():
        save_mask(mask, folder / "masks" / f"{stem}.png")
        Image.new("RGB", (W, H), (90, 60, 30)).save(folder / "images" / f"{stem}.jpg")
    return masks
