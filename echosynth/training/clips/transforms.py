"""Random changes of training clips: the same heart in another view, another gain, with noise, in slow motion.

All pictures of one patient are changed alike, so a clip still begins at its conditioning frame.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field

from echosynth.cardiac.landmarks import mirror_landmarks
from echosynth.config import StrictModel
from echosynth.training.clips.batches import draw_normal


class ViewJitter(StrictModel):
    """How far views may differ; 0 turns one change off.

    Attributes:
        rotate: largest angle, degrees.
        scale: largest relative change of size.
        stretch: largest natural logarithm of the two sides' ratio of scales, either way.
        shear: largest shift along one side per length of the other.
        shift: largest shift, share of the side.
        gamma: largest relative change of the grey map's exponent.
    """

    rotate: float = 12.0
    scale: float = 0.15
    stretch: float = 0.0
    shear: float = 0.0
    shift: float = 0.08
    gamma: float = 0.4


@dataclass(frozen=True)
class JitteredViews:
    """One changed view per patient.

    Attributes:
        affine: (B, 2, 3), from a place in the new picture to one in the old, in half sides.
        exponent: (B,), of the grey map.
    """

    affine: torch.Tensor
    exponent: torch.Tensor

    @staticmethod
    def draw(count: int, config: ViewJitter, generator: torch.Generator) -> "JitteredViews":
        """Draw the views of some patients."""

        def within(reach: float) -> torch.Tensor:
            return reach * (2 * torch.rand(count, generator=generator) - 1)

        angle, scale = within(math.radians(config.rotate)), 1 + within(config.scale)
        cosine, sine = angle.cos() / scale, angle.sin() / scale
        # A picture is two half sides wide.
        first = torch.stack([cosine, -sine, within(2 * config.shift)], 1)
        second = torch.stack([sine, cosine, within(2 * config.shift)], 1)
        affine, exponent = torch.stack([first, second], 1), torch.exp(within(config.gamma))
        if config.stretch or config.shear:
            wide, slanted, one = torch.exp(within(config.stretch / 2)), within(config.shear), torch.ones(count)
            deform = torch.stack([torch.stack([wide, slanted], 1), torch.stack([0 * one, 1 / wide], 1)], 1)
            affine = torch.cat([affine[..., :2] @ deform, affine[..., 2:]], 2)
        return JitteredViews(affine, exponent)

    def to(self, device: torch.device) -> "JitteredViews":
        """The same views where the pictures are."""
        return JitteredViews(self.affine.to(device), self.exponent.to(device))

    def show(self, pictures: torch.Tensor, flow: torch.Tensor | None = None) -> torch.Tensor:
        """Pictures (B, T, H, W) in [-1, 1] as these views show them; black stays black beyond the old picture.

        Args:
            pictures: the clips.
            flow: displacement of every frame's places, half sides of the new picture, (B, T, H, W, 2); see flow.py.
        """
        grid = F.affine_grid(self.affine, [len(pictures), 1, *pictures.shape[-2:]], align_corners=False)
        light = (pictures + 1) / 2
        if flow is None:
            light = F.grid_sample(light, grid, align_corners=False)
        else:
            frames = rearrange(light, "b t h w -> (b t) 1 h w")
            places = rearrange(grid[:, None] + flow, "b t h w c -> (b t) h w c")
            shown = F.grid_sample(frames, places, align_corners=False)
            light = rearrange(shown, "(b t) 1 h w -> b t h w", b=len(pictures))
        light = light.clamp(0, 1)
        return 2 * light ** rearrange(self.exponent, "b -> b 1 1 1") - 1

    def map_points(self, places: torch.Tensor) -> torch.Tensor:
        """Where places of the old pictures are in the new ones: (B, ..., 2), x and y in shares of the side."""
        matrix, shift = self.affine[..., :2], self.affine[..., 2]
        flat = (2 * places - 1).flatten(1, -2) - shift[:, None]
        return ((torch.linalg.solve(matrix, flat.mT).mT + 1) / 2).view_as(places)


class ClipTransformConfig(ViewJitter):
    """Random changes of a training clip, the same for all its frames; 0 turns one off.

    Turned, scaled and shifted views stand for EchoNet-Dynamic's padded crops and CoReEcho's affine changes, the grey
    map for gain and contrast; speckle and shadows are what MCSDR's code describes and leaves out.

    Attributes:
        noise: largest standard deviation of added noise, in [-1, 1] units.
        speckle: largest standard deviation of noise that multiplies light, a share.
        shadow: share of clips with a rib's shadow, a dark wedge from the probe down.
        slow: largest share of the window that is left out by showing the rest in slow motion, from a random moment on.
        mirror: share of clips that are mirrored left to right.
    """

    noise: float = 0.15
    speckle: float = Field(default=0.0, ge=0)
    shadow: float = Field(default=0.0, ge=0, le=1)
    slow: float = Field(default=0.25, ge=0, lt=1)
    mirror: float = Field(default=0.5, ge=0, le=1)


def transform_clips(
    clip: torch.Tensor,
    landmarks: torch.Tensor,
    config: ClipTransformConfig,
    generator: torch.Generator,
    flow: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change clips (B, 1, T, H, W) in [-1, 1] at random, and their landmarks (B, 2, 2, ROWS, 2, 2) with them.

    Args:
        clip: the clips.
        landmarks: in shares of the side.
        config: how far.
        generator: of the draws.
        flow: see `JitteredViews.show`; landmarks do not follow it.
    """
    count, device = len(clip), clip.device
    turned = rearrange((torch.rand(count, generator=generator) < config.mirror).to(device), "b -> b 1 1 1")
    views = JitteredViews.draw(count, config, generator).to(device)
    shown = views.show(torch.where(turned, clip[:, 0].flip(-1), clip[:, 0]), flow)
    if config.speckle or config.shadow:
        light = (shown + 1) / 2
        rough = config.speckle * rearrange(torch.rand(count, generator=generator).to(device), "b -> b 1 1 1")
        light = light * (1 + rough * draw_normal(shown.shape, generator, device)).clamp_min(0)
        shadows = cast_shadows(count, shown.shape[-1], config.shadow, generator).to(device)
        shown = 2 * (light * shadows).clamp(0, 1) - 1
    if config.noise:
        strength = config.noise * rearrange(torch.rand(count, generator=generator).to(device), "b -> b 1 1 1")
        shown = shown + strength * draw_normal(shown.shape, generator, device)
    landmarks = views.map_points(torch.where(turned[..., None, None], mirror_landmarks(landmarks), landmarks))
    return rearrange(shown, "b t h w -> b 1 t h w"), landmarks


def cast_shadows(count: int, size: int, share: float, generator: torch.Generator) -> torch.Tensor:
    """What is left of the light, (count, 1, size, size) in [0, 1], behind ribs that some clips show.

    The probe is in the middle of the upper edge, as in pictures cropped the EchoNet way.
    """
    line = (torch.arange(size) + 0.5) / size
    angle = torch.atan2(line[None, :] - 0.5, line[:, None])
    at, width, depth, one = torch.rand(4, count, 1, 1, 1, generator=generator)
    wedge = torch.exp(-0.5 * ((angle - (1.2 * at - 0.6)) / (0.04 + 0.08 * width)) ** 2)
    return 1 - (one < share) * (0.4 + 0.5 * depth) * wedge


def slow_down(moments: torch.Tensor, slow: float, generator: torch.Generator) -> torch.Tensor:
    """Spread frame numbers (B, T) over a random part of their span, of a share between 1 - slow and 1."""
    batch, span = len(moments), moments[:, -1:]
    left_out = slow * torch.rand(batch, 1, generator=generator)
    start = left_out * torch.rand(batch, 1, generator=generator)
    return (start * span + (1 - left_out) * moments).round().long()
