"""Phantoms that look like a scanner's clips: of many patients those whose pictures are nearest, and a grey map."""

from collections.abc import Sequence

import numpy as np

from echosynth.metrics.appearance import RATE, measure_appearance
from echosynth.phantom.kinds import ViewFamily
from echosynth.phantom.population import sample_patient
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view
from echosynth.progress import SILENT, Progress
from echosynth.training.adaptation.scanner_profile import TRAITS, ScannerProfile, measure_greys

FRAMES = 5  # of a candidate, at 8 Hz
TYPICAL_EF = 50.0  # of a candidate; the traits hardly depend on it
UNMATCHED = ("mean", "below_2", "below_48", "below_128", "p99", "std")
"""Traits of the grey map alone, which is matched afterwards; they count half."""


def profile_phantoms(seeds: Sequence[int], family: ViewFamily, progress: Progress = SILENT) -> ScannerProfile:
    """Measure phantom patients as their training clips will look, before any grey map."""
    traits, greys = [], []
    with progress.task(len(seeds), "looking at phantoms") as task:
        for seed in seeds:
            patient = sample_patient(seed)
            phantom = Phantom([patient], [sample_view(seed, patient.long_axis, family)], [seed])
            frames = phantom.render([TYPICAL_EF], FRAMES, RATE, [seed % 7 / 7])[0][0].numpy()
            numbers = measure_appearance(frames)
            traits.append([numbers[name] for name in TRAITS])
            greys.append(measure_greys(frames))
            task.advance()
    return ScannerProfile(np.array(traits), np.array(greys), np.full(len(seeds), RATE))


def choose_alike(scanner: ScannerProfile, candidates: ScannerProfile, count: int) -> np.ndarray:
    """Which candidates look most like a scanner's clips.

    Each clip in turn takes the nearest candidate that is left, so that the chosen ones are as different as the
    scanner's clips are.

    Args:
        scanner: the clips.
        candidates: phantoms.
        count: how many, at most all.

    Returns:
        Numbers of candidates, int64 (count,), none twice.
    """
    spread = np.maximum(scanner.traits.std(0), 0.5 * candidates.traits.std(0)) + 1e-6
    weight = np.array([0.5 if name in UNMATCHED else 1.0 for name in TRAITS])
    far = (((scanner.traits[:, None] - candidates.traits[None]) / spread) ** 2 * weight).sum(-1)
    order = np.argsort(far, axis=1, kind="stable")
    free, place = np.ones(far.shape[1], bool), np.zeros(len(far), int)
    chosen: list[int] = []
    while len(chosen) < min(count, far.shape[1]):
        clip = len(chosen) % len(far)
        while not free[order[clip, place[clip]]]:
            place[clip] += 1
        pick = int(order[clip, place[clip]])
        free[pick] = False
        chosen.append(pick)
    return np.array(chosen)
