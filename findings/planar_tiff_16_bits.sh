#!/usr/bin/env bash
# Guess:     a TIFF of 16-bit RGB is read as the same picture whether its channels are interleaved or one after another,
#            or it is refused: PlanarConfiguration is one of TIFF's basic tags.
# Behaviour: Pillow reads uncompressed planar 16-bit RGB as if each sample had 8 bits: the two bytes of a value become
#            two neighbouring pixels, and the lower half of the picture is never read. Nothing is said. With zlib
#            compression, which libtiff decodes, the same samples are read rightly.
# Matters:   scanners and scientific cameras write such files. A parser sees vertical stripes, and answers with a mask.
# Versions:  pillow 13.0.0, tifffile 2026.3.3, numpy 2.2.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place/packages" pillow==13.0.0 tifffile==2026.3.3 numpy==2.2.6
cd "$place"
PYTHONPATH="$place/packages" python3 - <<'PY'
import numpy as np
import tifffile
from PIL import Image

values = np.array([10000, 30000, 60000], np.uint16)  # red, green, blue, the same at every pixel
planes = np.broadcast_to(values[:, None, None], (3, 8, 8)).copy()
tifffile.imwrite("interleaved.tif", planes.transpose(1, 2, 0).copy(), photometric="rgb")
tifffile.imwrite("planar.tif", planes, photometric="rgb", planarconfig="separate")
tifffile.imwrite("planar_zlib.tif", planes, photometric="rgb", planarconfig="separate", compression="zlib")
read = {}
for name in ("interleaved", "planar", "planar_zlib"):
    with Image.open(f"{name}.tif") as image:
        read[name] = np.asarray(image.convert("RGB"))
    colors = sorted({tuple(int(value) for value in pixel) for pixel in read[name].reshape(-1, 3)})
    print(f"{name}: one color of {values.tolist()} is read as {colors}")
assert (tifffile.imread("planar.tif") == planes).all(), "the file itself is right"
right = [value >> 8 for value in values.tolist()]
assert (read["interleaved"] == right).all(), "interleaved samples are no longer read by their upper byte"
assert (read["planar_zlib"] == right).all(), "compressed planes are no longer read rightly"
assert not (read["planar"] == right).all(), "uncompressed planes are read rightly now"
assert {int(value) for value in read["planar"][..., 0].ravel()} == {10000 & 255, 10000 >> 8}, "the bytes are no longer pixels"
PY
