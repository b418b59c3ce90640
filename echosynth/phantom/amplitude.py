"""Amplitudes: decibels as factors, and decays that stop before floats lose their speed.

A float32 below 1e-38 has no full mantissa, and processors compute with such numbers tens of times more slowly. Most of
a picture is far from any one structure, so decays are held at e^-60: nothing that an eye or a level of grey could tell.
"""

import math

import torch

FAINTEST = 60.0
DECIBEL = math.log(10.0) / 20.0


def decay(x: torch.Tensor) -> torch.Tensor:
    """exp(-x), for x >= 0 where it matters."""
    return torch.exp(-x.clamp_max(FAINTEST))


def edge(x: torch.Tensor, softness: float) -> torch.Tensor:
    """1 where x is well above 0, 0 where it is well below; `softness` in the unit of x."""
    return torch.sigmoid((x / softness).clamp(-FAINTEST, FAINTEST))


def from_decibel(level: torch.Tensor) -> torch.Tensor:
    """Factor of an amplitude: 10^(level / 20)."""
    return torch.exp(DECIBEL * level)


def raised(x: torch.Tensor, exponent: torch.Tensor | float) -> torch.Tensor:
    """X to any exponent above 0, for x in [0, 1e6]; 0 stays 0 within 1e-9 to that exponent."""
    return torch.exp(exponent * x.clamp_min(1e-9).log())
