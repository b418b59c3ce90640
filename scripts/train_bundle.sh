#!/usr/bin/env bash
# Train, score and publish everything in checkpoints/. Killed at any point, the same command continues.
#   scripts/train_bundle.sh "one NVIDIA H200"      the text goes into the model cards
#   scripts/train_bundle.sh "2 CPU cores" cpu      with the configs for a machine without a GPU: many hours
set -euo pipefail
cd "$(dirname "$0")/.."
hardware=${1:?name the hardware, for the model cards}
bin=${BIN:-.venv/bin}
cascade=configs/${2:-diffusion}
readers="echo_e3net_small judge_frame_transformer motion_frame_transformer r2plus1d_small coreecho_small mcsdr_small
  frame_aware_small"

for name in $readers; do
  "$bin/echosynth" train "configs/regression/$name.yaml"
done
"$bin/echosynth" train "$cascade/phantom_small.yaml"
"$bin/echosynth" train "$cascade/phantom_fast.yaml"
"$bin/echosynth" train "$cascade/phantom_fast_high_noise.yaml"
"$bin/python" scripts/calibrate_ef.py runs/phantom_fast_high_noise/pipeline --write \
  --readers runs/echo_e3net_small/echo_e3net_small/model runs/r2plus1d_small/r2plus1d_small/model

# The evaluation loads models by name or folder; here they are still in runs/.
"$bin/echosynth" evaluate configs/evaluation/phantom_test.yaml --out runs/evaluation \
  --set cascade=runs/phantom_fast_high_noise/pipeline \
  --set gate=runs/echo_e3net_small/echo_e3net_small/model \
  --set judge=runs/judge_frame_transformer/judge_frame_transformer/model

publish() { "$bin/python" scripts/publish_model.py "$@" --hardware "$hardware"; }
publish phantom_fast runs/phantom_fast_high_noise/pipeline --config configs/diffusion/phantom_fast_high_noise.yaml \
  --logs runs/phantom_small runs/phantom_fast runs/phantom_fast_high_noise --scores runs/evaluation/evaluation.json
for name in $readers; do
  publish "$name" "runs/$name/$name/model" --config "configs/regression/$name.yaml" \
    --logs "runs/$name" --scores "runs/$name/$name/scores.json"
done
"$bin/echosynth" models verify
# Weights of the panel, to be written into configs/evaluation/panel.yaml.
"$bin/python" scripts/score_readers.py --fit
