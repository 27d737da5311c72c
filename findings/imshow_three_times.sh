#!/usr/bin/env bash
# Guess:     matplotlib's imshow shows a label map with its own colors, as it does at twice and at four times its size.
# Behaviour: drawn at exactly three times its size, the default interpolation ("auto") mixes neighboring ids before the
#            color map is asked, so that classes appear between two others which the array does not hold.
# Matters:   a mask of hair (13) beside skin (1) gets a rim of brows and ears; figures for papers look like bad labels.
#            interpolation="nearest" shows the array.
# Versions:  matplotlib 3.11.2, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place" matplotlib==3.11.2 numpy==2.4.6
PYTHONPATH="$place" python3 - <<'PY'
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import ListedColormap

ids = np.ones((64, 64), dtype=np.uint8)
ids[16:48, 16:48] = 13
colors = np.array([(i * 13, 255 - i * 13, (i * 71) % 256) for i in range(19)]) / 255


def drawn(times, **options):
    figure = plt.figure(figsize=(0.64 * times, 0.64 * times), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.imshow(ids, cmap=ListedColormap(colors), vmin=-0.5, vmax=18.5, **options)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    plt.close(figure)
    distance = np.abs(pixels[:, :, None] - np.round(colors * 255)).sum(-1)
    return sorted(np.unique(distance.argmin(-1)).tolist())


seen = {times: drawn(times) for times in (2, 3, 4)}
nearest = drawn(3, interpolation="nearest")
for times, classes in seen.items():
    print(f"drawn at {times} times its size: classes {classes}")
print(f"at 3 times with interpolation='nearest': classes {nearest}")
assert seen[2] == seen[4] == nearest == [1, 13], "the other sizes show what is there"
assert len(seen[3]) > 2, "three times its size shows what is there as well"
PY
