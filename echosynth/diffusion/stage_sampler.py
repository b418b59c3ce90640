"""Sampling of one stage: the request of a caller, and the stage's networks, sampler and noise."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.guidance import guided_scalar
from echosynth.diffusion.observed import ObservedFrames, hold_observed
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.stage_denoiser import WindowedGuide, WindowedUNet, build_denoiser
from echosynth.diffusion.stage_input import StageExtent, draw_stage_noise, prepare_stage_input
from echosynth.diffusion.stage_seeds import StageSeeds
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.diffusion.unet3d import UNet3D
from echosynth.edm.heun import StepCallback
from echosynth.edm.noise import Generators, draw_noise


@dataclass(frozen=True, eq=False)
class SamplingRequest:
    """What every stage of a cascade is asked for.

    Attributes:
        frame: conditioning frames (B, 1, S, S) in [-1, 1]; None for fictional patients.
        scalars: the `CONDITIONS` by name, (B,) each, NaN where not given; `ef` is the calibrated EF.
        generator: one for the batch or one for each clip; the first stage draws from it.
        observed: frames to keep; None for none.
        seeds: of the stages' noise, made of the generator as it is when the request is.
    """

    frame: torch.Tensor | None
    scalars: Mapping[str, torch.Tensor]
    generator: Generators | None = None
    observed: ObservedFrames | None = None
    seeds: StageSeeds = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", StageSeeds(self.generator))

    @property
    def count(self) -> int:
        """How many clips, B."""
        return len(self.scalars["ef"])

    @property
    def device(self) -> torch.device:
        """Where they are made."""
        return self.scalars["ef"].device

    def conditioning(self, side: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The frames (B, 1, side, side) and whether they are given, bool (B,); grey pictures where they are not."""
        given = torch.full((self.count,), self.frame is not None, device=self.device)
        if self.frame is not None:
            return self.frame, given
        return torch.zeros(self.count, 1, side, side, device=self.device), given


@dataclass(frozen=True, eq=False)
class StageSampler:
    """One stage with everything that it samples with.

    Attributes:
        spec: the stage; `frames` may be more or fewer than its network has learnt.
        window: frames that its network sees at once; a base always sees the whole clip, because only it knows that
            the first frame is the moment of the conditioning frame, and EF is read in windows of as many.
        unet: its network.
        scheduler: its noise ladder and solver.
        frame_side: of conditioning frames, pixels.
        guide: reads EF off noisy clips; None for none.
        tracker: follows the conditioning frame's tissue; None unless the stage is tracked.
    """

    spec: StageSpec
    window: int
    unet: UNet3D
    scheduler: EDMScheduler
    frame_side: int
    guide: EFGuide | None = None
    tracker: TissueTracker | None = None

    def passes(self) -> int:
        """Network evaluations that a clip takes.

        A guided step counts twice, a corrected one is made twice; each reading of the EF guide, two for a correction,
        and the tissue tracker count once.
        """
        spec, learnt = self.spec, self.unet.config
        self.scheduler.set_timesteps(spec.num_inference_steps)
        guided = spec.guidance_scale != 1.0 and guided_scalar(learnt.scalars) is not None
        corrected, ef_guided = (
            self.guide is not None and scale != 0 for scale in (spec.correction, spec.ef_guidance_scale)
        )
        share = 0.0
        for sigma in self.scheduler.sigmas[:-1].tolist():
            asked = 1 + (guided and spec.guidance_low <= sigma <= spec.guidance_high)
            read = 2 * corrected + (ef_guided and spec.ef_guidance_low <= sigma <= spec.ef_guidance_high)
            share += (asked * (1 + corrected) + read) / spec.num_inference_steps
        return round(self.scheduler.passes(spec.num_inference_steps) * share) + spec.tracked

    def sample(self, previous: torch.Tensor | None, request: SamplingRequest, on_step: StepCallback) -> torch.Tensor:
        """Make the stage's clip.

        Args:
            previous: the previous stage's clip, (B, 1, t, h, w) in about [-1, 1]; None for the first stage of a chain.
            request: what is asked for.
            on_step: called after every solver step with its number, the level reached and the clip there.

        Returns:
            (B, 1, T, H, W) in about [-1, 1].
        """
        spec, scheduler = self.spec, self.scheduler
        generator = request.seeds.generators(spec.name, first=previous is None)
        draw = partial(draw_noise, generator=generator)
        frame, frame_given = request.conditioning(self.frame_side)
        given: dict[str, Any] = {"frame": frame, "frame_given": frame_given}
        level, time_factor, window = None, 1, spec.frames
        if previous is not None:
            level = torch.full((request.count,), spec.lowres_sigma, device=request.device)
            time_factor, window = spec.frames // previous.shape[2], self.window
        extent = StageExtent(spec.frames, spec.size, time_factor, window)
        start = prepare_stage_input(extent, frame, frame_given, draw, previous, level, self.tracker)
        if previous is not None:
            given |= {"lowres": start.reference, "lowres_sigma": level}
        denoise = build_denoiser(
            spec,
            WindowedUNet(self.unet, window),
            None if self.guide is None else WindowedGuide(self.guide, self.window),
            scheduler.preconditioning,
            request.scalars,
            given,
            start.reference,
        )
        scheduler.set_timesteps(spec.num_inference_steps, device=request.device)
        x = draw_stage_noise(start, spec.noise_share, draw) * scheduler.init_noise_sigma
        if request.observed is not None:
            denoise, x = hold_observed(denoise, x, request.observed, start.reference)
        return start.reference + scheduler.sample(denoise, x, generator, on_step)
