#!/usr/bin/env bash
# Guess:     a lossless PNG optimizer leaves a segmentation mask as it is: the ids are the pixels of the file.
# Behaviour: the colors stay and the indices change. oxipng and zopflipng sort the palette anew, and zopflipng turns a
#            mask of plain greys into one with a palette.
# Matters:   most loaders of masks read indices. Every label is another one, nothing is reported, and training learns it.
# Versions:  pyoxipng 9.1.1, zopfli 0.4.3, pillow 12.3.0, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place" pyoxipng==9.1.1 zopfli==0.4.3 pillow==12.3.0 numpy==2.4.6
cd "$place"
PYTHONPATH="$place" python3 - <<'PY'
import io

import numpy as np
import oxipng
import zopfli.png
from PIL import Image

ids = np.zeros((128, 128), dtype=np.uint8)
for c, (x, y, size) in enumerate([(20, 10, 90), (30, 30, 60), (40, 40, 8), (70, 40, 8), (52, 55, 12), (45, 75, 30)], 1):
    ids[y : y + size, x : x + size] = c * 3
colors = [((i * 67) % 256, (i * 151) % 256, (i * 29) % 256) for i in range(19)]
palette = Image.fromarray(ids)
palette.putpalette([value for color in colors for value in color])
grey = Image.fromarray(ids)


def encoded(image):
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


def same(data, before):
    after = Image.open(io.BytesIO(data))
    colors_kept = np.array_equal(np.array(after.convert("RGB")), np.array(before.convert("RGB")))
    values = np.array(after)
    return after.mode, colors_kept, values.ndim == 2 and np.array_equal(values, ids)


seen = {
    "oxipng, palette": same(oxipng.optimize_from_memory(encoded(palette), level=2), palette),
    "zopflipng, palette": same(zopfli.png.optimize(encoded(palette)), palette),
    "zopflipng, grey": same(zopfli.png.optimize(encoded(grey)), grey),
}
for name, (mode, colors_kept, ids_kept) in seen.items():
    print(f"{name}: mode {mode}, colors kept: {colors_kept}, ids kept: {ids_kept}")
assert all(colors_kept for _, colors_kept, _ in seen.values()), "colors are lost"
assert not any(ids_kept for _, _, ids_kept in seen.values()), "ids are kept"
PY
