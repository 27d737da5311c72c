"""The README's strip: a portrait, its mask and both together.

``python src/inference.py --input docs/images/astronaut.jpg --output parsed`` makes the mask, then
``PYTHONPATH=src python docs/images/strip.py parsed/masks/astronaut.png docs/images/strip.png`` the strip.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from face_parsing.data.masks import read_mask
from face_parsing.data.photos import read_photo
from face_parsing.drawing.overlays import overlay
from face_parsing.drawing.pictures import contact_sheet, save_picture

photo = read_photo(Path(__file__).with_name("astronaut.jpg"))
mask = read_mask(Path(sys.argv[1]))
row = [photo, mask, overlay(photo, mask)]
save_picture(contact_sheet([row], ["photo", "mask", "overlay"], classes=np.unique(mask).tolist()), Path(sys.argv[2]))
