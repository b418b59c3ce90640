"""How a set of clips looks, in numbers that need no network: grey levels, coherence in time, grain of the speckle.

Each is one number per clip; sets are compared by their percentiles. Grey levels are 0-255. The high-pass image is the
clip minus its Gaussian blur (sigma 2.5 pixels), inside the sector. Clips are compared at one frame rate, `RATE`.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

RATE = 8.0  # Hz of the clips that are measured
LIT = 6  # grey level above which a pixel is part of the picture


def measure_appearance(pixels: np.ndarray) -> dict[str, float]:
    """Measure one clip.

    Args:
        pixels: grey levels uint8 (T, H, W), T >= 2 frames at `RATE`.

    Returns:
        mean, std, p99: of all pixels; ever_lit: share of pixels that exceed 12 at some time; below_2, below_48,
        below_128: shares of pixels at most that bright; frame_correlation: of frames 1/8 s apart, over lit pixels;
        grain_x, grain_y: autocorrelation of the high-pass image one pixel along x and y; grain: its standard
        deviation.

    Raises:
        ValueError: the clip has fewer than two frames, or is black.
    """
    frames = pixels.astype(np.float32)
    if len(frames) < 2 or not (frames > LIT).any():
        raise ValueError("too short or black")
    lit = (frames[:-1] > LIT) | (frames[1:] > LIT)
    high = frames - ndimage.gaussian_filter(frames, (0, 2.5, 2.5))
    bright = ndimage.gaussian_filter(frames, (0, 2.5, 2.5)) > LIT
    return {
        "mean": float(frames.mean()),
        "std": float(frames.std()),
        "p99": float(np.percentile(frames, 99)),
        "ever_lit": float((frames.max(0) > 12).mean()),
        "frame_correlation": float(np.corrcoef(frames[:-1][lit], frames[1:][lit])[0, 1]),
        "grain_x": _neighbours(high, bright, 2),
        "grain_y": _neighbours(high, bright, 1),
        "grain": float(high[bright].std()),
        "below_2": float((frames <= 2).mean()),
        "below_48": float((frames <= 48).mean()),
        "below_128": float((frames <= 128).mean()),
    }


def _neighbours(image: np.ndarray, where: np.ndarray, axis: int) -> float:
    """Correlation of pixels with their next neighbour along an axis, where both count."""

    def cut(array: np.ndarray, part: slice) -> np.ndarray:
        return array[tuple(part if k == axis else slice(None) for k in range(array.ndim))]

    first, second = slice(None, -1), slice(1, None)
    both = cut(where, first) & cut(where, second)
    return float(np.corrcoef(cut(image, first)[both], cut(image, second)[both])[0, 1])


def percentiles(clips: Sequence[dict[str, float]], at: Sequence[float] = (5, 25, 50, 75, 95)) -> dict[str, list[float]]:
    """Percentiles over clips of every number of `measure_appearance`."""
    return {name: np.percentile([clip[name] for clip in clips], at).tolist() for name in clips[0]}
