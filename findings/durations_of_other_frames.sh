#!/usr/bin/env bash
# Guess:     a decoded frame is shown from its time stamp on for its `duration`, until the next frame.
# Behaviour: where the rate varies and frames are stored in another order than they are shown in (B-frames, which are
#            usual), MP4 gives each frame the duration of another one. Time stamps are right.
# Matters:   who keeps durations when a clip is written anew, or adds them up, moves its frames: gaps of half a second
#            come at the wrong place. Subtract time stamps instead.
# Versions:  av (PyAV) 18.1.0 with FFmpeg 8.1.2, numpy 2.4.6; seen on 2026-11-30 (x86-64, Linux).
#
# Needs Python 3 with pip, and the package index. Fails if what it saw has changed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$place" av==18.1.0 numpy==2.4.6
cd "$place"
PYTHONPATH="$place" python3 - <<'PY'
from fractions import Fraction

import av
import numpy as np

TIMES = [0, 1, 5, 6, 20, 21, 22, 40]  # in parts of 1/30 second


def durations(b_frames):
    """The times and durations of the frames, as they are decoded, in the same unit."""
    y, x = np.mgrid[:48, :64]
    with av.open("clip.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=30, options={} if b_frames else {"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 30)
        for i, time in enumerate(TIMES):
            picture = np.stack([x * 3, y * 5, (x + 2 * y + 7 * i) % 256], 2).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts, frame.time_base = time, Fraction(1, 30)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open("clip.mp4") as clip:
        frames = [(frame.pts * frame.time_base * 30, frame.duration * frame.time_base * 30) for frame in clip.decode(video=0)]
    assert [time for time, _ in frames] == TIMES, "time stamps are wrong"
    return [int(length) for _, length in frames][:-1]


until_the_next = np.diff(TIMES).tolist()
plain, reordered = durations(b_frames=False), durations(b_frames=True)
print(f"until the next frame {until_the_next}; without B-frames {plain}; with them {reordered}")
assert plain == until_the_next, "durations are wrong without B-frames too"
assert reordered != until_the_next, "durations are right"
PY
