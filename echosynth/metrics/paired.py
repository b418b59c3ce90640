"""A generated clip beside the truth it should be: the same patient, timing and conditioning frame, at the EF asked for.

The frame is end-diastolic and the timing is told, so both clips beat together and can be compared frame by frame.

    ssim          with the true clip, see similarity.py
    frame_ssim    of the clip's first frame with the conditioning frame: is it still this patient
    es_dice       2 |A and B| / (|A| + |B|) of the cavity at end-systole: a segmenter's in the generated clip, the
                  exact one of the truth
    flicker       see motion.py; 1 is as quiet as the truth
    motion        see motion.py; does the speckle move with the wall

`es_dice` and `motion` depend on a segmenter and on an optical flow: what these reach on the true clip stands beside
them as their ceiling.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echosynth.metrics.bootstrap import PatientBootstrap
from echosynth.metrics.motion import flicker, motion_agreement
from echosynth.metrics.similarity import compare_clips
from echosynth.video.clip import EchoClip

Segmenter = Callable[[EchoClip], np.ndarray | None]
"""The cavity at the end-systole that it finds in a clip, bool (H, W)."""


@dataclass(frozen=True)
class PairedScores:
    """One pair; None where a score is not defined or nobody can tell."""

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
    generated: EchoClip,
    truth: EchoClip,
    frame: np.ndarray,
    cavity: np.ndarray,
    displacement: np.ndarray,
    segment: Segmenter,
) -> PairedScores:
    """Score one pair.

    Args:
        generated: clip.
        truth: clip of the same frames.
        frame: conditioning frame uint8 (H, W).
        cavity: true cavity of the left ventricle at end-systole, bool (H, W).
        displacement: of the truth's tissue to its first frame, (T, 2, H, W), pixels, NaN outside the sector.
        segment: finds the cavity.
    """

    def overlap(clip: EchoClip) -> float | None:
        found = segment(clip)
        return None if found is None else dice(found, cavity)

    def still(pixels: np.ndarray) -> EchoClip:
        return EchoClip(pixels[None], truth.fps)

    return PairedScores(
        ssim=compare_clips(generated, truth).ssim,
        frame_ssim=compare_clips(still(generated.pixels[0]), still(frame)).ssim,
        es_dice=overlap(generated),
        es_dice_ceiling=overlap(truth),
        flicker=flicker(generated.pixels, truth.pixels, displacement),
        motion=motion_agreement(generated.pixels, displacement),
        motion_ceiling=motion_agreement(truth.pixels, displacement),
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
