"""A generated clip against the true counterfactual of the same patient, timing and conditioning frame.

The conditioning frame is end-diastolic and the generator is conditioned on the timing, so both clips have the same
phase at every frame and can be compared frame by frame.

    ssim          with the true clip, see similarity.py
    frame_ssim    of the clip's first frame with the conditioning frame: similarity to the patient
    es_dice       2 |A and B| / (|A| + |B|) of the cavity at end-systole: a segmenter's in the generated clip and the
                  exact one of the truth
    flicker       see motion.py; 1 is as quiet as the truth
    motion        see motion.py; agreement of the speckle's motion with the wall's

`es_dice` and `motion` depend on a segmenter and on an optical flow. Their ceilings are the scores of the true clip.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echosynth.metrics.bootstrap import PatientBootstrap
from echosynth.metrics.motion import flicker, motion_agreement
from echosynth.metrics.similarity import compare_clips


@dataclass(frozen=True)
class PairedScores:
    """Scores of one pair; None where a score is not defined or the segmenter finds no cavity."""

    ssim: float
    frame_ssim: float
    es_dice: float | None
    es_dice_ceiling: float | None
    flicker: float | None
    motion: float | None
    motion_ceiling: float | None


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Overlap of two masks, 0 to 1; 1 for two empty ones."""
    total = int(one.sum()) + int(two.sum())
    return 2 * int((one & two).sum()) / total if total else 1.0


def compare_pair(
    generated: np.ndarray,
    truth: np.ndarray,
    frame: np.ndarray,
    cavity: np.ndarray,
    displacement: np.ndarray,
    segmented: np.ndarray | None = None,
    segmented_truth: np.ndarray | None = None,
) -> PairedScores:
    """Score one pair.

    Args:
        generated: clip, grey levels uint8 (T, H, W).
        truth: the true clip, of the same shape and timing.
        frame: conditioning frame uint8 (H, W).
        cavity: true cavity of the left ventricle at end-systole, bool (H, W).
        displacement: of the truth's tissue to its first frame, (T, 2, H, W), pixels, NaN outside the sector.
        segmented: cavity at end-systole that a segmenter finds in the generated clip, bool (H, W); None for none.
        segmented_truth: the same in the true clip.
    """
    return PairedScores(
        ssim=compare_clips(generated, truth).ssim,
        frame_ssim=compare_clips(generated[:1], frame[None]).ssim,
        es_dice=None if segmented is None else dice(segmented, cavity),
        es_dice_ceiling=None if segmented_truth is None else dice(segmented_truth, cavity),
        flicker=flicker(generated, truth, displacement),
        motion=motion_agreement(generated, displacement),
        motion_ceiling=motion_agreement(truth, displacement),
    )


def summarise_pairs(
    scores: Sequence[PairedScores], patients: Sequence[str], n_bootstrap: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Return means over the pairs that have a score, with 95 % intervals by patient bootstrap, as a dict for JSON."""
    if not scores:
        return {"n": 0}
    names = list(asdict(scores[0]))
    values = np.array([[np.nan if v is None else v for v in asdict(score).values()] for score in scores], float)
    known = ~np.isnan(values)
    bootstrap = PatientBootstrap.draw(patients, n_bootstrap, seed)
    sums = bootstrap.draw_sums(np.column_stack([np.where(known, values, 0), known]))
    result: dict[str, Any] = {"n": len(scores), "ci": {}}
    for column, name in enumerate(names):
        count = int(known[:, column].sum())
        result[name] = float(values[known[:, column], column].mean()) if count else None
        if count == len(scores) and bootstrap.n_patients > 1:
            result["ci"][name] = list(bootstrap.interval(sums[:, column] / sums[:, column + len(names)]))
    return result
