#!/usr/bin/env bash
# Train, score and publish everything in checkpoints/. Killed at any point, the same command continues.
#   scripts/train_bundle.sh "one NVIDIA H200"      the text goes into the model cards
#   scripts/train_bundle.sh "2 CPU cores"          without a GPU, fewer patients and small batches: many hours
set -euo pipefail
cd "$(dirname "$0")/.."
hardware=${1:?name the hardware, for the model cards}
bin=${BIN:-.venv/bin}

cascade=() tuning=() judge=()
# The tuned base learns on where EF is decided, at high noise and by more of the guide's word.
again=(--set stages.base.init=runs/phantom_fast/base/model --set stages.base.optim.steps=1400 --set stages.base.optim.lr=1e-4
  --set stages.base.optim.warmup_steps=50 --set stages.base.optim.decay_share=0.7 --set stages.base.optim.ema_decay=0.995
  --set stages.base.P_mean=1.5 --set stages.base.P_std=1.5 --set stages.base.consistency.first_doublings=4
  --set stages.base.consistency.ef_weight=0.16 --set ef_guide.init=runs/phantom_fast/ef_guide/model
  --set ef_guide.optim.steps=0)
if ! "$bin/python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  cascade=(--set data.patients=4608 --set data.workers=2 --set validation.workers=2
    --set stages.frame.data.workers=2 --set stages.frame.validation.workers=2)
  for part in stages.frame stages.base stages.sr1 stages.sr2 tissue_tracker ef_guide; do
    cascade+=(--set "$part.optim.batch_size=8" --set "$part.optim.compile=false")
  done
  cascade+=(--set stages.base.optim.steps=16000 --set ef_guide.optim.steps=12000)
  tuning=(--set data.workers=2 --set validation.workers=2 --set stages.base.optim.batch_size=16
    --set stages.base.optim.compile=false --set ef_guide.optim.compile=false)
  judge=(--set data.patients=4608 --set data.workers=2 --set validation.workers=2
    --set optim.batch_size=8 --set optim.compile=false --set optim.steps=30000)
fi

regressors="echo_e3net_small judge_frame_transformer r2plus1d_small coreecho_small mcsdr_small frame_aware_small"
for name in $regressors; do
  "$bin/echosynth" train "configs/regression/$name.yaml" --out "runs/$name" \
    $([ "$name" = judge_frame_transformer ] && echo "${judge[@]}")
done
"$bin/echosynth" train configs/diffusion/phantom_small.yaml --out runs/phantom_small "${cascade[@]}"
"$bin/echosynth" train configs/diffusion/phantom_fast.yaml --out runs/phantom_fast "${tuning[@]}"
"$bin/echosynth" train configs/diffusion/phantom_fast.yaml --out runs/phantom_fast_again "${tuning[@]}" "${again[@]}"
"$bin/python" scripts/calibrate_ef.py runs/phantom_fast_again/pipeline --write \
  --readers runs/echo_e3net_small/echo_e3net_small/model runs/r2plus1d_small/r2plus1d_small/model

# The evaluation loads models by name or folder; here they are still in runs/.
"$bin/echosynth" evaluate configs/evaluation/phantom_test.yaml --out runs/evaluation \
  --set cascade=runs/phantom_fast_again/pipeline \
  --set gate=runs/echo_e3net_small/echo_e3net_small/model \
  --set judge=runs/judge_frame_transformer/judge_frame_transformer/model

publish() { "$bin/python" scripts/publish_model.py "$@" --hardware "$hardware"; }
publish phantom_fast runs/phantom_fast_again/pipeline --config configs/diffusion/phantom_fast.yaml \
  --logs runs/phantom_small runs/phantom_fast runs/phantom_fast_again --scores runs/evaluation/evaluation.json
for name in $regressors; do
  publish "$name" "runs/$name/$name/model" --config "configs/regression/$name.yaml" \
    --logs "runs/$name" --scores "runs/$name/$name/scores.json"
done
"$bin/echosynth" models verify
