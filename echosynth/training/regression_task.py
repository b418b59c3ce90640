"""EF regression as a training task: clips cut to the regressor's contract, augmented, scored in EF points.

loss = smooth L1 of (predicted - true EF) / 10
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from echosynth.config import StrictModel
from echosynth.training.diffusion_task import ClipSource
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
    """

    rotate: float = 12.0
    scale: float = 0.15
    shift: float = 0.08
    gamma: float = 0.4
    noise: float = 0.15


def augment(clip: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Change clips (B, 1, T, H, W) in [-1, 1] at random; black stays black beyond the picture."""
    batch = len(clip)

    def draw(reach: float) -> torch.Tensor:
        return reach * (2 * torch.rand(batch, generator=generator) - 1)

    angle, scale = draw(math.radians(config.rotate)), 1 + draw(config.scale)
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    # affine_grid's unit is half a side.
    first = torch.stack([cosine, -sine, draw(2 * config.shift)], 1)
    second = torch.stack([sine, cosine, draw(2 * config.shift)], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), [batch, 1, *clip.shape[-2:]], align_corners=False)
    light = (clip[:, 0] + 1) / 2
    light = F.grid_sample(light, grid, align_corners=False).clamp(0, 1)
    light = light ** torch.exp(draw(config.gamma))[:, None, None, None]
    noise = torch.randn(light.shape, generator=generator) * draw(config.noise).abs()[:, None, None, None]
    return (2 * light - 1 + noise)[:, None]


class RegressionTask:
    """Training of one regressor.

    Args:
        source: clips with EF.
        fps: the regressor's frame rate, Hz; divides the source's.
        frames: of a window.
        size: side, pixels; divides the source's.
        augmentation: None on held-out data.
    """

    def __init__(
        self, source: ClipSource, fps: float, frames: int, size: int, augmentation: AugmentConfig | None
    ) -> None:
        self.source, self.stride, self.frames, self.size = source, round(source.fps / fps), frames, size
        self.augmentation = augmentation

    def cut(self, clips: list[np.ndarray]) -> torch.Tensor:
        """Source clips to the contract: (B, 1, T, size, size) in [-1, 1]."""
        picked = to_network(np.stack([clip[:: self.stride][: self.frames] for clip in clips]))
        return F.avg_pool2d(picked, picked.shape[-1] // self.size)[:, None]

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        clips, _, ef = self.source.draw(size, generator)
        x = self.cut(clips)
        if self.augmentation is not None:
            x = augment(x, self.augmentation, generator)
        return {"clip": x, "ef": ef.float()}

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Smooth L1 in units of 10 EF points."""
        return F.smooth_l1_loss(model(batch["clip"]) / 10, batch["ef"] / 10)
