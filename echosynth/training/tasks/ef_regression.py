"""EF regression as a training task: clips cut to the regressor's contract and augmented, with what is known of them."""

from typing import Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from echosynth.cardiac.landmarks import mirror_landmarks
from echosynth.training.clips.batches import EFBatch, draw_normal
from echosynth.training.clips.transforms import JitteredViews, ViewJitter
from echosynth.training.engine.loop import Batch
from echosynth.training.tasks.losses import RegressionLoss
from echosynth.video.clip import EchoClip, to_network


class AugmentConfig(ViewJitter):
    """Random changes of a training clip, the same for all its frames; 0 turns one off.

    Turned, scaled and shifted views stand for EchoNet-Dynamic's padded crops and CoReEcho's affine changes, the grey
    map for gain and contrast; speckle and shadows are what MCSDR's code describes and leaves out.

    Attributes:
        noise: largest spread of added noise, in [-1, 1] units.
        speckle: largest spread of noise that multiplies light, a share.
        shadow: share of clips with a rib's shadow, a dark wedge from the probe down.
        slow: largest share of the window that is left out by showing the rest in slow motion, from a random moment on.
        mirror: share of clips that are mirrored left to right.
    """

    noise: float = 0.15
    speckle: float = Field(default=0.0, ge=0)
    shadow: float = Field(default=0.0, ge=0, le=1)
    slow: float = Field(default=0.25, ge=0, lt=1)
    mirror: float = Field(default=0.5, ge=0, le=1)


def augment(
    clip: torch.Tensor, landmarks: torch.Tensor, config: AugmentConfig, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Change clips (B, 1, T, H, W) in [-1, 1] at random, and their landmarks (B, 2, 2, ROWS, 2, 2) with them."""
    count, device = len(clip), clip.device
    turned = (torch.rand(count, generator=generator) < config.mirror).to(device)[:, None, None, None]
    views = JitteredViews.draw(count, config, generator).to(device)
    shown = views.show(torch.where(turned, clip[:, 0].flip(-1), clip[:, 0]))
    if config.speckle or config.shadow:
        light = (shown + 1) / 2
        rough = config.speckle * torch.rand(count, generator=generator).to(device)[:, None, None, None]
        light = light * (1 + rough * draw_normal(shown.shape, generator, device)).clamp_min(0)
        shadows = cast_shadows(count, shown.shape[-1], config.shadow, generator).to(device)
        shown = 2 * (light * shadows).clamp(0, 1) - 1
    spread = config.noise * torch.rand(count, generator=generator).to(device)[:, None, None, None]
    shown = shown + spread * draw_normal(shown.shape, generator, device)
    landmarks = views.carry(torch.where(turned[..., None, None], mirror_landmarks(landmarks), landmarks))
    return shown[:, None], landmarks


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


class MeasuredSource(Protocol):
    """Where clips with truth come from.

    Attributes:
        fps: of the clips, Hz.
    """

    fps: float

    def draw_measured(self, count: int, generator: torch.Generator, windows: int = 1, traced: bool = False) -> EFBatch:
        """Draw windows with their EF, and their landmarks if `traced`; so many `windows` of each clip, one by one."""
        ...

    def __len__(self) -> int:
        """How many clips."""
        ...

    def clip(self, index: int) -> EchoClip:
        """A whole clip, with its EF."""
        ...

    def patients(self) -> torch.Tensor:
        """What is known of every clip's patient, (N, 4) in the order of `ATTRIBUTES`; NaN where not known."""
        ...


ONLY_EF = RegressionLoss()


class RegressionTask:
    """Training of one regressor.

    Args:
        source: clips with EF.
        fps: the regressor's frame rate, Hz; divides the source's.
        frames: of a window.
        size: side, pixels; divides the source's.
        augmentation: None on held-out data.
        loss: with contrast, batches hold two windows of each clip.
    """

    def __init__(
        self,
        source: MeasuredSource,
        fps: float,
        frames: int,
        size: int,
        augmentation: AugmentConfig | None,
        loss: RegressionLoss = ONLY_EF,
    ) -> None:
        self.source, self.stride, self.frames, self.size = source, round(source.fps / fps), frames, size
        self.augmentation, self.loss = augmentation, loss

    def cut(self, clips: torch.Tensor, moments: torch.Tensor | None = None) -> torch.Tensor:
        """Source clips to the contract: (B, 1, T, size, size) in [-1, 1].

        Args:
            clips: uint8 (B, T', S, S).
            moments: (B, T) the source frames to take, None for the first ones at the contract's rate.
        """
        if moments is None:
            moments = (self.stride * torch.arange(self.frames)).expand(len(clips), -1)
        picked = to_network(clips[torch.arange(len(clips))[:, None], moments])
        return F.avg_pool2d(picked, picked.shape[-1] // self.size)[:, None]

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        windows = 1 if self.loss.contrast is None else 2
        drawn = self.source.draw_measured(size // windows, generator, windows, traced=self.loss.landmarks is not None)
        size = len(drawn.clips)
        moments = (self.stride * torch.arange(self.frames)).expand(size, -1)
        if self.augmentation is not None:
            moments = slow_down(moments, self.augmentation.slow, generator)
        seen = (drawn.traced >= moments[:, :1]) & (drawn.traced <= moments[:, -1:])
        device = drawn.clips.device
        seen = seen.to(device)[..., None, None, None, None]
        landmarks = torch.where(seen, drawn.landmarks.to(device), torch.nan)
        x = self.cut(drawn.clips, moments)
        if self.augmentation is not None:
            x, landmarks = augment(x, landmarks, self.augmentation, generator)
        batch = {"clip": x, "ef": drawn.ef.float(), "curve": drawn.curve.gather(1, moments), "landmarks": landmarks}
        if self.loss.score is not None:
            batch |= self.loss.score.draw(size, generator) | {"attributes": drawn.attributes}
        return batch

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """See `RegressionLoss`."""
        return self.loss.compute(model, batch)
