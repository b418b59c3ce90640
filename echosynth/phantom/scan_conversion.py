"""From the sector's polar grid to the picture: where each pixel lies, and what the machine shows beside the sector.

Lengths in cm, angles in degrees, picture coordinates as shares of the side.
"""

import math

import torch

from echosynth.phantom.amplitude import decay
from echosynth.phantom.motion import Fields


def _pixel_centres(view: Fields, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the pixels' centres, (size, size) each.

    The published mask is in 112-pixel units; so is everything here, whatever the size.
    """
    axis = (torch.arange(size, device=view["depth"].device) + 0.5) * (112.0 / size) - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return y, x


def scan_grid(view: Fields, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel lies in the polar data, and whether it lies in the sector.

    Args:
        view: fields of `View` as (B, 1, 1) tensors.
        size: side of the picture, pixels.

    Returns:
        Sampling grid (B, size, size, 2) in grid_sample's [-1, 1] (beam, range), and the mask (B, size, size), float
        0/1.
    """
    y, x = _pixel_centres(view, size)
    dx, dy = x - 112.0 * view["apex_x"], y - 112.0 * view["apex_y"]
    radius = (dx * dx + dy * dy).sqrt() / (112.0 * view["radius"])
    angle = torch.atan2(dx, dy)
    half = view["half_angle"] * (math.pi / 180.0)
    inside = (radius < 1.0) & (angle.abs() < half) & (dy > 0)
    echonet_mask = ((x + y > 67.0) & (x - y < 67.0)) | (view["corner_cut"] < 0.5)
    grid = torch.stack([angle / half, radius * 2.0 - 1.0], dim=-1)
    return grid, (inside & echonet_mask).float()


def pixel_positions(view: Fields, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each pixel's centre lies before the probe, cm: x to the right, z down, (B, size, size) each.

    Args:
        view: fields of `View` as (B, 1, 1) tensors.
        size: side of the picture, pixels.
    """
    y, x = _pixel_centres(view, size)
    pitch = view["depth"] / (112.0 * view["radius"])
    return (x - 112.0 * view["apex_x"]) * pitch, (y - 112.0 * view["apex_y"]) * pitch


def scanner_marks(view: Fields, size: int) -> torch.Tensor:
    """Depth ticks, grey bar and probe mark that the crop left beside the sector: (B, size, size) in 0-1."""
    y, x = _pixel_centres(view, size)
    across, along = x - y - 62.0, x + y
    strength = view["marks"]
    bar = decay(((across - 1.0) / 1.0) ** 2) * (along > 118.0) * (along < 118.0 + 30.0 * strength)
    dot = decay(((x - 72.0) / 1.3) ** 2 + ((y - 4.0) / 1.3) ** 2)
    ticks = decay(((x - 108.5) / 1.0) ** 2) * ((y * 112.0 / (10.0 * view["depth"]) % 1.0) < 0.12)
    first_kind = (strength * 10.0 % 1.0) < 0.5
    marks = torch.where(first_kind, torch.maximum(0.75 * bar, 0.7 * dot), torch.maximum(0.8 * ticks, 0.7 * dot))
    return marks * (strength > 0)
