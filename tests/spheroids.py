"""Hearts whose volume is known in closed form."""

import torch

from echosynth.cardiac.landmarks import CHORDS


def draw_spheroid(length: float, width: float) -> torch.Tensor:
    """Landmarks float64 (21, 2, 2) of an upright spheroid, apex up, shares of the picture's side."""
    z = (torch.arange(CHORDS, dtype=torch.float64) + 0.5) / CHORDS
    half = width / 2 * (4 * z * (1 - z)).sqrt()
    left, right = (torch.stack([0.5 + sign * half, 0.1 + length * z], -1) for sign in (-1, 1))
    axis = torch.tensor([[[0.5, 0.1], [0.5, 0.1 + length]]], dtype=torch.float64)
    return torch.cat([axis, torch.stack([left, right], 1)])
