"""One cascade stage as a training task: cut the clip to the stage's shape, add noise, score the denoiser.

    loss = weight(sigma) |D(r + sigma n; sigma) - r|^2,  r = clip - reference,  ln sigma ~ N(P_mean, P_std^2)
                                                                                                 Karras 2022, Eq. 8

A super-resolution stage sees windows in time and crops in space. Both are the same for every frame of a clip, for its
reference and for its conditioning frame: crops that differ from frame to frame would teach flicker.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from einops import rearrange, repeat
from torch import nn

from echosynth.diffusion.cascade import resize_frame
from echosynth.diffusion.stage_input import StageExtent, draw_stage_noise, prepare_stage_input
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.edm.noise import draw_sigma
from echosynth.edm.preconditioning import EDMPreconditioning
from echosynth.training.clips.batches import ClipSource, draw_normal
from echosynth.training.clips.looks import UNCHANGED, Looks
from echosynth.training.engine.loop import Batch
from echosynth.training.stage_config import StageConfig
from echosynth.training.tasks.masks import masked_mean
from echosynth.video.clip import to_network


@dataclass(frozen=True, eq=False)
class WholeClips:
    """Clips of one stage, whole and without jitter.

    Attributes:
        truth: (B, 1, T, S, S) in [-1, 1].
        previous: the previous stage's clips, from the truth, (B, 1, t, h, w); None for a frame or a base stage.
        frame: conditioning frames (B, 1, S, S); None for a frame stage.
        known: `CONDITIONS` by name, (B,) each; what is missing is not known.
    """

    truth: torch.Tensor
    previous: torch.Tensor | None
    frame: torch.Tensor | None
    known: dict[str, torch.Tensor]


class DiffusionTask:
    """Training of one stage.

    Args:
        config: the stage.
        previous: the stage before it, None for the base.
        source: clips.
        tracker: follows the tissue; for a tracked stage, and for no other.
        looks: how its pictures are changed at random; nothing is on held-out data.
        traced: whether batches have landmarks, for networks that learn borders.

    Raises:
        ValueError: the stage is tracked and has no tracker, or the other way round.
    """

    def __init__(
        self,
        config: StageConfig,
        previous: StageConfig | None,
        source: ClipSource,
        tracker: TissueTracker | None = None,
        looks: Looks = UNCHANGED,
        traced: bool = False,
    ) -> None:
        if config.sampling.tracked != (tracker is not None):
            raise ValueError("a tracked stage, and no other, is trained with a tracker")
        self.config, self.previous, self.source, self.tracker = config, previous, source, tracker
        self.looks, self.traced = looks, traced
        self.preconditioning = EDMPreconditioning(config.noise.sigma_data)
        self.frame_scale = (config.unet.frame_patch or 0) // config.unet.patch  # frame pixels per clip pixel, one side

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        """See `Task.make_batch`."""
        config = self.config
        drawn = self.source.draw(size, generator, self.traced)
        clips, device = drawn.clips, drawn.clips.device
        views = self.looks.draw_views(size, generator, device)
        start, count = self._draw_window(generator)
        window, earlier = self._source_frames(start, count), self._earlier(start, count)
        used = sorted({*window, *earlier})
        frame, seen = self.looks.show(drawn.frames, clips[:, used], views, generator)
        target = _as_clips(resize_frame(seen[:, [used.index(k) for k in window]], config.size))
        dropout = 1.0 if config.kind == "frame" else config.frame_dropout
        frame_given = (torch.rand(size, generator=generator) >= dropout).to(device)
        batch: Batch = {}
        previous = level = None
        if self.previous is not None:
            level = (torch.rand(size, generator=generator) * config.noise.lowres_sigma_max).to(device)
            batch["lowres_sigma"] = level
            previous = _as_clips(resize_frame(seen[:, [used.index(k) for k in earlier]], self.previous.size))
        draw = partial(_draw_noise, generator=generator)
        factor = 1 if self.previous is None else config.frames // self.previous.frames
        extent = StageExtent(count, config.size, factor, config.frames)
        tracker = None if self.tracker is None else self.tracker.to(device)
        begun = prepare_stage_input(extent, frame, frame_given, draw, previous, level, tracker)
        reference, noise = begun.reference, draw_stage_noise(begun, config.sampling.noise_share, draw)
        if config.crop:
            unit = config.unet.patch * 2 ** (len(config.unet.widths) - 1)
            y, x = (unit * torch.randint((config.size - config.crop) // unit + 1, (2,), generator=generator)).tolist()
            cut = (..., slice(y, y + config.crop), slice(x, x + config.crop))
            target, reference, noise = target[cut], reference[cut], noise[cut]
            side, k = config.crop * self.frame_scale, self.frame_scale
            frame = frame[..., y * k : y * k + side, x * k : x * k + side]
        for name in config.unet.scalars:
            hidden = torch.rand(size, generator=generator) < config.scalar_dropout.get(name, 0.0)
            batch[name] = torch.where(hidden, math.nan, drawn.known.get(name, torch.full((size,), math.nan)))
        sigma = draw_sigma((size,), config.noise.P_mean, config.noise.P_std, generator)
        if config.image_share:
            batch["apart"] = torch.rand(1, generator=generator).expand(size) < config.image_share
        if self.traced:
            landmarks = drawn.landmarks[:, list(window)]
            batch["landmarks"] = landmarks if views is None else views.map_points(landmarks)
        return batch | {
            "residual": target - reference,
            "noise": noise,
            "sigma": sigma,
            "frame": frame,
            "frame_given": frame_given,
            "shown": drawn.shown[:, list(window)],
            "reference": reference.contiguous(),
        }

    def _draw_window(self, generator: torch.Generator) -> tuple[int, int]:
        """First frame and number of the stage's frames that a batch shows."""
        config = self.config
        if not config.window or self.previous is None:
            return 0, config.frames
        # Windows start on a frame that the previous stage has, so that its frames keep their place in the window.
        step = config.frames // self.previous.frames
        places = (config.frames - config.window) // step + 1
        return step * int(torch.randint(places, (1,), generator=generator)), config.window

    def _source_frames(self, start: int, count: int) -> range:
        """Which of the source's frames are those of this stage."""
        stride = round(self.source.fps / self.config.fps)
        return range(start * stride, (start + count - 1) * stride + 1, stride)

    def _earlier(self, start: int, count: int) -> range:
        """Those of the source's frames that the previous stage has, for some frames of this one; none without one."""
        if self.previous is None:
            return range(0)
        factor = self.config.frames // self.previous.frames
        stride = round(self.source.fps / self.previous.fps)
        first, last = start // factor, (start + count - 1) // factor
        # One frame more than the window needs, where there is one: interpolation looks ahead.
        stop = min(last + 2, self.previous.frames) if factor > 1 else last + 1
        return range(first * stride, (stop - 1) * stride + 1, stride)

    def draw_whole(self, size: int, generator: torch.Generator) -> WholeClips:
        """Draw clips as sampling sees them: the whole stage, uncropped, with its conditions, for previews."""
        config = self.config
        drawn = self.source.draw(size, generator)
        truth = to_network(drawn.clips[:, list(self._source_frames(0, config.frames))])
        previous = None
        if self.previous is not None:
            stride = round(self.source.fps / self.previous.fps)
            earlier = to_network(drawn.clips[:, : self.previous.frames * stride : stride])
            previous = _as_clips(resize_frame(earlier, self.previous.size))
        frame = None if config.kind == "frame" else to_network(rearrange(drawn.frames, "b h w -> b 1 h w"))
        return WholeClips(_as_clips(resize_frame(truth, config.size)), previous, frame, drawn.known)

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """EDM loss, mean over the frames of each clip that are shown; about 1 for an untrained network."""
        count = len(batch["sigma"])
        if "apart" in batch and bool(batch["apart"][0]):
            batch = _take_apart(batch)
        sigma, residual = batch["sigma"], batch["residual"]
        level = rearrange(sigma, "b -> b 1 1 1 1")
        denoised = self.denoise(model, batch, sigma, residual + level * batch["noise"])
        loss = (self.preconditioning.loss_weight(level) * (denoised - residual) ** 2).mean(dim=(1, 3, 4))
        per_clip = "(b k) t -> b (k t)"  # frames that were taken apart belong to one clip again
        return masked_mean(rearrange(loss, per_clip, b=count), rearrange(batch["shown"], per_clip, b=count))

    def denoise(self, model: nn.Module, batch: Batch, sigma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """D(x; sigma) under a batch's conditions, (B, 1, T, H, W) with sigma (B,)."""
        lowres = {}
        if self.previous is not None:
            lowres = {"lowres": batch["reference"], "lowres_sigma": batch["lowres_sigma"]}
        scalars = {name: batch[name] for name in self.config.unet.scalars}
        given = {"frame": batch["frame"], "frame_given": batch["frame_given"]}
        return self.preconditioning.denoise(model, x, sigma, scalars=scalars, **given, **lowres)


def _as_clips(pictures: torch.Tensor) -> torch.Tensor:
    return rearrange(pictures, "b t h w -> b 1 t h w")


def _draw_noise(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return draw_normal(like.shape, generator, like.device)


def _take_apart(batch: Batch) -> Batch:
    """Every frame as a clip of its own, under the conditions of the clip that it comes from."""
    frames = batch["residual"].shape[2]

    def part(name: str, value: torch.Tensor) -> torch.Tensor:
        if name in ("residual", "noise", "reference"):
            return rearrange(value, "b c t h w -> (b t) c 1 h w")
        if name == "shown":
            return rearrange(value, "b t -> (b t) 1")
        return repeat(value, "b ... -> (b t) ...", t=frames)

    return {name: part(name, value) for name, value in batch.items()}
