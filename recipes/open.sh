#!/usr/bin/env bash
# The shipped networks of the open track: weights/face_parsing_open.pth, face_parsing_open_fast.pth and their .onnx.
#
#   Command   bash recipes/open.sh
#   Data      data/train and data/val, as data/README.md lays them out: 800 pairs to train on, 100 to validate on;
#             data/more/train: 2,825 further pairs of CelebAMask-HQ, none of which is among the challenge's
#   Time      104 and 69 minutes, each training on one AMD EPYC core (run.threads=1 run.workers=0), and 3 an average
#   Score     0.8696 F-Score, 0.8821 left/right corrected; the fast network 0.8649 and 0.8777 (2026-11-30, seed 0)
#
# They go on from the challenge's shipped weights, and are averaged with them: docs/recipes.md.
set -euo pipefail
cd "$(dirname "$0")/.."

for network in reference fast; do
    start=weights/face_parsing.pth
    if [ $network = fast ]; then start=weights/face_parsing_fast.pth; fi
    run=outputs/open/$network
    python src/train.py --config configs/open/$network.yaml
    python src/average.py $run $start --output "$run"_averaged
    python src/export.py --model_path "$run"_averaged/checkpoints/best_model.pth --output "$run".onnx --int8 data/train/images
    python src/evaluate.py --model_path "$run"_averaged/checkpoints/best_model.pth --data data
done
