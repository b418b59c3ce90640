"""Measure what a cascade makes of each EF it is told, and print the `ef_calibration` that takes its error back.

    python scripts/calibrate_ef.py runs/phantom_fast/pipeline --gate runs/echo_e3net_small/echo_e3net_small/model

Validation patients (seeds 1,000,000 and up), single samples, told EF uniform 10-85. A regressor reads generated clips
and true clips of the same patients; told and true EF that read alike belong together, so the regressor's own slope and
bias cancel. The gate reads, never the judge: what scores must not tune.
"""

import argparse

import numpy as np
import torch

from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.commands.evaluation_cases import render_pair
from echosynth.commands.progress import Reporter
from echosynth.diffusion.calibration import measure_calibration
from echosynth.diffusion.loading import load_cascade
from echosynth.regression.loading import DEFAULT_GATE, load_regressor
from echosynth.seeding import derive_seed

FIRST_SEED = 1_000_000


def main() -> None:
    """Render, generate, read, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cascade", help="name or folder; its own calibration, if it has one, is left out")
    parser.add_argument("--gate", default=DEFAULT_GATE, help="name or folder")
    parser.add_argument("--patients", type=int, default=96)
    parser.add_argument("--views", default="wide")
    args = parser.parse_args()
    pipeline, gate = load_cascade(args.cascade), load_regressor(args.gate)
    pipeline.register_to_config(ef_calibration=None)
    told, true, read, read_true = [], [], [], []
    with Reporter(args.patients, "calibrating") as reporter:
        for seed in range(FIRST_SEED, FIRST_SEED + args.patients):
            draw = np.random.default_rng(derive_seed(seed, "calibration"))
            own, target, asked = (float(draw.uniform(10.0, 85.0)) for _ in range(3))
            frame, truth = render_pair(seed, own, target, 64, 32.0, float(draw.uniform(0, 1)), views=args.views)
            clip = make_clip(pipeline, Start(frame), asked, derive_seed(seed, "calibration sample"), Sampling())
            told.append(asked)
            true.append(target)
            read.append(gate.predict([clip])[0].ef)
            read_true.append(gate.predict([truth])[0].ef)
            reporter.step()
    for name, given, found in (("generated", told, read), ("true", true, read_true)):
        slope, _ = np.polyfit(given, found, 1)
        bias = float(np.mean(np.subtract(found, given)))
        print(f"{name}: slope {slope:.2f}, r {np.corrcoef(given, found)[0, 1]:.3f}, bias {bias:+.1f}")
    print(f"ef_calibration: {measure_calibration(told, read, true, read_true)}")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
