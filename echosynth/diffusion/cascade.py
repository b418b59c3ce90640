"""The stages of a cascade, how they chain, and the reference that each one starts from.

    base       reference = the conditioning frame, held still for the length of the clip
    temporal   reference = the previous clip, linearly interpolated in time
    spatial    reference = the previous clip, bicubic in space
    both       reference = both
    frame      reference = black; the stage generates the frame of a fictional patient

In a tracked stage the TissueTracker estimates the displacement of the tissue, and a spatial reference also has the
conditioning frame's high frequencies, warped by that displacement (tissue_tracker.py).

Every stage generates the DIFFERENCE to its reference. Pixels that do not move, the patient's own speckle and scanner
marks included, are then right by construction, and the network has to model only motion. Frame 0 of a clip has the
cardiac phase of the conditioning frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from einops import pack, rearrange, repeat, unpack

FIRST_KINDS = ("frame", "base")
"""Kinds of stages that are given no earlier stage's clip."""

KINDS = (*FIRST_KINDS, "temporal", "spatial", "both")


@dataclass(frozen=True, kw_only=True)
class SamplingSpec:
    """How a stage is sampled unless a caller asks for something else.

    Attributes:
        guidance_scale: of classifier-free guidance, see `guided_scalar`; 1 means none.
        guidance_low: guide only at sigma >= this; below it EF hardly changes and the second pass is saved.
        guidance_high: guide only at sigma <= this.
        ef_guidance_scale: of EF guidance, see `ef_guided_denoiser`; 0 means none.
        ef_guidance_low: guide by the EFGuide only at sigma >= this.
        ef_guidance_high: guide by the EFGuide only at sigma <= this.
        correction: share of the EF error of a one-step sample that a second evaluation takes back, see
            `corrected_denoiser`; 0 means that there is no second evaluation.
        lowres_sigma: noise added to the previous clip, standard deviation in [-1, 1] units; 0 at the base.
        noise_share: share of the noise's variance that all frames have in common, see `mix_shared_noise`.
        tracked: whether its reference has the frame's high frequencies, warped by the tissue tracker.
    """

    guidance_scale: float = 1.0
    guidance_low: float = 0.0
    guidance_high: float = 1e9
    ef_guidance_scale: float = 0.0
    ef_guidance_low: float = 0.0
    ef_guidance_high: float = 1e9
    correction: float = 0.0
    lowres_sigma: float = 0.0
    noise_share: float = 0.0
    tracked: bool = False


