"""Compare ways to sample a cascade, a row for each: passes, solver, noise, guidance (docs/experiments/sampling.md).

    python scripts/compare_sampling.py "" "base.num_inference_steps=6" "sr2.num_inference_steps=3 sr2.noise_share=0.7"

A choice is any number of STAGE.FIELD=VALUE, of `StageSpec` or `EDMScheduler`; "" is the cascade as it is. The patients
are held-out phantoms. The first columns are of clips from end-diastole on with given timing, as `evaluate` pairs
them: flicker and motion (metrics/motion.py), grain (standard deviation of what a 3x3 mean leaves, over that of the true
clip), and the distance of the gate's EF from the EF that was asked for. The last columns are of frames at any moment
without timing, the default of `generate`: distance, bias, and standard deviation around the bias. The judge is not
asked, because what scores must not tune. Every choice samples the same patients by the same seeds, and each stage draws
noise of its own, so a choice for one stage leaves the noise of the others bit-identical and the rows are paired.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
import yaml

from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.cases import Case, PairedCase, paired_case, phantom_case
from echosynth.evaluation.pairs import find_cavity
from echosynth.metrics.paired import compare_pair
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_GATE, load_regressor
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip

FIRST_PATIENT = 1_000_000
COLUMNS = ("flicker", "grain", "SSIM", "first frame", "motion", "Dice", "gate off", "any moment: off", "bias", "std")


def grain(clip: EchoClip) -> float:
    """Standard deviation of the finest detail, grey levels."""
    pixels = torch.from_numpy(clip.pixels).float()[:, None]
    return float((pixels - F.avg_pool2d(pixels, 3, 1, 1))[..., 1:-1, 1:-1].std())


@contextmanager
def chosen(pipeline: EchoCascadePipeline, choice: str) -> Iterator[None]:
    """Sample by a choice inside the block."""
    before = [spec.to_dict() for spec in pipeline.stages]
    ladders = {spec.name: dict(getattr(pipeline, f"{spec.name}_scheduler").config) for spec in pipeline.stages}
    stages = {spec.name: spec.to_dict() for spec in pipeline.stages}
    for word in choice.split():
        key, _, value = word.partition("=")
        stage, _, field = key.partition(".")
        if field in StageSpec.__dataclass_fields__:
            stages[stage][field] = yaml.safe_load(value)
        else:
            getattr(pipeline, f"{stage}_scheduler").register_to_config(**{field: yaml.safe_load(value)})
    pipeline.register_to_config(stages=list(stages.values()))
    try:
        yield
    finally:
        pipeline.register_to_config(stages=before)
        for name, ladder in ladders.items():
            kept = {key: value for key, value in ladder.items() if not key.startswith("_")}
            getattr(pipeline, f"{name}_scheduler").register_to_config(**kept)


def measure(
    pair: PairedCase, any_moment: Case, seed: int, pipeline: EchoCascadePipeline, gate: EFRegressor
) -> list[float]:
    """A row of `COLUMNS` up to the last, with its sign in the last; NaN where there is nothing to measure."""
    case = pair.case
    timing = {"heart_rate": pair.heart_rate, "phase": 0.0}
    supported = {name: value for name, value in timing.items() if name in pipeline.supported_conditions}
    sampling, name = Sampling(conditions=supported), derive_seed(seed, "choice")
    clip = make_clip(pipeline, Start(case.frame), case.target_ef, name, sampling)
    found = [find_cavity(gate, made) for made in (clip, case.truth)]
    scores = compare_pair(clip.pixels, case.truth.pixels, case.frame, pair.cavity, pair.displacement, *found)
    free = make_clip(pipeline, Start(any_moment.frame), any_moment.target_ef, name, Sampling())
    off, astray = (
        read.ef - asked.target_ef for read, asked in zip(gate.predict([clip, free]), (case, any_moment), strict=True)
    )
    seen = (
        scores.flicker,
        grain(clip) / grain(case.truth),
        scores.ssim,
        scores.frame_ssim,
        scores.motion,
        scores.es_dice,
    )
    return [np.nan if value is None else float(value) for value in (*seen, abs(off), abs(astray), astray)]


def main() -> None:
    """Sample, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("choices", nargs="+", help='STAGE.FIELD=VALUE, several in quotes; "" for the cascade as it is')
    parser.add_argument("--model", default=DEFAULT_CASCADE)
    parser.add_argument("--gate", default=DEFAULT_GATE)
    parser.add_argument("--patients", type=int, default=24)
    args = parser.parse_args()
    pipeline, gate = load_cascade(args.model), load_regressor(args.gate)
    seeds = range(FIRST_PATIENT, FIRST_PATIENT + args.patients)
    length = pipeline.stages[-1].frames, pipeline.stages[-1].fps
    pairs = [(paired_case(seed, *length), phantom_case(seed, *length)) for seed in seeds]
    print("| choice | passes | " + " | ".join(COLUMNS) + " |")
    print("|---" * (2 + len(COLUMNS)) + "|")
    for choice in args.choices:
        with chosen(pipeline, choice):
            passes = sum(pipeline.passes().values())
            rows = np.array([measure(*cases, seed, pipeline, gate) for cases, seed in zip(pairs, seeds, strict=True)])
        numbers = " | ".join(f"{value:.2f}" for value in (*np.nanmean(rows, axis=0), rows[:, -1].std()))
        print(f"| {choice or 'as it is'} | {passes} | {numbers} |", flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
