"""EF regression as a training task: clips cut to the regressor's contract, with what is known of them."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import nn

from echosynth.config import StrictModel
from echosynth.training.clips.appearance import AppearanceConfig, randomise_appearance
from echosynth.training.clips.batches import EFSource
from echosynth.training.clips.flow import FlowConfig, draw_flow
from echosynth.training.clips.timing import Timing, TimingConfig, draw_timing
from echosynth.training.clips.transforms import ClipTransformConfig, slow_down, transform_clips
from echosynth.training.engine.loop import Batch
from echosynth.training.tasks.losses import RegressionLoss
from echosynth.video.clip import to_network

ONLY_EF = RegressionLoss()


class Randomisation(StrictModel):
    """What training changes in its clips at random.

    Attributes:
        transforms: views, mirror images and slow motion; `augmentation` in configs of earlier versions.
        timing: frame rates, heart rates and parts of beats, in place of the slow motion; None for the source's own.
        flow: motion that is no contraction, None for the clips' own.
        appearance: greys, grain and noise of other scanners, None for the clips' own.
    """

    transforms: ClipTransformConfig = ClipTransformConfig()
    timing: TimingConfig | None = None
    flow: FlowConfig | None = None
    appearance: AppearanceConfig | None = None


class RegressionTask:
    """Training of one regressor.

    Args:
        source: clips with EF.
        fps: the regressor's frame rate, Hz; divides the source's.
        frames: of a window.
        size: side, pixels; divides the source's.
        random: what is changed in the clips, None on held-out data.
        loss: with contrast, batches hold two windows of each clip.
    """

    def __init__(
        self,
        source: EFSource,
        fps: float,
        frames: int,
        size: int,
        random: Randomisation | None,
        loss: RegressionLoss = ONLY_EF,
    ) -> None:
        self.source, self.stride, self.frames, self.size = source, round(source.fps / fps), frames, size
        self.random, self.loss, self.fps = random, loss, fps

    def cut(self, clips: torch.Tensor, timing: Timing | None = None) -> torch.Tensor:
        """Source clips to the contract: (B, 1, T, size, size) in [-1, 1].

        Args:
            clips: uint8 (B, T', S, S).
            timing: the source frames to take, None for the first ones at the contract's rate.
        """
        if timing is None:
            timing = Timing.plain(self._first_moments(len(clips)))
        picked = to_network(timing.blend(clips))
        return rearrange(F.avg_pool2d(picked, picked.shape[-1] // self.size), "b t h w -> b 1 t h w")

    def _first_moments(self, count: int) -> torch.Tensor:
        return repeat(self.stride * torch.arange(self.frames), "t -> b t", b=count)

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        windows = 1 if self.loss.contrast is None else 2
        drawn = self.source.draw_ef_batch(size // windows, generator, windows, traced=self.loss.landmarks is not None)
        size = len(drawn.clips)
        timing = self._draw_timing(drawn.curve, generator)
        moments = timing.moments
        begin, end = moments.amin(1, keepdim=True), moments.amax(1, keepdim=True)
        seen = ((drawn.traced >= begin) & (drawn.traced <= end)).to(drawn.clips.device)
        landmarks = torch.where(seen[..., None, None, None, None], drawn.landmarks.to(seen.device), torch.nan)
        x = self.cut(drawn.clips, timing)
        if self.random is not None:
            x, landmarks = self._change(x, landmarks, self.random, generator)
        curve = timing.at_moments(drawn.curve)
        batch = {"clip": x, "ef": drawn.ef.float(), "curve": curve, "landmarks": landmarks}
        if self.loss.score is not None:
            batch |= self.loss.score.draw(size, generator) | {"attributes": drawn.attributes}
        return batch

    def _draw_timing(self, curve: torch.Tensor, generator: torch.Generator) -> Timing:
        if self.random is None:
            return Timing.plain(self._first_moments(len(curve)))
        if self.random.timing is not None:
            return draw_timing(curve, self.stride, self.frames, self.source.fps, self.random.timing, generator)
        return Timing.plain(slow_down(self._first_moments(len(curve)), self.random.transforms.slow, generator))

    def _change(
        self, x: torch.Tensor, landmarks: torch.Tensor, random: Randomisation, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Clips (B, 1, T, S, S) in [-1, 1] and their landmarks as this training changes them."""
        flow = None
        if random.flow is not None:
            time = repeat(torch.arange(self.frames) / self.fps, "t -> b t", b=len(x))
            flow = draw_flow(len(x), self.size, time, random.flow, generator).to(x.device)
        x, landmarks = transform_clips(x, landmarks, random.transforms, generator, flow)
        if random.appearance is not None:
            light = randomise_appearance((x[:, 0] + 1) / 2, random.appearance, generator)
            x = rearrange(2 * light - 1, "b t h w -> b 1 t h w")
        return x, landmarks

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """See `RegressionLoss`."""
        return self.loss.compute(model, batch)
