"""Truth per pixel: tissue labels and displacements.

Labels are CAMUS's: 0 anything else, 1 cavity of the left ventricle (trabeculae and papillary muscles included, as its
tracing has it), 2 its muscle, 3 left atrium. A displacement is where a pixel's tissue was in a reference frame:

    tissue at pixel (x, y) of frame t  was at  (x, y) + d(t, y, x)  in the reference frame, in pixels

Both follow from the backward map that renders the picture, so they are exact but for motion through the image plane.
"""

import torch
import torch.nn.functional as F

from echosynth.phantom.anatomy import left_atrium_map
from echosynth.phantom.motion import compute_shape
from echosynth.phantom.pose import LVFrame, from_lv_frame, to_lv_frame
from echosynth.phantom.render import Phantom, Truth
from echosynth.phantom.scan_conversion import pixel_positions
from echosynth.phantom.warp import Tissue, find_tissue, place_tissue, to_atlas

CAVITY, MYOCARDIUM, LEFT_ATRIUM = 1, 2, 3


def _look(phantom: Phantom, truth: Truth) -> tuple[LVFrame, Tissue]:
    x, z = pixel_positions(phantom.columns, phantom.size)
    frame = to_lv_frame(x[:, None], z[:, None], truth.pose)
    return frame, find_tissue(phantom.patient, frame, truth.cycle, truth.motion)


def label_pixels(phantom: Phantom, truth: Truth) -> torch.Tensor:
    """Label every pixel of every frame: uint8 (B, T, S, S), 0 outside of the sector."""
    frame, tissue = _look(phantom, truth)
    length = truth.motion.length.float()[:, :, None, None]
    length0 = compute_shape(phantom.patient).length.float()[:, None, None, None]
    wall_apex = phantom.patient["wall_apex"].float()[:, None, None, None]
    across = tissue.now.abs()
    cavity = (frame.s >= 0) & (frame.s <= length) & (across < tissue.endo)
    muscle = (across < tissue.epi) & (tissue.s > -wall_apex) & (tissue.s <= length0) & ~cavity
    grid = to_atlas(tissue)
    batch, frames, height, width, _ = grid.shape
    depth = F.grid_sample(
        left_atrium_map(phantom.patient), grid.reshape(batch, frames * height, width, 2), align_corners=False
    ).reshape(batch, frames, height, width)
    labels = torch.where((depth > 0) & (frame.s > length), LEFT_ATRIUM, 0)
    labels = torch.where(muscle, MYOCARDIUM, labels)
    labels = torch.where(cavity, CAVITY, labels)
    return (labels * (phantom.mask[:, None] > 0)).to(torch.uint8)


def displace_pixels(phantom: Phantom, truth: Truth, reference: Truth) -> torch.Tensor:
    """Displacement of the tissue at every pixel of every frame to where it is in a frame of reference.

    Args:
        phantom: the patients.
        truth: of their clip.
        reference: of one frame per patient, (B, 1), at the same EF or another one; `truth.at(k)` for frame k.

    Returns:
        Float32 (B, T, 2, S, S), x then y, pixels; NaN outside of the sector.
    """
    frame, tissue = _look(phantom, truth)
    there = place_tissue(phantom.patient, tissue.s, tissue.q, reference.cycle, reference.motion)
    then, now = from_lv_frame(there, reference.pose), from_lv_frame(frame, truth.pose)
    view = phantom.columns
    pixels_per_cm = (phantom.size * view["radius"] / view["depth"])[:, None]
    moved = torch.stack([(a - b) * pixels_per_cm for a, b in zip(then, now, strict=True)], dim=2)
    return torch.where(phantom.mask[:, None, None] > 0, moved, torch.nan)
