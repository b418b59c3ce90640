"""The endocardium as a reader would trace it, exactly: the long axis and twenty chords, in pixels of the picture."""

import torch

from echosynth.phantom.motion import disc_centres, disc_widths
from echosynth.phantom.render import Phantom, Truth


def trace_contours(phantom: Phantom, truth: Truth) -> tuple[torch.Tensor, torch.Tensor]:
    """Trace every frame.

    Returns:
        Float64 long axes (B, T, 2, 2), apex then middle of the annulus, and chords (B, T, 20, 2, 2) from apex to base,
        septal end then lateral end; points are (x, y) in pixels, whole numbers on pixel centres.
    """
    septal, lateral = disc_widths(phantom.patient, truth.motion.narrowing, truth.cycle.ejecting)
    length = truth.motion.length[..., None]
    z = disc_centres(length)
    bow = phantom.patient["bow"].double()[:, None, None] * 4 * z * (1 - z)
    pose = [v[..., None] for v in (truth.pose.tilt, truth.pose.x, truth.pose.z)]
    view = {name: phantom.view[name].double()[:, None, None] for name in ("depth", "radius", "apex_x", "apex_y")}
    pixels_per_cm = phantom.size * view["radius"] / view["depth"]
    # The mask's pixel centres are at (i + 0.5) * 112 / size - 0.5 in 112-pixel units.
    shift = 0.5 * phantom.size / 112.0 - 0.5

    def to_pixels(s: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        tilt, x0, z0 = pose
        x = x0 + s * torch.sin(tilt) + q * torch.cos(tilt)
        y = z0 + s * torch.cos(tilt) - q * torch.sin(tilt)
        places = x * pixels_per_cm + phantom.size * view["apex_x"], y * pixels_per_cm + phantom.size * view["apex_y"]
        return torch.stack(places, -1) + shift

    ends = torch.cat([torch.zeros_like(length), length], dim=-1)
    chords = torch.stack([to_pixels(z * length, bow - septal), to_pixels(z * length, bow + lateral)], -2)
    return to_pixels(ends, torch.zeros_like(ends)), chords
