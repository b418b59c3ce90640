"""How long each frame of an animation is shown, in whole ticks of its format: 1/100 s in GIF, 1/1000 s in WebP.

Ends of frames are rounded, not frames, so that the length of the whole stays right: 32 Hz in 1/100 s is 3, 3, 3, 4, ...
Reading turns that round: the frame rate is the simplest one whose frames end at these ticks.
"""

import math

import numpy as np

GIF_TICKS = 100.0
WEBP_TICKS = 1000.0
LARGEST_DENOMINATOR = 100  # of a frame rate that counts as simple


def frame_delays(num_frames: int, fps: float, ticks: float = GIF_TICKS, shortest: int = 1) -> list[int]:
    """Ticks of every frame; their running sum is within half a tick of the true time, unless `shortest` is longer.

    Args:
        num_frames: frames.
        fps: Hz.
        ticks: in a second.
        shortest: delay that a player keeps to (most take a GIF's delay of 1 for 10).
    """
    ends = np.rint(np.arange(num_frames + 1) * ticks / fps).astype(int)
    return [max(shortest, int(delay)) for delay in np.diff(ends)]


def read_delays(delays: np.ndarray, ticks: float = GIF_TICKS) -> tuple[float, np.ndarray]:
    """Frame rate in Hz, and for how many periods of it each frame is shown: writers merge equal neighbours into one.

    Args:
        delays: ticks of every frame, (T,), all above 0.
        ticks: in a second.

    Returns:
        The rate and the periods (T,). Delays that fit no constant rate give their mean rate.
    """
    if (delays == delays[0]).all():
        return ticks / float(delays[0]), np.ones(len(delays), int)
    for excess in (1.0, 0.75, 0.5, 0.25, 0.0):  # rounding makes the shortest delay up to one tick too short
        periods = _count_periods(delays, float(delays.min()) + excess)
        frames, ends = periods.cumsum() * ticks, delays.cumsum()
        low, high = float((frames / (ends + 0.5)).max()), float((frames / (ends - 0.5)).min())
        for denominator in range(1, LARGEST_DENOMINATOR + 1):
            if (numerator := math.ceil(low * denominator)) <= high * denominator:
                return numerator / denominator, periods
    return float(ticks * periods.sum() / delays.sum()), periods


def _count_periods(delays: np.ndarray, period: float) -> np.ndarray:
    for _ in range(3):  # the mean of the periods that were found is nearer each time
        periods = np.maximum(1, np.rint(delays / period)).astype(int)
        period = float(delays.sum() / periods.sum())
    return periods
