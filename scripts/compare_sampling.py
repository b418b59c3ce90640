"""How a cascade's last stage is best sampled: one row for every choice of passes, noise in common and lowest level.

    python scripts/compare_sampling.py --steps 2 3 4 --noise-share 0.7 0.95 --sigma-min 0.002 0.12 [--model NAME|DIR]

Held-out phantom patients from end-diastole on, with their timing told, as `evaluate` pairs them; the stages before are
sampled once a patient. Beside flicker and motion (evaluation/motion.py): grain, the spread of what a 3x3 mean leaves,
over that of the true clip; and how far the judge reads the clips from the EF that was asked for.
"""

import argparse
import itertools
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from echosynth.commands.evaluation_cases import paired_case
from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.paired import compare_pair
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_JUDGE, load_regressor
from echosynth.seeding import make_generator
from echosynth.video.clip import EchoClip, from_network, to_network

FIRST_PATIENT = 1_000_000
Choice = tuple[int, float, float]
COLUMNS = ("flicker", "grain", "SSIM", "first frame", "motion", "judge off")


def grain(clip: EchoClip) -> float:
    """Spread of the finest detail, grey levels."""
    pixels = torch.from_numpy(clip.pixels).float()[:, None]
    return float((pixels - F.avg_pool2d(pixels, 3, 1, 1))[..., 1:-1, 1:-1].std())


def measure_patient(
    seed: int, pipeline: EchoCascadePipeline, judge: EFRegressor, choices: list[Choice]
) -> list[list[float]]:
    """A row of `COLUMNS` for every choice, NaN where there is nothing to measure."""
    *before, last = pipeline.stages
    pair = paired_case(seed, last.frames, last.fps)
    case = pair.case
    frame = to_network(case.frame)[None, None]
    told = {"ef": case.target_ef, "heart_rate": pair.heart_rate, "phase": 0.0}
    scalars = {name: torch.tensor([value]) for name, value in told.items()}

    def run(spec: object, clip: torch.Tensor | None) -> torch.Tensor:
        generator = make_generator(seed, getattr(spec, "name", ""))
        return pipeline._run_stage(spec, clip, frame, scalars, generator, lambda *_: None)  # type: ignore[arg-type]

    earlier: torch.Tensor | None = None
    for spec in before:
        earlier = run(spec, earlier)
    scheduler, rows = getattr(pipeline, f"{last.name}_scheduler"), []
    for steps, share, lowest in choices:
        scheduler.register_to_config(sigma_min=lowest)
        made = run(replace(last, num_inference_steps=steps, noise_share=share), earlier)
        clip = EchoClip(from_network(made[0, 0].clamp(-1, 1)), last.fps)
        scores = compare_pair(clip, case.truth, case.frame, pair.cavity, pair.displacement, lambda _: None)
        off = judge.predict([clip])[0].ef - case.target_ef
        row = (scores.flicker, grain(clip) / grain(case.truth), scores.ssim, scores.frame_ssim, scores.motion, abs(off))
        rows.append([np.nan if value is None else float(value) for value in row])
    return rows


def main() -> None:
    """Sample, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default=DEFAULT_CASCADE)
    parser.add_argument("--judge", default=DEFAULT_JUDGE)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--steps", type=int, nargs="+", required=True)
    parser.add_argument("--noise-share", type=float, nargs="+", required=True)
    parser.add_argument("--sigma-min", type=float, nargs="+", required=True)
    args = parser.parse_args()
    pipeline, judge = load_cascade(args.model), load_regressor(args.judge)
    choices = list(itertools.product(args.steps, args.noise_share, args.sigma_min))
    seeds = range(FIRST_PATIENT, FIRST_PATIENT + args.patients)
    with torch.no_grad():
        rows = np.array([measure_patient(seed, pipeline, judge, choices) for seed in seeds])
    print("| passes | noise in common | lowest sigma | " + " | ".join(COLUMNS) + " |")
    print("|---" * (3 + len(COLUMNS)) + "|")
    for (steps, share, lowest), means in zip(choices, np.nanmean(rows, axis=0), strict=True):
        print(f"| {steps} | {share:g} | {lowest:g} | " + " | ".join(f"{value:.3f}" for value in means) + " |")


if __name__ == "__main__":
    main()
