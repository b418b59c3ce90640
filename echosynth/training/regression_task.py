"""EF regression as a training task: clips cut to the regressor's contract, augmented, scored in EF points.

loss = smooth L1 of (predicted - true EF) / 10  +  curve_weight * smooth L1 of 10 (predicted - true volume / EDV)
"""

import math
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from echosynth.config import StrictModel
from echosynth.training.loop import Batch
from echosynth.video.clip import to_network


class AugmentConfig(StrictModel):
    """Random changes of a training clip, the same for all its frames; 0 turns one off.

    Attributes:
        rotate: largest angle, degrees.
        scale: largest relative change of size.
        shift: largest shift, share of the side.
        gamma: largest relative change of the grey map's exponent.
        noise: largest spread of added noise, in [-1, 1] units.
        slow: largest share of the window that is left out by showing the rest in slow motion, from a random moment on.
        mirror: share of clips that are mirrored left to right.
    """

    rotate: float = 12.0
    scale: float = 0.15
    shift: float = 0.08
    gamma: float = 0.4
    noise: float = 0.15
    slow: float = Field(default=0.25, ge=0, lt=1)
    mirror: float = Field(default=0.5, ge=0, le=1)


def augment(clip: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Change clips (B, 1, T, H, W) in [-1, 1] at random; black stays black beyond the picture."""
    batch = len(clip)

    def draw(reach: float) -> torch.Tensor:
        return reach * (2 * torch.rand(batch, generator=generator) - 1)

    angle, scale = draw(math.radians(config.rotate)), 1 + draw(config.scale)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    side = torch.where(torch.rand(batch, generator=generator) < config.mirror, -1.0, 1.0)
    # affine_grid's unit is half a side.
    first = torch.stack([side * cosine, -side * sine, draw(2 * config.shift)], 1)
    second = torch.stack([sine, cosine, draw(2 * config.shift)], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), [batch, 1, *clip.shape[-2:]], align_corners=False)
    light = (clip[:, 0] + 1) / 2
    light = F.grid_sample(light, grid, align_corners=False).clamp(0, 1)
    light = light ** torch.exp(draw(config.gamma))[:, None, None, None]
    noise = torch.randn(light.shape, generator=generator) * draw(config.noise).abs()[:, None, None, None]
    return (2 * light - 1 + noise)[:, None]


def slow_down(moments: torch.Tensor, slow: float, generator: torch.Generator) -> torch.Tensor:
    """Spread frame numbers (B, T) over a random part of their span, of a share between 1 - slow and 1."""
    batch, span = len(moments), moments[:, -1:]
    left_out = slow * torch.rand(batch, 1, generator=generator)
    start = left_out * torch.rand(batch, 1, generator=generator)
    return (start * span + (1 - left_out) * moments).round().long()


class MeasuredSource(Protocol):
    """Where clips with truth come from.

    Attributes:
        fps: of the clips, Hz.
    """

    fps: float

    def draw_measured(
        self, count: int, generator: torch.Generator
    ) -> tuple[list[np.ndarray], torch.Tensor, torch.Tensor]:
        """Draw clips uint8 (T, S, S), EF (count,) in per cent, V / EDV of every frame (count, T), NaN if unknown."""
        ...


class RegressionTask:
    """Training of one regressor.

    Args:
        source: clips with EF.
        fps: the regressor's frame rate, Hz; divides the source's.
        frames: of a window.
        size: side, pixels; divides the source's.
        augmentation: None on held-out data.
        curve_weight: of the volume curve; 0 for a regressor that gives none.
    """

    def __init__(
        self,
        source: MeasuredSource,
        fps: float,
        frames: int,
        size: int,
        augmentation: AugmentConfig | None,
        curve_weight: float = 0.0,
    ) -> None:
        self.source, self.stride, self.frames, self.size = source, round(source.fps / fps), frames, size
        self.augmentation, self.curve_weight = augmentation, curve_weight

    def cut(self, clips: list[np.ndarray], moments: torch.Tensor | None = None) -> torch.Tensor:
        """Source clips to the contract: (B, 1, T, size, size) in [-1, 1].

        Args:
            clips: uint8 (T', S, S) each.
            moments: (B, T) the source frames to take, None for the first ones at the contract's rate.
        """
        if moments is None:
            moments = (self.stride * torch.arange(self.frames)).expand(len(clips), -1)
        picked = to_network(np.stack([clip[m] for clip, m in zip(clips, moments.numpy(), strict=True)]))
        return F.avg_pool2d(picked, picked.shape[-1] // self.size)[:, None]

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        clips, ef, curve = self.source.draw_measured(size, generator)
        moments = (self.stride * torch.arange(self.frames)).expand(size, -1)
        if self.augmentation is not None:
            moments = slow_down(moments, self.augmentation.slow, generator)
        x = self.cut(clips, moments)
        if self.augmentation is not None:
            x = augment(x, self.augmentation, generator)
        return {"clip": x, "ef": ef.float(), "curve": curve.gather(1, moments)}

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Smooth L1 in units of 10 EF points; a tenth of EDV counts as much as 10 EF points."""
        if not self.curve_weight:
            return F.smooth_l1_loss(model(batch["clip"]) / 10, batch["ef"] / 10)
        ef, curve = model(batch["clip"], with_curve=True)
        known = ~batch["curve"].isnan()
        miss = F.smooth_l1_loss(10 * curve, 10 * batch["curve"].nan_to_num(), reduction="none")
        followed = (miss * known).sum() / known.sum().clamp_min(1)
        return F.smooth_l1_loss(ef / 10, batch["ef"] / 10) + self.curve_weight * followed
