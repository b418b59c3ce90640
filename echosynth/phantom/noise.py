"""Random numbers that depend on (seed, position) alone, never on order, chunking, batch or device.

    hash = SplitMix64(seed * golden + counter), normals by Box-Muller from its two halves

Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators" (the finaliser).
"""

import functools
import math

import torch
import torch.nn.functional as F

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed 64-bit integer
_MIX1 = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX2 = -7723592293110705685  # 0x94D049BB133111EB


def _shift_right(h: torch.Tensor, bits: int) -> torch.Tensor:
    """Shift as if unsigned: torch shifts int64 arithmetically."""
    return (h >> bits) & ((1 << (64 - bits)) - 1)


def _mix(h: torch.Tensor) -> torch.Tensor:
    h = (h ^ _shift_right(h, 30)) * _MIX1
    h = (h ^ _shift_right(h, 27)) * _MIX2
    return h ^ _shift_right(h, 31)


def counter_uniform_pair(seeds: torch.Tensor, stream: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two independent uniforms in (0, 1) per position.

    Args:
        seeds: int64 (B,), one per patient, view or clip.
        stream: which field of that seed; fields of different streams are independent.
        count: number of positions N.

    Returns:
        Two float32 tensors (B, N).
    """
    key = _mix(seeds * _GOLDEN + stream)[:, None]
    h = _mix(key + torch.arange(count, device=seeds.device) * _GOLDEN)
    # 24 bits each: all that float32 can hold without rounding to 1.
    high = _shift_right(h, 40).float()
    low = (h & 0xFFFFFF).float()
    return (high + 0.5) / (1 << 24), (low + 0.5) / (1 << 24)


def counter_normal(seeds: torch.Tensor, stream: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal field of a given shape for every seed: float32 (B, *shape)."""
    count = math.prod(shape)
    half = (count + 1) // 2
    u1, u2 = counter_uniform_pair(seeds, stream, half)
    radius = (-2.0 * u1.log()).sqrt()
    angle = 2.0 * math.pi * u2
    both = torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)
    return both[:, :count].reshape(len(seeds), *shape)


@functools.cache
def _enlarge(few: int, many: int) -> torch.Tensor:
    """Matrix (many, few) that interpolates `few` points to `many`, cubic, ends on ends."""
    return F.interpolate(torch.eye(few)[None, None], size=(many, few), mode="bicubic", align_corners=True)[0, 0]


def smooth_field(seeds: torch.Tensor, stream: int, shape: tuple[int, int], cell: tuple[float, float]) -> torch.Tensor:
    """Smooth random field of zero mean and unit standard deviation: float32 (B, H, W).

    Args:
        seeds: int64 (B,).
        stream: which field of that seed.
        shape: (H, W) in grid points.
        cell: correlation length in grid points, along each axis.
    """
    height, width = shape
    coarse = (max(2, int(height / cell[0])) + 3, max(2, int(width / cell[1])) + 3)
    field = counter_normal(seeds, stream, coarse)
    # Bicubic interpolation is separable: two small matrix products instead of sixteen taps a point.
    field = _enlarge(coarse[0], height).to(field) @ field @ _enlarge(coarse[1], width).to(field).T
    return field / field.std(dim=(1, 2), keepdim=True).clamp_min(1e-3)
