"""Clips longer than a network has learnt: it sees them through windows that overlap, and the answers are blended.

    y(t) = sum_k w_k(t) y_k(t) / sum_k w_k(t),      w_k rises and falls as a squared sine over the overlap

Blending at every noise level, and not once at the end, makes neighbouring windows agree (Bar-Tal et al. 2023,
MultiDiffusion), and memory does not grow with the clip.
"""

import math
from collections.abc import Callable

import torch

OVERLAP = 0.375
"""Share of a window that the next one sees too; at 0.25 a quiet moment of the beat shows the seam."""


def window_starts(frames: int, window: int, overlap: int = 0) -> list[int]:
    """First frames of windows that cover a clip; neighbours share at least `overlap` frames, the last ends the clip.

    Raises:
        ValueError: the overlap leaves no way forward.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"an overlap must be at least 0 and less than the window of {window} frames, got {overlap}")
    last = max(0, frames - window)
    return [*range(0, last, window - overlap), last]


def blend_windows(run: Callable[[slice], torch.Tensor], frames: int, window: int, overlap: int) -> torch.Tensor:
    """Put a clip together from what `run` makes of each window.

    Args:
        run: frames of a window -> (B, C, T, H, W).
        frames: of the clip.
        window: frames seen at once.
        overlap: frames that neighbours share at least.

    Returns:
        (B, C, frames, H, W); a clip of one window is what `run` makes of it.
    """
    starts = window_starts(frames, window, overlap)
    if len(starts) == 1:
        return run(slice(0, frames))
    place = torch.arange(window)
    share = torch.minimum(place + 0.5, window - place - 0.5).clamp(max=overlap) / max(overlap, 1)
    ramp = torch.sin(0.5 * math.pi * share) ** 2 if overlap else torch.ones(window)
    total: torch.Tensor | None = None
    weight = torch.zeros(frames)
    for start in starts:
        cut = slice(start, start + window)
        made = run(cut)
        if total is None:
            total = made.new_zeros((*made.shape[:2], frames, *made.shape[3:]), dtype=torch.float32)
        total[:, :, cut] += ramp.to(made.device)[:, None, None] * made
        weight[cut] += ramp
    assert total is not None
    return total / weight.to(total.device)[:, None, None]
