"""What a scanner's clips look like, in numbers that need neither a network nor a label.

Every clip is measured by `measure_appearance` at 112x112 pixels and 8 Hz; its greys are kept as quantiles of the light
inside of the sector, so that only their order and spread count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from echosynth.errors import DatasetError
from echosynth.metrics.appearance import LIT, RATE, measure_appearance
from echosynth.video.clip import EchoClip
from echosynth.video.resample import resample_time, resize

TRAITS = (
    *("mean", "std", "p99", "ever_lit", "frame_correlation", "grain_x", "grain_y", "grain"),
    *("below_2", "below_48", "below_128"),
)
SIDE = 112
QUANTILES = np.linspace(0, 1, 33)
FEWEST = 4  # clips that make a scanner known


@dataclass(frozen=True, eq=False)
class ScannerProfile:
    """The clips of one scanner.

    Attributes:
        traits: (N, K), the numbers of `TRAITS` of every clip.
        greys: (N, 33), quantiles of the light in every clip's sector, 0-1.
        rates: (N,), Hz.
    """

    traits: np.ndarray
    greys: np.ndarray
    rates: np.ndarray

    def take(self, chosen: np.ndarray) -> "ScannerProfile":
        """Some of the clips."""
        return ScannerProfile(self.traits[chosen], self.greys[chosen], self.rates[chosen])

    def to_dict(self) -> dict[str, Any]:
        """Percentiles of everything, as JSON."""
        at = (5, 25, 50, 75, 95)
        traits = {name: np.percentile(self.traits[:, k], at).round(4).tolist() for k, name in enumerate(TRAITS)}
        return {
            "clips": len(self.traits),
            "percentiles": list(at),
            "fps": np.percentile(self.rates, at).round(2).tolist(),
            "traits": traits,
            "greys": self.greys.mean(0).round(4).tolist(),
        }


def profile_scanner(clips: Iterable[EchoClip]) -> ScannerProfile:
    """Measure clips of one scanner.

    Raises:
        DatasetError: fewer than four of them can be measured.
    """
    traits, greys, rates = [], [], []
    for clip in clips:
        try:
            frames = sample(clip)
            numbers = measure_appearance(frames)
        except ValueError:  # too short, or black: says nothing of the scanner
            continue
        traits.append([numbers[name] for name in TRAITS])
        greys.append(measure_greys(frames))
        rates.append(clip.fps)
    if len(traits) < FEWEST:
        raise DatasetError(f"{len(traits)} clips can be measured; a scanner is known from {FEWEST} of them on")
    return ScannerProfile(np.array(traits), np.array(greys), np.array(rates))


def sample(clip: EchoClip) -> np.ndarray:
    """A clip as it is measured: uint8 (T, 112, 112) at 8 Hz, or at its own rate where that is lower."""
    pixels = resample_time(clip.pixels, clip.fps, RATE) if clip.fps > RATE else clip.pixels
    return pixels if pixels.shape[-2:] == (SIDE, SIDE) else resize(pixels, SIDE)


def measure_greys(frames: np.ndarray) -> np.ndarray:
    """Quantiles of the light inside of the sector, 0-1: uint8 (T, H, W) -> (33,)."""
    inside = frames.max(0) > LIT
    quantiles: np.ndarray = np.quantile(frames[:, inside].astype(np.float64) / 255, QUANTILES)
    return quantiles


def map_greys(own: np.ndarray, wanted: np.ndarray) -> tuple[float, ...]:
    """The monotone grey map that takes greys of one kind to those of another.

    Args:
        own: quantiles of what is mapped, (33,).
        wanted: quantiles of what it shall look like, (33,).

    Returns:
        Light that is shown for the lights 0, 1/32, ..., 1; 0 stays 0 and 1 stays 1.
    """
    grid = np.linspace(0, 1, len(own))
    # Equal quantiles, e.g. of black, would make the map undefined there: the last of them counts.
    places, last = np.unique(own[::-1], return_index=True)
    shown = np.interp(grid, np.concatenate([[0], places, [1]]), np.concatenate([[0], wanted[::-1][last], [1]]))
    shown[0], shown[-1] = 0.0, 1.0
    return tuple(float(value) for value in np.maximum.accumulate(shown).round(4))


def describe_change(before: ScannerProfile, after: ScannerProfile, scanner: ScannerProfile) -> list[dict[str, Any]]:
    """How far the medians of two sets of phantoms are from a scanner's, in spreads of its clips, trait by trait."""
    spread = np.maximum(scanner.traits.std(0), 1e-3)
    middle = np.median(scanner.traits, 0)
    rows = []
    for k, name in enumerate(TRAITS):
        away: Sequence[float] = [
            float(abs(np.median(found.traits[:, k]) - middle[k]) / spread[k]) for found in (before, after)
        ]
        rows.append({"trait": name, "scanner": float(middle[k]), "before": away[0], "after": away[1]})
    return rows
