"""Noise level and named scalars (EF, ...) as one vector per sample that modulates every block.

A scalar u in [0, 1] enters as Fourier features [u, sin(2^k pi u), cos(2^k pi u)], k = 0..5: a plain linear layer on a
raw number is what let earlier systems collapse to the middle of the EF range. A scalar that is not given (NaN) enters
as a learned vector of its own, which is also what classifier-free guidance drops it to.
"""

import math
from collections.abc import Mapping

import torch
from torch import nn

from echosynth.diffusion.conditions import CONDITIONS

NUM_OCTAVES = 6


def apply_linear(layer: nn.Linear, features: torch.Tensor) -> torch.Tensor:
    """A linear layer of features that are computed in float32, whatever type the layer's weights have."""
    return layer(features.to(layer.weight.dtype))


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
        octaves: of its Fourier features; 0 for the plain number.
    """

    def __init__(self, low: float, high: float, dim: int, octaves: int = NUM_OCTAVES) -> None:
        super().__init__()
        self.low, self.high, self.octaves = low, high, octaves
        self.project = nn.Linear(2 * octaves + 1, dim)
        # A network that is given one more condition is at first the network that it was.
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        self.absent = nn.Parameter(torch.zeros(dim))

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """(B,) -> (B, dim)."""
        given = ~value.isnan()
        u = (value.nan_to_num(self.low) - self.low) / (self.high - self.low)
        return torch.where(given[:, None], apply_linear(self.project, fourier_features(u, self.octaves)), self.absent)


class ConditionEmbedding(nn.Module):
    """Noise level, scalars, noise of the low-resolution clip and presence of the frame, mixed by a small MLP.

    Args:
        scalars: names from `CONDITIONS` that this network is conditioned on.
        dim: width of the result.
        octaves: of the scalars' Fourier features, see `ScalarEmbedding`.
    """

    def __init__(self, scalars: tuple[str, ...], dim: int, octaves: int = NUM_OCTAVES) -> None:
        super().__init__()
        self.noise = nn.Linear(2 * NUM_OCTAVES + 1, dim)
        self.lowres = nn.Linear(2 * NUM_OCTAVES + 1, dim)
        self.frame = nn.Embedding(2, dim)
        ranges = {name: (CONDITIONS[name].low, CONDITIONS[name].high) for name in scalars}
        self.scalars = nn.ModuleDict({name: ScalarEmbedding(*bounds, dim, octaves) for name, bounds in ranges.items()})
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
        vector = apply_linear(self.noise, fourier_features(c_noise / 2)) + self.frame(frame_given.long())
        if lowres_sigma is not None:
            vector = vector + apply_linear(self.lowres, fourier_features(lowres_sigma))
        for name, embed in self.scalars.items():
            vector = vector + embed(scalars.get(name, torch.full_like(c_noise, math.nan)))
        return self.mix(vector)
