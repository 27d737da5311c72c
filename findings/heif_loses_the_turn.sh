#!/usr/bin/env bash
# Guess:     `image.save(file, exif=exif)` takes Pillow's own Exif object as it takes its bytes, in HEIF as in JPEG and AVIF:
#            the orientation in it comes back, as a tag or as a turned picture.
# Behaviour: pillow-heif turns the picture by the orientation in Exif bytes, and says 1 on reading. Of an Exif object it
#            drops the orientation: the picture lies on its side, and says 1. AVIF and JPEG keep the tag in both cases.
# Matters:   photos converted to HEIC lie on their side for good, and no reader can tell. A face parser for upright
#            faces finds little in them. Pass exif.tobytes().
# Versions:  pillow-heif 1.8.1, pillow 13.0.0; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place/packages" pillow-heif==1.8.1 pillow==13.0.0
cd "$place"
PYTHONPATH="$place/packages" python3 - <<'PY'
import io

import pillow_heif
from PIL import Image, ImageOps

pillow_heif.register_heif_opener()
image = Image.linear_gradient("L").convert("RGB").resize((60, 40))
shown = {}
for kind in ("JPEG", "AVIF", "HEIF"):
    for what in ("object", "bytes"):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by 90 degrees clockwise before it is shown
        file = io.BytesIO()
        image.save(file, kind, exif=exif if what == "object" else exif.tobytes())
        with Image.open(file) as read:
            upright = ImageOps.exif_transpose(read)
            tag = read.getexif().get(0x0112)
            shown[kind, what] = upright.size
            print(f"{kind}, Exif {what}: stored {read.size} with orientation {tag}, shown {upright.size}")
assert all(size == (40, 60) for key, size in shown.items() if key != ("HEIF", "object")), "the others turn it"
assert shown["HEIF", "object"] == (60, 40), "HEIF keeps the orientation of an Exif object now"
PY
