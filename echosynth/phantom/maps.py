"""Truth per pixel: which tissue is where, and where it came from.

Labels are CAMUS's: 0 anything else, 1 cavity of the left ventricle (trabeculae and papillary muscles included, as its
tracing has it), 2 its muscle, 3 left atrium. A displacement is where a pixel's tissue was in a reference frame:

    tissue at pixel (x, y) of frame t  was at  (x, y) + d(t, y, x)  in the reference frame, in pixels

Both follow from the backward map that renders the picture, so they are exact up to what leaves the image plane.
"""

import torch
import torch.nn.functional as F

from echosynth.phantom.anatomy import left_atrium_map
from echosynth.phantom.motion import compute_shape
from echosynth.phantom.render import Phantom, Truth
from echosynth.phantom.scanner import pixel_positions
from echosynth.phantom.warp import LVFrame, Pose, Tissue, find_tissue, to_atlas, to_lv_frame

CAVITY, MYOCARDIUM, LEFT_ATRIUM = 1, 2, 3
LABEL_NAMES = {CAVITY: "left-ventricular cavity", MYOCARDIUM: "myocardium", LEFT_ATRIUM: "left atrium"}


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


def displace_pixels(phantom: Phantom, truth: Truth, reference: int) -> torch.Tensor:
    """Where the tissue at every pixel of every frame was in an end-diastolic frame.

    Args:
        phantom: the patients.
        truth: of their clip.
        reference: index of a frame at end-diastole (contraction 0) in every clip.

    Returns:
        Float32 (B, T, 2, S, S), x then y, pixels; NaN outside of the sector.

    Raises:
        ValueError: the reference frame of some clip is not end-diastolic.
    """
    if bool((truth.cycle.contraction[:, reference] > 1e-9).any()):
        raise ValueError(f"frame {reference} is not end-diastolic in every clip")
    frame, tissue = _look(phantom, truth)
    patient, pose = phantom.patient, truth.pose
    z01 = (tissue.s / compute_shape(patient).length.float()[:, None, None, None]).clamp(0, 1)
    s, q = tissue.s, tissue.q + patient["bow"].float()[:, None, None, None] * 4 * z01 * (1 - z01)

    def place(s: torch.Tensor, q: torch.Tensor, at: Pose) -> tuple[torch.Tensor, torch.Tensor]:
        ax, az, tilt = (v.float()[:, :, None, None] for v in (at.x, at.z, at.tilt))
        return ax + s * torch.sin(tilt) + q * torch.cos(tilt), az + s * torch.cos(tilt) - q * torch.sin(tilt)

    then = Pose(*(v[:, reference : reference + 1] for v in (pose.x, pose.z, pose.tilt)))
    before, now = place(s, q, then), place(frame.s, frame.q, pose)
    view = phantom.columns
    pixels_per_cm = (phantom.size * view["radius"] / view["depth"])[:, None]
    moved = torch.stack([(a - b) * pixels_per_cm for a, b in zip(before, now, strict=True)], dim=2)
    return torch.where(phantom.mask[:, None, None] > 0, moved, torch.nan)
