"""A pair of an evaluation: clips of phantom patients, generated with their timing, and the true counterfactuals."""

from dataclasses import replace

import numpy as np
import torch

from echosynth.augmentation.plan import check_target_ef
from echosynth.augmentation.sampling import Sampling, Start, make_clip
from echosynth.data.outlines import fill_polygon
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.evaluation.cases import PhantomTest, paired_case
from echosynth.evaluation.records import Pair
from echosynth.metrics.paired import compare_pair
from echosynth.regression.base import EFRegressor
from echosynth.runtime import one_thread
from echosynth.seeding import derive_seed
from echosynth.video.clip import EchoClip


def measure_pair(
    test: PhantomTest, number: int, cascade: EchoCascadePipeline, segmenter: EFRegressor, sampling: Sampling
) -> Pair:
    """Generate and score the pair of one patient of a test.

    Args:
        test: the patients.
        number: which, from 0.
        cascade: generates.
        segmenter: finds the cavity, if it is a regressor that finds borders.
        sampling: how to generate; the timing is the patient's own, as far as the cascade supports these conditions.
    """
    last = cascade.stages[-1]
    pair = paired_case(test.first_seed + number, last.frames, last.fps, views=test.views)
    case = pair.case
    timing = {"heart_rate": pair.heart_rate, "phase": 0.0}
    supported = {name: value for name, value in timing.items() if name in cascade.supported_conditions}
    seed_of_clip = derive_seed(sampling.seed, f"{case.patient}_pair", 0)
    target, timed = check_target_ef(case.target_ef), replace(sampling, conditions=supported)
    clip = make_clip(cascade, Start(case.frame), target, seed_of_clip, timed)
    with one_thread():
        found = [find_cavity(segmenter, c) for c in (clip, case.truth)]
    scores = compare_pair(clip.pixels, case.truth.pixels, case.frame, pair.cavity, pair.displacement, *found)
    return Pair(patient=case.patient, target_ef=case.target_ef, scores=scores)


def find_cavity(regressor: EFRegressor, clip: EchoClip) -> np.ndarray | None:
    """Cavity at end-systole in a clip's first window, bool (H, W), by a regressor that finds borders; else None."""
    with torch.no_grad():
        details = regressor(regressor.windows(clip)[:1].to(regressor.device), details=True)
    if details.landmarks is None:
        return None
    chords = details.landmarks[0, 1, 0, 1:].cpu().numpy().astype(float)
    corners = np.concatenate([chords[:, 0], chords[::-1, 1]]) * clip.pixels.shape[1] - 0.5
    return fill_polygon(corners, (clip.pixels.shape[1], clip.pixels.shape[2]))
