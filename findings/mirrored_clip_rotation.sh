#!/usr/bin/env bash
# Guess:     a decoded frame's `rotation` says how to turn it so that it looks as players show it.
# Behaviour: a clip that is stored mirrored, as front cameras do, has the rotation -180. Turned by it, the picture is
#            upside down; it should only be mirrored. One that is mirrored and turned has a rotation that is wrong alone.
# Matters:   faces stand on their heads, or left and right classes are exchanged. The display matrix in the frame's
#            side data says what to do.
# Versions:  av (PyAV) 18.1.0 with FFmpeg 8.1.2, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place" av==18.1.0 numpy==2.4.6
cd "$place"
PYTHONPATH="$place" python3 - <<'PY'
import struct
from pathlib import Path

import av
import numpy as np

stored = np.zeros((48, 64, 3), dtype=np.uint8)
stored[:24, :32] = 255  # white at the upper left
with av.open("clip.mp4", "w") as out:
    stream = out.add_stream("libx264rgb", rate=25, options={"qp": "0"})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
    out.mux(stream.encode(av.VideoFrame.from_ndarray(stored)))
    out.mux(stream.encode(None))

content = bytearray(Path("clip.mp4").read_bytes())
at = content.find(b"tkhd") + 4 + 20 + 20  # the matrix of the track
one = 1 << 16
content[at : at + 36] = struct.pack(">9i", -one, 0, 0, 0, one, 0, 0, 0, 1 << 30)  # x becomes -x: mirrored
Path("mirrored.mp4").write_bytes(content)

with av.open("mirrored.mp4") as clip:
    frame = next(clip.decode(video=0))
    rotation = frame.rotation
    (data,) = (one for one in frame.side_data if one.type.name == "DISPLAYMATRIX")
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    turned = np.rot90(frame.to_ndarray(format="rgb24"), rotation // 90)
corner = {(0, 0): "upper left", (0, 1): "upper right", (1, 0): "lower left", (1, 1): "lower right"}
white = corner[tuple(int(value) for value in np.argwhere(turned[::47, ::63, 0] > 200)[0])]
print(f"matrix {a // one, b // one, c // one, d // one}; rotation {rotation}; white turns up at the {white}")
assert (a // one, b // one, c // one, d // one) == (-1, 0, 0, 1), "the matrix is no mirror"
assert rotation in (180, -180), "the rotation has changed"
assert white == "lower right", "a mirrored clip is turned right"  # players show it at the upper right
PY
