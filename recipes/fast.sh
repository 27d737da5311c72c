#!/usr/bin/env bash
# The shipped fast network, weights/face_parsing_fast.pth and face_parsing_fast.onnx.
#
#   Command   bash recipes/fast.sh
#   Data      data/train and data/val, as data/README.md lays them out: 800 pairs to train on, 100 to validate on
#   Time      47, 36, 26, 22, 15 and 15 minutes, each training on one core (run.threads=1 run.workers=0): the second on
#             an Intel Xeon, the others on an AMD EPYC (2026-11-20 to 2026-11-28)
#   Score     0.8617 F-Score, 0.8745 left/right corrected; with --tta 0.8649 and 0.8778
#
# What each step scored, and what of the recipe has changed since it ran: docs/recipes.md. As run: docs/lineage/.
set -euo pipefail
cd "$(dirname "$0")/.."

# The first cycle, and a second one without textures of other faces, with stronger colors.
python src/train.py --config configs/cpu.yaml
python src/train.py --config configs/cpu_third_cycle.yaml \
    --set run.init_from=outputs/cpu run.output=outputs/second_cycle_fast run.seed=3 \
    augmentation.paste=0.35 augmentation.retexture=0 augmentation.color_strength=0.5 augmentation.grey=0.1 \
    "schedule.stages=[{image_size: 256, epochs: 28, batch_size: 16, eval_size: 320}, {image_size: 384, epochs: 30, batch_size: 16, eval_size: 448}]"

# Two third cycles, and the average of their ends.
python src/train.py --config configs/cpu_third_cycle.yaml
python src/train.py --config configs/cpu_third_cycle.yaml \
    --set run.output=outputs/third_fast_2 run.seed=62 augmentation.paste=0.7 \
    "schedule.stages=[{image_size: 256, epochs: 8, batch_size: 16, eval_size: 320}, {image_size: 384, epochs: 25, batch_size: 16, eval_size: 448}]"
python src/average.py outputs/third_fast_1 outputs/third_fast_2 --last --output outputs/third_fast_averaged

# Two fourth cycles from there, and the average of all four runs, which is shipped; and the same in 8 bits.
FOURTH=(
    run.init_from=outputs/third_fast_averaged
    augmentation.paste=0.7
    optimizer.lr=1.5e-3
    run.validate_every=5
    "schedule.stages=[{image_size: 384, epochs: 20, batch_size: 16, eval_size: 448}]"
)
python src/train.py --config configs/cpu_third_cycle.yaml \
    --set "${FOURTH[@]}" run.output=outputs/fourth_fast_1 run.seed=71
python src/train.py --config configs/cpu_third_cycle.yaml \
    --set "${FOURTH[@]}" run.output=outputs/fourth_fast_2 run.seed=72 augmentation.retexture=0.1
python src/average.py outputs/third_fast_1 outputs/third_fast_2 outputs/fourth_fast_1 outputs/fourth_fast_2 \
    --output outputs/fourth_fast_averaged
python src/export.py --model_path outputs/fourth_fast_averaged/checkpoints/best_model.pth \
    --output outputs/face_parsing_fast.onnx --int8 data/train/images
python src/evaluate.py --model_path outputs/fourth_fast_averaged/checkpoints/best_model.pth --data data
