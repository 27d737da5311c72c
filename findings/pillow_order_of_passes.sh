#!/usr/bin/env bash
# Guess:     Pillow's resize works row by row and then column by column, whatever the picture's shape, so that the same
#            photo gives the same pixels in each version, and whoever ports it to another language knows the order.
# Behaviour: Pillow 13 shrinks columns first where that is cheaper, which is the case of tall photos. As it rounds between
#            the passes, many values differ by 1 from those of Pillow 12, and from a port that starts with rows.
# Matters:   what a network sees of a portrait format photo, and so its mask, changes with the version and differs from
#            a browser's port. Landscape and square photos agree, so that the usual tests do not notice.
# Versions:  pillow 13.0.0 against 12.0.0, numpy 2.2.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
cat > resize.py <<'PY'
import sys

import numpy as np
import PIL
from PIL import Image

LINEAR = Image.Resampling.BILINEAR
orders = {}
for name, (width, height), (to_width, to_height) in (
    ("square", (200, 200), (100, 100)), ("wide", (600, 200), (300, 100)), ("tall", (200, 600), (100, 300)),
):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    at_once = np.asarray(image.resize((to_width, to_height), LINEAR))
    rows_first = np.asarray(image.resize((to_width, height), LINEAR).resize((to_width, to_height), LINEAR))
    columns_first = np.asarray(image.resize((width, to_height), LINEAR).resize((to_width, to_height), LINEAR))
    same = {"rows": (at_once == rows_first).all(), "columns": (at_once == columns_first).all()}
    orders[name] = next(order for order, is_same in same.items() if is_same)
    differ = (rows_first != columns_first).mean()
    print(f"Pillow {PIL.__version__}, {name}: {orders[name]} first; the other order changes {differ:.0%} of the values")
assert orders == {"square": "rows", "wide": "rows", "tall": sys.argv[1]}, orders
PY
for pair in "12.0.0 rows" "13.0.0 columns"; do
    read -r version order <<< "$pair"
    python3 -m pip install --quiet --root-user-action=ignore --target "$place/$version" "pillow==$version" numpy==2.2.6
    PYTHONPATH="$place/$version" python3 resize.py "$order"
done
