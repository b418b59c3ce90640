"""How clips are asked of a cascade: a frame and numbers in, an `EchoClip` out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.ranges import check_range
from echosynth.diffusion.conditions import CONDITIONS
from echosynth.diffusion.observed import ObservedFrames
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import ConfigError
from echosynth.video.clip import EchoClip, from_network, to_network
from echosynth.video.resample import resample_time, resize

StepHook = Callable[[], None]


@dataclass(frozen=True)
class Sampling:
    """How clips are made and how often.

    Attributes:
        seed: root seed.
        max_attempts: per sample, >= 1.
        tolerance: of the gate.
        num_inference_steps: of the base; None for the model's own.
        guidance_scale: of the base; None for the model's own.
        conditions: values of other `CONDITIONS` than EF, by name; the model chooses those that are missing.
        seconds: length of the clips, to the nearest that the model can make; None for the model's own.
        fps: Hz of the clips; None for the model's own.
        size: side of the clips, pixels; None for the model's own.

    Raises:
        ConfigError: a value is out of range.
    """

    seed: int = 0
    max_attempts: int = 3
    tolerance: Tolerance = Tolerance()  # noqa: RUF009
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    conditions: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    fps: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_attempts", "num_inference_steps", "guidance_scale", "seconds", "fps", "size"):
            check_range(name, getattr(self, name))
        for name, value in self.conditions.items():
            check_range(name, value)

    def num_frames(self, pipeline: EchoCascadePipeline) -> int:
        """Frames that a cascade makes for this."""
        base, last = pipeline.stages[0], pipeline.stages[-1]
        if self.seconds is None:
            return last.frames
        return max(1, round(self.seconds * base.fps)) * (last.frames // base.frames)

    def num_steps(self, pipeline: EchoCascadePipeline) -> int:
        """Solver steps of one clip, all stages together."""
        base, *later = pipeline.stages
        return (self.num_inference_steps or base.num_inference_steps) + sum(s.num_inference_steps for s in later)

    def require_support(self, pipeline: EchoCascadePipeline, name: str) -> None:
        """Raise ConfigError, whose key is the condition, if a condition is given that the cascade `name` ignores."""
        for condition in self.conditions:
            if condition not in pipeline.supported_conditions:
                title = CONDITIONS[condition].title
                raise ConfigError(f"{name} does not support the {title}; leave {condition} out", condition)


@dataclass(frozen=True, eq=False)
class Start:
    """What a clip starts from.

    Attributes:
        frame: conditioning frame uint8 (H, W).
        beginning: first frames of the clip, the frame among them, that are kept as they are; None to keep none.
    """

    frame: np.ndarray
    beginning: EchoClip | None = None


def make_clip(
    pipeline: EchoCascadePipeline,
    start: Start,
    target_ef: float,
    seed: int,
    sampling: Sampling,
    on_step: StepHook | None = None,
    source: str = "",
) -> EchoClip:
    """Generate one clip; the same arguments give the same pixels.

    Args:
        pipeline: the cascade.
        start: frame and beginning; brought to the side and rate that the cascade reads.
        target_ef: per cent.
        seed: of the CPU generator.
        sampling: how; its seed and attempts are not used here.
        on_step: called after every solver step.
        source: name for the clip.

    Raises:
        ConfigError: the beginning leaves nothing to generate.
    """
    pipe: Any = pipeline  # diffusers sets its components and methods at run time
    num_frames, side, frame = sampling.num_frames(pipe), pipe.frame_side, start.frame
    pixels = frame if frame.shape == (side, side) else resize(frame, side)

    def hook(*_: Any) -> None:
        if on_step is not None:
            on_step()

    pipe.set_progress_bar_config(disable=True)
    made = pipe(
        to_network(pixels)[None, None],
        target_ef,
        num_frames=num_frames,
        num_inference_steps=sampling.num_inference_steps,
        guidance_scale=sampling.guidance_scale,
        generator=[torch.Generator().manual_seed(seed)],
        observed=None if start.beginning is None else _observed_frames(pipe, start.beginning, num_frames),
        callback_on_step_end=hook,
        **sampling.conditions,
    )
    clip = EchoClip(np.asarray(made.clips)[0], float(made.fps), ef=target_ef, source=source)
    if sampling.fps is not None:
        clip = clip.replace(pixels=resample_time(clip.pixels, clip.fps, sampling.fps), fps=sampling.fps)
    return clip if sampling.size is None else clip.replace(pixels=resize(clip.pixels, sampling.size))


def sample_frame(
    pipeline: EchoCascadePipeline, seed: int, conditions: Mapping[str, float | None] | None = None
) -> np.ndarray:
    """Sample a frame of a fictional patient, uint8 (H, W); `conditions` are values of `CONDITIONS` by name."""
    sampled = pipeline.sample_frames(1, [torch.Generator().manual_seed(seed)], **conditions or {})
    return np.asarray(from_network(sampled[0, 0]))


def _observed_frames(pipeline: EchoCascadePipeline, beginning: EchoClip, num_frames: int) -> ObservedFrames:
    """A clip's beginning as the cascade would have made it."""
    last = pipeline.stages[-1]
    pixels = resize(resample_time(beginning.pixels, beginning.fps, last.fps), last.size)
    if len(pixels) >= num_frames:
        raise ConfigError(
            f"the beginning lasts {len(pixels) / last.fps:.2f} s and the clip {num_frames / last.fps:.2f} s: nothing "
            "is left to generate; keep less, or ask for a longer clip"
        )
    clip = torch.zeros(1, 1, num_frames, last.size, last.size)
    clip[0, 0, : len(pixels)] = to_network(pixels)
    return ObservedFrames(clip, torch.arange(num_frames)[None] < len(pixels))
