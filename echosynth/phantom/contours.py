"""The borders of the left ventricle as a reader would trace them: a long axis and twenty chords, in pixels.

The endocardium is exact: by the method of discs it gives the EF that was asked for. The epicardium is the outer border
of the muscle in the picture and in the labels of maps.py; its axis begins at the outer apex and ends on the same
annulus.
"""

import torch

from echosynth.phantom.motion import disc_centres, disc_widths
from echosynth.phantom.pose import bend_aside
from echosynth.phantom.render import Phantom, Truth
from echosynth.phantom.warp import outer_widths

Tracings = tuple[torch.Tensor, torch.Tensor]


def trace_contours(phantom: Phantom, truth: Truth) -> Tracings:
    """Trace the endocardium of every frame.

    Returns:
        Float64 long axes (B, T, 2, 2), apex then middle of the annulus, and chords (B, T, 20, 2, 2) from apex to base,
        septal end then lateral end; points are (x, y) in pixels, whole numbers on pixel centres.
    """
    septal, lateral = disc_widths(phantom.patient, truth.motion.narrowing, truth.cycle.ejecting)
    length = truth.motion.length[..., None]
    z = disc_centres(length)
    bow = phantom.patient["bow"].double()[:, None, None] * 4 * z * (1 - z)
    return _draw(phantom, truth, torch.zeros_like(length), z * length, bow - septal, bow + lateral)


def trace_epicardium(phantom: Phantom, truth: Truth) -> Tracings:
    """Trace the epicardium of every frame; returns what `trace_contours` does."""
    apex = -phantom.patient["wall_apex"].double()[:, None, None].expand(*truth.motion.length.shape, 1)
    along = apex + disc_centres(apex) * (truth.motion.length[..., None] - apex)
    bow, septal, lateral = outer_widths(phantom.patient, along, truth.cycle, truth.motion)
    return _draw(phantom, truth, apex, along, (bow - septal).double(), (bow + lateral).double())


def _draw(
    phantom: Phantom, truth: Truth, apex: torch.Tensor, along: torch.Tensor, septal: torch.Tensor, lateral: torch.Tensor
) -> Tracings:
    """From places in the ventricle's own frame, cm: apex (B, T, 1), chords at `along` between two sides (B, T, 20)."""
    view = {name: phantom.view[name].double()[:, None, None] for name in ("depth", "radius", "apex_x", "apex_y")}
    pixels_per_cm = phantom.size * view["radius"] / view["depth"]
    # The mask's pixel centres are at (i + 0.5) * 112 / size - 0.5 in 112-pixel units.
    shift = 0.5 * phantom.size / 112.0 - 0.5
    tilt, x0, z0 = (v[..., None] for v in (truth.pose.tilt, truth.pose.x, truth.pose.z))

    def to_pixels(s: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        x = x0 + s * torch.sin(tilt) + q * torch.cos(tilt)
        y = z0 + s * torch.cos(tilt) - q * torch.sin(tilt)
        places = x * pixels_per_cm + phantom.size * view["apex_x"], y * pixels_per_cm + phantom.size * view["apex_y"]
        return torch.stack(places, -1) + shift

    aside = bend_aside(along, truth.pose)
    septal, lateral = septal + aside, lateral + aside
    ends = torch.cat([apex, truth.motion.length[..., None]], dim=-1)
    chords = torch.stack([to_pixels(along, septal), to_pixels(along, lateral)], -2)
    return to_pixels(ends, torch.zeros_like(ends)), chords
