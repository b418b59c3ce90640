"""Cut a clip to a regressor's input contract: which windows are read, and what the clip cannot give.

    None      half a length apart, the last one at the clip's end
    N         so many, evenly spread over the clip; 1 is the one in its middle   (CoReEcho's test reads 3)
    "all"     one from every frame on                                            (EchoNet-Dynamic's "all clips")
    around    one centred on each of some moments, as far as the clip reaches    (beat by beat)

Shapes: uint8 (T, H, W) in, (T', size, size) out. Windows are given by their first frames, and a caller cuts them a few
at a time, so that the windows of a long clip are never in memory together.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from echosynth.video.clip import EchoClip
from echosynth.video.resample import resample_time, resize

Coverage = int | Literal["all"] | None
SLOW = 0.9  # share of the contract's frame rate below which a clip counts as too slow


def count_instants(clip: EchoClip, fps: float) -> int:
    """Number of frames of a clip at another frame rate; the last frame lies (n - 1) / fps after the first."""
    return int((clip.num_frames - 1) / clip.fps * fps + 1e-6) + 1


def fit_pixels(clip: EchoClip, fps: float, frames: int, side: int) -> np.ndarray:
    """The whole clip at a contract's rate and size, at least one window long.

    A clip shorter than that is played forwards and backwards until it is long enough, which keeps hearts beating where
    padding would stop them.
    """
    pixels = resample_time(clip.pixels, clip.fps, fps, count_instants(clip, fps))
    if pixels.shape[-1] != side or pixels.shape[-2] != side:
        pixels = resize(pixels, side)
    if len(pixels) < frames:
        there_and_back = np.concatenate([pixels, pixels[::-1][1:-1]]) if len(pixels) > 2 else pixels
        pixels = np.resize(there_and_back, (frames, *pixels.shape[1:]))
    return pixels


def choose_starts(last: int, frames: int, coverage: Coverage = None) -> list[int]:
    """First frames of windows.

    Args:
        last: first frame of the last window that the clip holds.
        frames: of a window.
        coverage: see the module; of more windows than there are, all are taken.

    Raises:
        ValueError: a number of windows is below 1.
    """
    if coverage == "all":
        return list(range(last + 1))
    if coverage is None:
        return sorted({min(last, k * (frames // 2)) for k in range(last // (frames // 2) + 2)})
    if coverage < 1:
        raise ValueError(f"at least one window is looked at, not {coverage}")
    return [last // 2] if coverage == 1 else sorted({round(s) for s in np.linspace(0, last, coverage)})


def choose_around(last: int, frames: int, fps: float, moments: Sequence[float]) -> list[int]:
    """First frames of the windows around moments, s."""
    return [min(last, max(0, round(moment * fps) - frames // 2)) for moment in moments]


def find_violations(clip: EchoClip, fps: float, frames: int, size: int) -> list[str]:
    """What a contract asks for and a clip cannot give, each with what is done instead."""
    height, width = clip.pixels.shape[1:]
    found = []
    if clip.fps < SLOW * fps:
        found.append(f"slower than the {fps:g} frames/s that it wants: frames between are blended")
    if clip.duration_s < frames / fps - 1e-6:
        found.append(f"shorter than a window of {frames / fps:.2g} s: played forwards and backwards")
    if min(height, width) < size:
        found.append(f"smaller than the {size}x{size} pixels that it wants: enlarged")
    if height != width:
        found.append("not square: squeezed into a square")
    return found
