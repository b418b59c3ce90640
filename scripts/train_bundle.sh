#!/usr/bin/env bash
# Train, score and publish everything in checkpoints/. Killed at any point, the same command continues.
#   scripts/train_bundle.sh "2 CPU cores"          the text goes into the model cards
set -euo pipefail
cd "$(dirname "$0")/.."
hardware=${1:?name the hardware, for the model cards}
bin=${BIN:-.venv/bin}

regressors="echo_e3net_small judge_frame_transformer r2plus1d_small coreecho_small mcsdr_small frame_aware_small"
for name in $regressors; do
  "$bin/echosynth" train "configs/regression/$name.yaml" --out "runs/$name"
done
"$bin/echosynth" train configs/diffusion/phantom_small_base.yaml --out runs/phantom_small_base
"$bin/echosynth" train configs/diffusion/phantom_small.yaml --out runs/phantom_small

# The evaluation loads models by name or folder; here they are still in runs/.
"$bin/echosynth" evaluate configs/evaluation/phantom_test.yaml --out runs/evaluation \
  --set cascade=runs/phantom_small/pipeline \
  --set gate=runs/echo_e3net_small/echo_e3net_small/model \
  --set judge=runs/judge_frame_transformer/judge_frame_transformer/model

publish() { "$bin/python" scripts/publish_model.py "$@" --hardware "$hardware"; }
publish phantom_small runs/phantom_small/pipeline --config configs/diffusion/phantom_small.yaml \
  --logs runs/phantom_small_base runs/phantom_small --scores runs/evaluation/evaluation.json
for name in $regressors; do
  publish "$name" "runs/$name/$name/model" --config "configs/regression/$name.yaml" \
    --logs "runs/$name" --scores "runs/$name/$name/scores.json"
done
"$bin/echosynth" models verify
