"""Try networks on every family of views and on a real clip: docs/experiments/view-families.md and base-conditioning.md.

    python scripts/ablate_views.py --regressors wide=DIR echonet=DIR --bases wide=DIR echonet=DIR

Regressors read true clips of validation patients (seeds 1,000,000 and up). Bases make 28x28 clips of 16 frames at 8 Hz
from one frame of the same patients, and of the real clip, at EF 20-70; a regressor that is shown such clips reads
those (--reader), so its own limits are part of the score.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, LOWEST_DRAWN_EF
from echosynth.data.clip_files import load_clip_file
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.cases import render_pair
from echosynth.phantom.view_families import VIEW_FAMILIES
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import load_regressor
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip, to_network

FIRST_SEED = 1_000_000
ASKED = (20.0, 30.0, 40.0, 50.0, 60.0, 70.0)


def render_family(family: str, patients: int) -> tuple[list[np.ndarray], list[EchoClip], np.ndarray]:
    """A frame of each patient, a clip of the same patient at another EF, and that EF, per cent."""
    frames, clips, efs = [], [], []
    for seed in range(FIRST_SEED, FIRST_SEED + patients):
        draw = np.random.default_rng(derive_seed(seed, "ablation"))
        own, ef = (float(draw.uniform(LOWEST_DRAWN_EF, HIGHEST_DRAWN_EF)) for _ in range(2))
        frame, clip = render_pair(seed, own, ef, 64, 32.0, float(draw.uniform(0, 1)), views=family)
        frames.append(frame)
        clips.append(clip)
        efs.append(ef)
    return frames, clips, np.array(efs)


def follow(pipeline: EchoCascadePipeline, reader: EFRegressor, frames: Sequence[np.ndarray]) -> str:
    """Slope and correlation of the EF that is read on the EF that was asked for."""
    asked = [ASKED[k % len(ASKED)] for k in range(len(frames))]
    read: list[float] = []
    for begin in range(0, len(frames), 8):
        some = torch.stack([to_network(frame) for frame in frames[begin : begin + 8]])[:, None]
        generators = [torch.Generator().manual_seed(begin + k) for k in range(len(some))]
        made = pipeline(some, asked[begin : begin + 8], generator=generators, output_type="pt", return_dict=False)[0]
        read += reader(torch.as_tensor(made)).tolist()
    slope, _ = np.polyfit(asked, read, 1)
    return f"{slope:.2f} / {np.corrcoef(asked, read)[0, 1]:.2f}"


def named(pair: str) -> tuple[str, Path]:
    """NAME=DIR."""
    name, _, folder = pair.partition("=")
    return name, Path(folder)


def main() -> None:
    """Render, read, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--regressors", type=named, nargs="+", default=[], metavar="NAME=DIR")
    parser.add_argument("--bases", type=named, nargs="+", default=[], metavar="NAME=DIR")
    parser.add_argument("--reader", default="r2plus1d_small", help="regressor that reads what bases make")
    parser.add_argument("--patients", type=int, default=96)
    args = parser.parse_args()
    from pydicom import examples

    real = load_clip_file(examples.get_path("ybr_color"))
    families = {family: render_family(family, args.patients) for family in VIEW_FAMILIES}
    if args.regressors:
        print("| regressor | " + " | ".join(f"{family}: MAE / R2" for family in families) + " | real clip |")
        print("|---|" + "---|" * (len(families) + 1))
    for name, folder in args.regressors:
        network = load_regressor(str(folder))
        cells = []
        for _, clips, efs in families.values():
            found = np.array([prediction.ef for prediction in network.predict(clips)])
            r2 = 1 - ((found - efs) ** 2).mean() / efs.var()
            cells.append(f"{np.abs(found - efs).mean():.1f} / {r2:.2f}")
        print(f"| {name} | {' | '.join(cells)} | {network.predict([real])[0].ef:.0f} |")
    if not args.bases:
        return
    reader = load_regressor(args.reader)
    sources: dict[str, list[np.ndarray]] = {family: frames for family, (frames, _, _) in families.items()}
    sources["real clip"] = [real.pixels[k % real.num_frames] for k in range(0, 5 * 36, 5)]
    print("\n| base | " + " | ".join(f"{source}: slope / r" for source in sources) + " |")
    print("|---|" + "---|" * len(sources))
    for name, folder in args.bases:
        pipeline = EchoCascadePipeline.from_pretrained(folder, dtype=torch.float32)
        pipeline.set_progress_bar_config(disable=True)
        print(f"| {name} | {' | '.join(follow(pipeline, reader, frames) for frames in sources.values())} |")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
