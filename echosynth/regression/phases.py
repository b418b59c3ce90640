"""Moments of the heart beat, found in the volume of the ventricle."""

import torch
import torch.nn.functional as F


def find_phases(curve: torch.Tensor) -> torch.Tensor:
    """Frames of ED, Mid and ES by a volume curve (B, T): int64 (B, 3).

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
