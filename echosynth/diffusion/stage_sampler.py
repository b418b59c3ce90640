"""Sampling of one stage: what a caller asks for, and how a stage's networks, sampler and noise answer it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from echosynth.diffusion.cascade import StageSpec, base_reference, match_frames, resize_frame, superres_reference
from echosynth.diffusion.ef_guide import EFGuide, EFReading
from echosynth.diffusion.guidance import (
    Denoise,
    corrected_denoiser,
    guided_denoiser,
    guided_scalar,
    steered_denoiser,
)
from echosynth.diffusion.precision import has_fast_bf16
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.tissue_tracker import TissueTracker, mix_shared_noise, warp_high_frequencies
from echosynth.diffusion.unet3d import UNet3D
from echosynth.diffusion.windows import blend_windows, window_starts
from echosynth.edm.heun import StepCallback
from echosynth.edm.noise import Generators, draw_noise

OVERLAP = 0.375  # of a window, shared with the next one; at 0.25 a quiet moment of the beat shows the seam

KNOWN_STEPS = 8  # of a base: in one jump from nearly pure noise it would see next to nothing of frames that are known


@dataclass(frozen=True, eq=False)
class ObservedFrames:
    """Frames of the clip that are not to be generated but kept.

    Attributes:
        clip: (B, 1, T, S, S) in [-1, 1], at the cascade's own rate and size; whatever is not kept may hold anything.
        kept: bool (B, T).

    Raises:
        ValueError: the shapes do not fit together.
    """

    clip: torch.Tensor
    kept: torch.Tensor

    def __post_init__(self) -> None:
        if self.clip.ndim != 5 or self.kept.shape != (len(self.clip), self.clip.shape[2]):
            raise ValueError(
                f"known frames must be (B, 1, T, S, S) with kept (B, T), got {tuple(self.clip.shape)} and "
                f"{tuple(self.kept.shape)}"
            )

    def fit(self, count: int, spec: StageSpec, device: torch.device) -> "ObservedFrames":
        """The same on a device.

        Raises:
            ValueError: they are not frames of so many of the clips that the stage makes.
        """
        shape = (count, 1, spec.frames, spec.size, spec.size)
        if self.clip.shape != shape:
            raise ValueError(f"known frames must be {shape}, got {tuple(self.clip.shape)}")
        return ObservedFrames(self.clip.to(device, torch.float32), self.kept.to(device))

    def at(self, frames: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As a stage would see them: (B, 1, frames, size, size), and which are kept, bool (B, 1, frames, 1, 1)."""
        stride = self.clip.shape[2] // frames
        return resize_frame(self.clip[:, 0, ::stride], size)[:, None], self.kept[:, None, ::stride, None, None]


