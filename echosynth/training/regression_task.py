"""EF regression as a training task: clips cut to the regressor's contract, augmented, scored in EF points.

loss = smooth L1 of (predicted - true EF) / 10  +  curve_weight * smooth L1 of 10 (predicted - true volume / EDV)
"""

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from echosynth.training.jitter import JitteredViews, ViewJitter
from echosynth.training.loop import Batch
from echosynth.video.clip import to_network


class AugmentConfig(ViewJitter):
    """Random changes of a training clip, the same for all its frames; 0 turns one off.

    Attributes:
        noise: largest spread of added noise, in [-1, 1] units.
        slow: largest share of the window that is left out by showing the rest in slow motion, from a random moment on.
        mirror: share of clips that are mirrored left to right.
    """

    noise: float = 0.15
    slow: float = Field(default=0.25, ge=0, lt=1)
    mirror: float = Field(default=0.5, ge=0, le=1)


def augment(clip: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Change clips (B, 1, T, H, W) in [-1, 1] at random."""
    count = len(clip)
    turned = (torch.rand(count, generator=generator) < config.mirror)[:, None, None, None]
    shown = JitteredViews.draw(count, config, generator).show(torch.where(turned, clip[:, 0].flip(-1), clip[:, 0]))
    spread = config.noise * torch.rand(count, generator=generator)[:, None, None, None]
    return (shown + spread * torch.randn(shown.shape, generator=generator))[:, None]


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
