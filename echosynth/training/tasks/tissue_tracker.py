"""The tissue tracker as a training task: predict the displacement of every frame's tissue to the conditioning frame.

    loss = smooth L1 of (predicted - true displacement), pixels of the clip, mean over the sector

The truth comes from simulated hearts. A clip is resized to the stage before super-resolution and has as much
noise as the tracked stage's training adds.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import model_validator
from torch import nn

from echosynth.diffusion.blocks import check_levels
from echosynth.diffusion.cascade import resize_frame
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.training.clips.batches import draw_normal
from echosynth.training.clips.looks import UNCHANGED, Looks
from echosynth.training.clips.phantom_source import PhantomSource
from echosynth.training.clips.sources import Source
from echosynth.training.engine.checkpoint import load_weights
from echosynth.training.engine.loop import Batch
from echosynth.training.part_config import PartConfig
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.masks import masked_mean

SOFTEST = 0.1  # pixels: errors below count by their square
MIRRORED = 0.5  # share of clips that are turned left to right: twice the patients


class TrackerConfig(PartConfig):
    """The tissue tracker of a cascade; see `TissueTracker` and `PartConfig`.

    On clips without known motion it keeps the weights of `init`.

    Attributes:
        reach: how far tissue is looked for, pixels of the clip.
        patch: side of a patch, pixels of the clip.
        widths: channels per level.
        blocks: space-time blocks per level.
        window: frames seen at once in training.
    """

    reach: int = 3
    patch: int = 2
    widths: list[int]
    blocks: list[int]
    window: int = 16

    @model_validator(mode="after")
    def _levels_agree(self) -> "TrackerConfig":
        check_levels(self.widths, self.blocks)
        return self

    def network(self) -> TissueTracker:
        """A tracker with fresh weights, or with those of `init`.

        Raises:
            CheckpointError: `init` holds no weights, or weights of another shape.
        """
        fresh = TissueTracker(self.reach, self.patch, self.widths, self.blocks)
        if self.init is not None:
            load_weights(fresh, self.init)
        return fresh


class TrackerTask:
    """Training of a tracker.

    Args:
        stage: the tracked stage.
        previous: the stage before it, whose clips are tracked.
        source: clips; only phantoms can be drawn, because the true motion of others is unknown.
        window: frames seen at once.
        looks: how its pictures are changed at random; views stay, since the motion is that of the clips' own.
    """

    def __init__(
        self,
        stage: StageConfig,
        previous: StageConfig,
        source: Source,
        window: int,
        looks: Looks = UNCHANGED,
    ) -> None:
        self.stage, self.size, self.source = stage, previous.size, source
        self.stride = round(source.fps / stage.fps)
        self.window, self.looks = min(window, stage.frames), looks

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        assert isinstance(self.source, PhantomSource)
        start = int(torch.randint(self.stage.frames - self.window + 1, (1,), generator=generator))
        cut = slice(start * self.stride, (start + self.window - 1) * self.stride + 1, self.stride)
        clips, frames, displacement = self.source.draw_tracked(size, cut, self.size, generator)
        device = clips.device
        frame, seen = self.looks.show(frames, clips, None, generator)
        clip = rearrange(resize_frame(seen, self.size), "b t h w -> b 1 t h w")
        turned = (torch.rand(size, generator=generator) < MIRRORED).to(device)
        of_clip, of_frame = rearrange(turned, "b -> b 1 1 1 1"), rearrange(turned, "b -> b 1 1 1")
        clip = torch.where(of_clip, clip.flip(-1), clip)
        frame = torch.where(of_frame, frame.flip(-1), frame)
        mirror = rearrange(torch.tensor([-1.0, 1.0], device=device), "xy -> xy 1 1")
        displacement = torch.where(of_clip, displacement.flip(-1) * mirror, displacement)
        level = (torch.rand(size, generator=generator) * self.stage.noise.lowres_sigma_max).to(device)
        noise = draw_normal(clip.shape, generator, device)
        return {
            "clip": clip + rearrange(level, "b -> b 1 1 1 1") * noise,
            "level": level,
            "frame": frame,
            "displacement": rearrange(displacement, "b t xy h w -> b xy t h w"),
        }

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Smooth L1 in pixels of the clip; a displacement of nothing loses about what hearts move."""
        truth = batch["displacement"]
        known = ~truth.isnan()
        miss = F.smooth_l1_loss(
            model(batch["clip"], batch["level"], batch["frame"]), truth.nan_to_num(), reduction="none", beta=SOFTEST
        )
        return masked_mean(miss, known)