@dataclass(frozen=True, eq=False)
class SamplingRequest:
    """What every stage of a cascade is asked for.

    Attributes:
        frame: conditioning frames (B, 1, S, S) in [-1, 1]; None for patients that nobody has seen.
        scalars: the `CONDITIONS` by name, (B,) each, NaN where not given.
        generator: one for the batch or one for each clip.
        known: frames to keep; None for none.
    """

    frame: torch.Tensor | None
    scalars: Mapping[str, torch.Tensor]
    generator: Generators | None = None
    known: ObservedFrames | None = None

    @property
    def count(self) -> int:
        """How many clips, B."""
        return len(self.scalars["ef"])


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
        spec, listens = self.spec, self.unet.config
        self.scheduler.set_timesteps(spec.num_inference_steps)
        guided = spec.guidance_scale != 1.0 and guided_scalar(listens.scalars) is not None
        corrected, steered = (
            self.guide is not None and scale != 0 for scale in (spec.correction, spec.ef_guidance_scale)
        )
        share = 0.0
        for sigma in self.scheduler.sigmas[:-1].tolist():
            asked = 1 + (guided and spec.guidance_low <= sigma <= spec.guidance_high)
            read = 2 * corrected + (steered and spec.ef_guidance_low <= sigma <= spec.ef_guidance_high)
            share += (asked * (1 + corrected) + read) / spec.num_inference_steps
        return round(self.scheduler.passes(spec.num_inference_steps) * share) + spec.tracked

    def sample(self, previous: torch.Tensor | None, request: SamplingRequest, on_step: StepCallback) -> torch.Tensor:
        """Make the stage's clip.

        Args:
            previous: the previous stage's clip, (B, 1, t, h, w) in about [-1, 1]; None for a base.
            request: what is asked for.
            on_step: called after every solver step with its number, the level reached and the clip there.

        Returns:
            (B, 1, T, H, W) in about [-1, 1].
        """
        spec, scheduler, generator = self.spec, self.scheduler, request.generator
        device = request.scalars["ef"].device
        level = torch.full((request.count,), spec.lowres_sigma, device=device)
        moved: torch.Tensor | None = None
        if previous is None:
            reference = self._still(request, device)
        else:
            previous = previous + spec.lowres_sigma * draw_noise(previous, generator)
            reference = superres_reference(previous, spec.frames, spec.size)
            if self.tracker is not None:
                moved = self._track(match_frames(previous, spec.frames), level, request.frame)
                if request.frame is not None:
                    reference = reference + warp_high_frequencies(request.frame, moved, spec.size)
        denoise = self._denoiser(request, reference, None if previous is None else level)
        scheduler.set_timesteps(spec.num_inference_steps, device=device)
        noise = draw_noise(reference, generator)
        if spec.noise_share:
            noise = mix_shared_noise(noise, draw_noise(reference[:, :, 0], generator), spec.noise_share, moved)
        x = noise * scheduler.init_noise_sigma
        if request.known is not None:
            denoise, x = _keep(denoise, x, request.known, reference)
        return reference + scheduler.sample(denoise, x, generator, on_step)

    def _still(self, request: SamplingRequest, device: torch.device) -> torch.Tensor:
        """What a base differs from: the conditioning frame, or black where there is none, as in training."""
        if request.frame is not None:
            return base_reference(request.frame, self.spec.frames, self.spec.size)
        shape = (request.count, 1, self.spec.frames, self.spec.size, self.spec.size)
        return torch.full(shape, -1.0, device=device)

    def _track(self, clip: torch.Tensor, level: torch.Tensor, frame: torch.Tensor | None) -> torch.Tensor:
        """Where the tissue of every frame is in the conditioning frame, or in the clip's first one without it."""
        assert self.tracker is not None
        tracker, still = self.tracker, clip[:, :, 0] if frame is None else frame

        def run(cut: slice) -> torch.Tensor:
            return tracker(clip[:, :, cut], level, still)

        with _fast(clip.device):
            return blend_windows(run, clip.shape[2], self.window, int(OVERLAP * self.window))

    def _denoiser(self, request: SamplingRequest, reference: torch.Tensor, level: torch.Tensor | None) -> Denoise:
        """D(x, sigma): the network in windows, guided, corrected and steered."""
        spec, device, levels = self.spec, reference.device, self.scheduler.preconditioning
        listens: Any = self.unet.config
        told = {name: value for name, value in request.scalars.items() if name in listens.scalars}
        frame = request.frame
        if frame is None:
            frame = torch.zeros(request.count, 1, self.frame_side, self.frame_side, device=device)
        seen = torch.full((request.count,), request.frame is not None, device=device)
        given = {"frame": frame, "frame_given": seen}
        if level is not None:
            given |= {"lowres": reference, "lowres_sigma": level}
        window = spec.frames if level is None else self.window

        def network(x: torch.Tensor, c_noise: torch.Tensor, **conditions: Any) -> torch.Tensor:
            def run(cut: slice) -> torch.Tensor:
                here = {"lowres": conditions["lowres"][:, :, cut]} if "lowres" in conditions else {}
                return self.unet(x[:, :, cut], c_noise, **conditions | here)

            # Native bf16 is two to four times faster and leaves the sampler's float32 state alone.
            with _fast(x.device):
                return blend_windows(run, x.shape[2], window, int(OVERLAP * window))

        def denoise_told(ef: torch.Tensor) -> Denoise:
            scalars = told | {"ef": ef} if "ef" in told else told
            return guided_denoiser(
                network, levels, scalars, given, spec.guidance_scale, spec.guidance_low, spec.guidance_high
            )

        ef = request.scalars["ef"]
        if self.guide is None:
            return denoise_told(ef)
        denoise = corrected_denoiser(denoise_told, self._read_ef, levels, reference, ef, spec.correction)
        return steered_denoiser(
            denoise,
            self._read_ef,
            levels,
            reference,
            ef,
            spec.ef_guidance_scale,
            spec.ef_guidance_low,
            spec.ef_guidance_high,
        )

    def _read_ef(self, x: torch.Tensor, c_noise: torch.Tensor, reference: torch.Tensor) -> EFReading:
        """EF and its standard deviation (windows, B) in every window of as many frames as the guide has learnt."""
        assert self.guide is not None
        window = min(self.window, x.shape[2])
        cuts = [slice(start, start + window) for start in window_starts(x.shape[2], window)]
        with _fast(x.device):
            read = [self.guide(x[:, :, cut], c_noise, reference[:, :, cut]) for cut in cuts]
        return EFReading(*(torch.stack(part) for part in zip(*read, strict=True)))


def _fast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device))


def _keep(
    denoise: Denoise, x: torch.Tensor, known: ObservedFrames, reference: torch.Tensor
) -> tuple[Denoise, torch.Tensor]:
    """Let a sampler know the answer for some frames: it starts and ends there, and the network sees them on its way."""
    clip, kept = known.at(reference.shape[2], reference.shape[-1])
    answer = clip - reference

    def keeping(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return torch.where(kept, answer, denoise(x, sigma))

    return keeping, torch.where(kept, x + answer, x)
