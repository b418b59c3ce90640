"""Noise level and named scalars (EF, ...) as one vector per sample that modulates every block.

A scalar u in [0, 1] enters as Fourier features [u, sin(2^k pi u), cos(2^k pi u)], k = 0..5: a plain linear layer on a
raw number is what let earlier systems collapse to the middle of the EF range. A scalar that is not given (NaN) enters
as a learned vector of its own, which is also what classifier-free guidance drops it to.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

NUM_OCTAVES = 6
SCALAR_RANGES: dict[str, tuple[float, float]] = {"ef": (0.0, 100.0), "heart_rate": (30.0, 150.0), "phase": (0.0, 1.0)}
"""Every scalar condition that exists, with the range that maps to [0, 1].

`ef` is in per cent, `heart_rate` in beats per minute; `phase` is the share of a beat that has passed at the clip's
first frame, 0 at end-diastole.
"""


def read_scalar(name: str, value: Any, low: float, high: float, unit: str, frame: torch.Tensor) -> torch.Tensor:
    """One value for all frames (B, 1, S, S) or one for each, as (B,); None as NaN, "not given".

    Raises:
        ValueError: a value is outside `low` to `high`.
    """
    if value is None:
        return torch.full((len(frame),), math.nan, device=frame.device)
    given = torch.as_tensor(value, dtype=torch.float32, device=frame.device).reshape(-1).expand(len(frame))
    if not bool(((given >= low) & (given <= high)).all()):
        raise ValueError(f"{name} must lie within {low:g}-{high:g} {unit}, got {value}")
    return given


def fourier_features(u: torch.Tensor, octaves: int = NUM_OCTAVES) -> torch.Tensor:
    """Features of numbers: (B,) -> (B, 2 octaves + 1)."""
    angle = u[:, None] * (math.pi * 2.0 ** torch.arange(octaves, device=u.device))
    return torch.cat([u[:, None], angle.sin(), angle.cos()], dim=1)


class ScalarEmbedding(nn.Module):
    """One named scalar to a vector; NaN stands for "not given".

    Args:
        low: value that maps to 0.
        high: value that maps to 1.
        dim: width of the vector.
    """

    def __init__(self, low: float, high: float, dim: int) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.project = nn.Linear(2 * NUM_OCTAVES + 1, dim)
        self.absent = nn.Parameter(torch.zeros(dim))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, dim)."""
        given = ~value.isnan()
        u = (value.nan_to_num(self.low) - self.low) / (self.high - self.low)
        return torch.where(given[:, None], self.project(fourier_features(u)), self.absent)


class ConditionEmbedding(nn.Module):
    """Noise level, scalars, noise of the low-resolution clip and presence of the frame, mixed by a small MLP.

    Args:
        scalars: names from `SCALAR_RANGES` that this network listens to.
        dim: width of the result.
    """

    def __init__(self, scalars: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.noise = nn.Linear(2 * NUM_OCTAVES + 1, dim)
        self.lowres = nn.Linear(2 * NUM_OCTAVES + 1, dim)
        self.frame = nn.Embedding(2, dim)
        self.scalars = nn.ModuleDict({name: ScalarEmbedding(*SCALAR_RANGES[name], dim) for name in scalars})
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(
        self,
        c_noise: torch.Tensor,
        scalars: Mapping[str, torch.Tensor],
        lowres_sigma: torch.Tensor | None,
        frame_given: torch.Tensor,
    ) -> torch.Tensor:
        """Mix all conditions.

        Args:
            c_noise: (B,), ln(sigma) / 4, about -1.6..0.8.
            scalars: name -> (B,), in the scalar's own unit, NaN where not given; a name that is missing counts as not
                given.
            lowres_sigma: (B,), noise level of the low-resolution clip, or None at the base stage.
            frame_given: bool (B,).

        Returns:
            (B, dim).
        """
        vector = self.noise(fourier_features(c_noise / 2)) + self.frame(frame_given.long())
        if lowres_sigma is not None:
            vector = vector + self.lowres(fourier_features(lowres_sigma))
        for name, embed in self.scalars.items():
            vector = vector + embed(scalars.get(name, torch.full_like(c_noise, math.nan)))
        return self.mix(vector)
