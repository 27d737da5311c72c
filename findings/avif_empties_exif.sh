#!/usr/bin/env bash
# Guess:     saving a picture reads the Exif object that it is given, and leaves it as it is.
# Behaviour: Pillow's AVIF writer takes the orientation out of the caller's own object. The first file is right; every
#            further one saved with the same object, in AVIF or in any format, has no orientation.
# Matters:   a photo saved in several sizes with its camera's Exif stands in the first file and lies in the others. A face
#            parser that trusts orientations finds little in them. Give each save a copy, or exif.tobytes().
# Versions:  pillow 13.0.0; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place/packages" pillow==13.0.0
cd "$place"
PYTHONPATH="$place/packages" python3 - <<'PY'
import io

from PIL import Image


def saved(kinds):
    """The orientation that files have, saved one after the other with one Exif object."""
    exif = Image.Exif()
    exif[0x0112] = 6
    found = []
    for kind in kinds:
        file = io.BytesIO()
        Image.new("RGB", (60, 40)).save(file, kind, exif=exif)
        found.append(Image.open(file).getexif().get(0x0112))
    print(f"{', '.join(kinds)}: orientations {found}, left in the object: {exif.get(0x0112)}")
    return found


assert saved(["JPEG", "WEBP", "JPEG"]) == [6, 6, 6], "other writers leave the object alone"
assert saved(["AVIF", "AVIF", "JPEG"]) == [6, None, None], "the AVIF writer leaves the object alone now"
PY
