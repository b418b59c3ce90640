"""End-diastole, end-systole and beats, found in the volume curve of the ventricle."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from echosynth.regression.base import EFRegressor
from echosynth.regression.windows import count_instants
from echosynth.video.clip import EchoClip

SHORTEST_BEAT = 0.3  # s, 200 beats a minute
STILL = 0.02  # share of the volume: a curve that varies less has no beats


@dataclass(frozen=True)
class Beat:
    """One beat of a clip.

    Attributes:
        ed: end-diastole, s from the clip's first frame.
        es: the end-systole after it.
    """

    ed: float
    es: float


def find_phases(curve: torch.Tensor) -> torch.Tensor:
    """Frames of ED, Mid and ES in a volume curve (B, T): int64 (B, 3).

    The curve is smoothed over three frames first. ED is its largest value, ES the smallest after it, or before it where
    the window ends too soon; Mid lies half-way between.
    """
    smooth = F.avg_pool1d(F.pad(curve[:, None], (1, 1), mode="replicate"), 3, 1)[:, 0]
    ed = smooth.argmax(1)
    frames = torch.arange(curve.shape[1], device=curve.device)
    after = torch.where(frames >= ed[:, None], smooth, torch.inf)
    late = after.argmin(1)
    span = smooth.amax(1) - smooth.amin(1)
    whole = after.amin(1) <= smooth.amin(1) + 0.1 * span
    es = torch.where(whole, late, smooth.argmin(1))
    return torch.stack([ed, (ed + es) // 2, es], dim=1)


@torch.no_grad()
def read_curve(model: EFRegressor, clip: EchoClip) -> np.ndarray:
    """Volume at every instant of a whole clip, at the regressor's frame rate; windows that overlap are averaged.

    Raises:
        ValueError: the regressor predicts no curve.
    """
    c = model.contract
    count = count_instants(clip, c.fps)
    last = max(count, c.frames) - c.frames
    total, seen = np.zeros(last + c.frames), np.zeros(last + c.frames)
    for k, window in enumerate(window for part in model.iter_windows(clip) for window in part.split(1)):
        curve = model(window.to(model.device), details=True).curve
        if curve is None:
            raise ValueError(f"a {type(model).__name__} reads no volume curve")
        start = min(last, k * (c.frames // 2))
        total[start : start + c.frames] += curve[0].cpu().numpy()
        seen[start : start + c.frames] += 1
    curve_all: np.ndarray = (total / seen)[:count]
    return curve_all


def find_beats(model: EFRegressor, clip: EchoClip) -> list[Beat]:
    """Whole beats of a clip, by a regressor that predicts volumes; see `split_beats`."""
    rate = model.contract.fps
    return [Beat(ed / rate, es / rate) for ed, es in split_beats(read_curve(model, clip), rate)]


def split_beats(curve: np.ndarray, rate: float) -> list[tuple[int, int]]:
    """Frames of end-diastole and the end-systole after it, for every beat of a volume curve (T,) at `rate` Hz.

    The range is from the 2 % to the 98 % quantile of the smoothed curve. A beat has an end-diastole above 60 % of the
    range and then an end-systole below 40 % of it; the next rise above 60 % ends the beat.
    """
    smooth = np.convolve(np.pad(curve, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    low, high = np.quantile(smooth, [0.02, 0.98])
    if high - low < STILL * high:
        return []
    filled, emptied = low + 0.6 * (high - low), low + 0.4 * (high - low)
    beats: list[tuple[int, int]] = []
    ed = es = None
    for t, volume in enumerate(smooth):
        if volume >= filled and es is not None:  # the next beat fills
            beats, ed, es = [*beats, (ed, es)], None, None  # type: ignore[list-item]
        if volume >= filled and (ed is None or volume >= smooth[ed]):
            ed = t
        if volume <= emptied and ed is not None and (es is None or volume < smooth[es]):
            es = t
    if es is not None and es < len(smooth) - 1:
        beats.append((ed, es))  # type: ignore[arg-type]
    return [beat for k, beat in enumerate(beats) if k == 0 or (beat[1] - beats[k - 1][1]) / rate >= SHORTEST_BEAT]