@dataclass(frozen=True)
class StageSpec(SamplingSpec):
    """One stage of a cascade: what it makes, and how it is sampled.

    Attributes:
        name: "base", "sr1", "sr2", ...; "frame" for the stage that draws the frames of fictional patients.
        kind: one of `KINDS`.
        frames: frames of the clip it makes.
        fps: Hz.
        size: side of the picture it makes, pixels.
        num_inference_steps: solver steps by default.

    Raises:
        ValueError: a field is outside its range.
    """

    name: str
    kind: str
    frames: int
    fps: float
    size: int
    num_inference_steps: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"stage {self.name}: kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.tracked and self.kind not in ("spatial", "both"):
            raise ValueError(f"stage {self.name}: only a stage that adds detail can be tracked")
        if not 0 <= self.noise_share <= 1:
            raise ValueError(f"stage {self.name}: noise_share must lie within 0-1, got {self.noise_share}")
        if min(self.frames, self.size, self.num_inference_steps) < 1 or self.fps <= 0:
            raise ValueError(f"stage {self.name}: frames, size, num_inference_steps and fps must be positive")

    def to_dict(self) -> dict[str, object]:
        """Plain values, as they are saved in `model_index.json`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "StageSpec":
        """The stage of plain values, also of those that were saved when the EF guidance was called steering."""
        return cls(**{key.replace("steering_", "ef_guidance_"): value for key, value in values.items()})


def check_chain(stages: Sequence[StageSpec]) -> None:
    """Check that every stage continues where the previous one ends; a frame stage may go before them all.

    Raises:
        ValueError: the chain does not start with a base, or two neighbours do not fit together.
    """
    if stages and stages[0].kind == "frame":
        frame, *stages = stages
        if frame.frames != 1 or not stages or frame.size != stages[0].size:
            raise ValueError(f"stage {frame.name} makes one picture, of the size that the base makes")
    if not stages or stages[0].kind != "base":
        raise ValueError("a cascade starts with a stage of kind 'base'")
    for before, after in pairwise(stages):
        faster, larger = after.frames != before.frames, after.size != before.size
        kind = {(True, False): "temporal", (False, True): "spatial", (True, True): "both"}.get((faster, larger))
        if kind != after.kind:
            raise ValueError(f"stage {after.name} is of kind {after.kind!r}, but its size and frames make it {kind!r}")
        if after.frames % before.frames or after.size % before.size:
            raise ValueError(f"stage {after.name} must multiply the frames and the size of {before.name}")
        if abs(after.fps / before.fps - after.frames / before.frames) > 1e-6:
            raise ValueError(f"stage {after.name} must last as long as {before.name}: fps and frames disagree")


def with_num_frames(spec: StageSpec, base: StageSpec, base_frames: int) -> StageSpec:
    """A stage of a cascade whose base makes another number of frames."""
    return replace(spec, frames=spec.frames // base.frames * base_frames)


def override_stages(
    stages: Sequence[StageSpec],
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    ef_guidance_scale: float | None = None,
    num_frames: int | None = None,
) -> list[StageSpec]:
    """A chain with a caller's wishes for the base and for the length; None leaves them as they are.

    Raises:
        ValueError: the stages cannot make so few steps, or so many frames.
    """
    base, *rest = stages
    if num_frames is not None:
        factor = stages[-1].frames // base.frames
        if num_frames < factor or num_frames % factor:
            raise ValueError(f"num_frames must be a multiple of {factor}, got {num_frames}")
        base, *rest = (with_num_frames(spec, base, num_frames // factor) for spec in stages)
    if num_inference_steps is not None and num_inference_steps < 1:
        raise ValueError(f"num_inference_steps must be at least 1, got {num_inference_steps}")
    wishes: dict[str, Any] = {
        "num_inference_steps": num_inference_steps,
        "guidance_scale": guidance_scale,
        "ef_guidance_scale": ef_guidance_scale,
    }
    return [replace(base, **{name: wish for name, wish in wishes.items() if wish is not None}), *rest]


def resize_frame(frame: torch.Tensor, size: int) -> torch.Tensor:
    """Shrink pictures by area averaging: (..., S, S) -> (..., size, size); S a multiple of size."""
    if frame.shape[-1] == size:
        return frame
    flat, outer = pack([frame], "* h w")
    small = F.avg_pool2d(flat[:, None], frame.shape[-1] // size)[:, 0]
    return unpack(small, outer, "* h w")[0]


def upsample_time(clip: torch.Tensor, factor: int) -> torch.Tensor:
    """Linear interpolation in time, aligned so that frame k goes to frame k * factor; the last frame is held.

    (B, C, T, H, W) -> (B, C, T * factor, H, W).
    """
    following = torch.cat([clip[:, :, 1:], clip[:, :, -1:]], dim=2)
    share = torch.arange(factor, device=clip.device).to(clip.dtype)[:, None, None] / factor
    between = clip[:, :, :, None] * (1 - share) + following[:, :, :, None] * share
    return rearrange(between, "b c t factor h w -> b c (t factor) h w")


def upsample_space(clip: torch.Tensor, size: int) -> torch.Tensor:
    """Bicubic enlargement: (B, C, T, h, w) -> (B, C, T, size, size)."""
    flat = rearrange(clip, "b c t h w -> (b t) c h w")
    flat = F.interpolate(flat, size=(size, size), mode="bicubic", align_corners=False)
    return rearrange(flat, "(b t) c h w -> b c t h w", t=clip.shape[2])


def base_reference(frame: torch.Tensor, frames: int, size: int) -> torch.Tensor:
    """The conditioning frame held still: (B, 1, S, S) -> (B, 1, frames, size, size)."""
    return repeat(resize_frame(frame, size), "b c h w -> b c t h w", t=frames)


def match_frames(previous: torch.Tensor, frames: int) -> torch.Tensor:
    """The previous stage's clip at this stage's frames: (B, 1, t, h, w) -> (B, 1, frames, h, w)."""
    return previous if frames == previous.shape[2] else upsample_time(previous, frames // previous.shape[2])


def superres_reference(previous: torch.Tensor, frames: int, size: int) -> torch.Tensor:
    """The previous stage's clip at this stage's frames and size: (B, 1, t, h, w) -> (B, 1, frames, size, size)."""
    previous = match_frames(previous, frames)
    return previous if size == previous.shape[-1] else upsample_space(previous, size)
