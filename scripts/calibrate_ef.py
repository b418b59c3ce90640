"""Measure what EF a cascade generates for each EF that it is given, and print the `ef_calibration` that corrects it.

    python scripts/calibrate_ef.py runs/phantom_fast_again/pipeline --write

Validation patients (seeds 1,000,000 and up), single samples. Regressors read generated clips and true clips of the same
patients. A given EF and a true EF whose clips read alike belong together, so a regressor's own slope and bias cancel.
Regressors may still read generated clips differently from true ones, so several read, and the printed curve is the mean
of theirs. By default they are the two that read true clips best, apart from the judge: what scores must not tune.
The default views are ones that regressors see well. Where walls are missing, they shrink the EF of true clips towards
the mean more than that of generated clips, which are clearer.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.diffusion.calibration import ASKED, measure_calibration
from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.cases import render_pair
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_GATE, load_regressor
from echosynth.seeding import derive_seed
from echosynth.storage.checksums import write_sums

FIRST_SEED = 1_000_000
READERS = (DEFAULT_GATE, "r2plus1d_small")
LOWEST, HIGHEST = 7.0, 88.0  # EFs conditioned on and rendered: a little beyond the ends of the curve


def main() -> None:
    """Render, generate, read, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cascade", help="name or folder; its own calibration, if it has one, is left out")
    parser.add_argument("--readers", nargs="+", default=READERS, help="names or folders of regressors")
    parser.add_argument("--patients", type=int, default=384)
    parser.add_argument("--views", default="echonet")
    parser.add_argument("--write", action="store_true", help="also save the curve in the cascade's folder")
    args = parser.parse_args()
    if args.write and not Path(args.cascade).is_dir():
        parser.error(f"--write: {args.cascade} is not a folder")
    pipeline, readers = load_cascade(args.cascade), {name: load_regressor(name) for name in args.readers}
    pipeline.register_to_config(ef_calibration=None)
    curves = measure_curves(pipeline, readers, args.views, args.patients)
    mean = np.mean([[calibrated for _, calibrated in curve] for curve in curves], axis=0)
    curve = [[asked, round(float(calibrated), 1)] for asked, calibrated in zip(ASKED, mean, strict=True)]
    print(f"ef_calibration: {curve}")
    if args.write:
        pipeline.register_to_config(ef_calibration=curve)
        pipeline.save_config(args.cascade)
        write_sums(Path(args.cascade))


def measure_curves(
    pipeline: EchoCascadePipeline, readers: dict[str, EFRegressor], views: str, patients: int
) -> list[list[list[float]]]:
    """One curve for each reader, see `measure_calibration`; prints what it read."""
    calibrated, true = [], []
    read: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    seeds = range(FIRST_SEED, FIRST_SEED + patients)
    for seed in track(seeds, "calibrating", console=Console(stderr=True)):
        draw = np.random.default_rng(derive_seed(seed, "calibration"))
        own, target, asked = (float(draw.uniform(LOWEST, HIGHEST)) for _ in range(3))
        frame, truth = render_pair(seed, own, target, 64, 32.0, float(draw.uniform(0, 1)), views=views)
        clip = make_clip(pipeline, Start(frame), asked, derive_seed(seed, "calibration sample"), Sampling())
        calibrated.append(asked)
        true.append(target)
        for name, reader in readers.items():
            made, shown = reader.predict([clip, truth])
            read[name].append((made.ef, shown.ef))
    curves = []
    for name, pairs in read.items():
        made, shown = np.transpose(pairs)
        print(f"{name}: generated {_describe(calibrated, made)}; true {_describe(true, shown)}")
        curves.append(measure_calibration(calibrated, made, true, shown))
    return curves


def _describe(given: Sequence[float], found: np.ndarray) -> str:
    slope, _ = np.polyfit(given, found, 1)
    bias = float(np.mean(found - given))
    return f"slope {slope:.2f}, r {np.corrcoef(given, found)[0, 1]:.3f}, bias {bias:+.1f}"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
