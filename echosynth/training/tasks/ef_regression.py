"""EF regression as a training task: clips cut to the regressor's contract, with what is known of them."""

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import nn

from echosynth.training.clips.batches import EFSource
from echosynth.training.clips.transforms import ClipTransformConfig, slow_down, transform_clips
from echosynth.training.engine.loop import Batch
from echosynth.training.tasks.losses import RegressionLoss
from echosynth.video.clip import to_network

ONLY_EF = RegressionLoss()


class RegressionTask:
    """Training of one regressor.

    Args:
        source: clips with EF.
        fps: the regressor's frame rate, Hz; divides the source's.
        frames: of a window.
        size: side, pixels; divides the source's.
        transforms: random changes of the clips, None on held-out data.
        loss: with contrast, batches hold two windows of each clip.
    """

    def __init__(
        self,
        source: EFSource,
        fps: float,
        frames: int,
        size: int,
        transforms: ClipTransformConfig | None,
        loss: RegressionLoss = ONLY_EF,
    ) -> None:
        self.source, self.stride, self.frames, self.size = source, round(source.fps / fps), frames, size
        self.transforms, self.loss = transforms, loss

    def cut(self, clips: torch.Tensor, moments: torch.Tensor | None = None) -> torch.Tensor:
        """Source clips to the contract: (B, 1, T, size, size) in [-1, 1].

        Args:
            clips: uint8 (B, T', S, S).
            moments: (B, T) the source frames to take, None for the first ones at the contract's rate.
        """
        if moments is None:
            moments = self._first_moments(len(clips))
        picked = to_network(clips[rearrange(torch.arange(len(clips)), "b -> b 1"), moments])
        return rearrange(F.avg_pool2d(picked, picked.shape[-1] // self.size), "b t h w -> b 1 t h w")

    def _first_moments(self, count: int) -> torch.Tensor:
        return repeat(self.stride * torch.arange(self.frames), "t -> b t", b=count)

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        windows = 1 if self.loss.contrast is None else 2
        drawn = self.source.draw_ef_batch(size // windows, generator, windows, traced=self.loss.landmarks is not None)
        size = len(drawn.clips)
        moments = self._first_moments(size)
        if self.transforms is not None:
            moments = slow_down(moments, self.transforms.slow, generator)
        seen = (drawn.traced >= moments[:, :1]) & (drawn.traced <= moments[:, -1:])
        device = drawn.clips.device
        seen = seen.to(device)[..., None, None, None, None]
        landmarks = torch.where(seen, drawn.landmarks.to(device), torch.nan)
        x = self.cut(drawn.clips, moments)
        if self.transforms is not None:
            x, landmarks = transform_clips(x, landmarks, self.transforms, generator)
        batch = {"clip": x, "ef": drawn.ef.float(), "curve": drawn.curve.gather(1, moments), "landmarks": landmarks}
        if self.loss.score is not None:
            batch |= self.loss.score.draw(size, generator) | {"attributes": drawn.attributes}
        return batch

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """See `RegressionLoss`."""
        return self.loss.compute(model, batch)
