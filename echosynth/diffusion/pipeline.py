"""EchoCascadePipeline: one frame and a target EF in, a clip out, by any chain of stages.

diffusers finds components by their argument name and class, so stages are flat: `base_unet, base_scheduler, sr1_unet,
...` (nested pipelines lose `.to()`). Sampling state stays float32; only the networks may run in half precision.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput

from echosynth.diffusion.calibration import calibrate_ef, check_calibration
from echosynth.diffusion.cascade import StageSpec, base_reference, check_chain, match_frames, superres_reference
from echosynth.diffusion.ef_guide import EFGuide, EFReading
from echosynth.diffusion.embeddings import read_scalar
from echosynth.diffusion.guidance import GUIDED, guided_denoiser, steered_denoiser
from echosynth.diffusion.precision import has_fast_bf16
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.tissue_tracker import TissueTracker, carry_detail, share_noise
from echosynth.diffusion.unet3d import UNet3D
from echosynth.edm.noise import Generators, draw_noise
from echosynth.video.clip import from_network

MAX_STAGES = 4
Callback = Callable[["EchoCascadePipeline", int, torch.Tensor, dict[str, torch.Tensor]], None]


@dataclass
class EchoCascadeOutput(BaseOutput):
    """Generated clips.

    Attributes:
        clips: uint8 numpy (B, T, H, W) for output_type "np", float (B, 1, T, H, W) in [-1, 1] for "pt".
        fps: Hz.
    """

    clips: np.ndarray | torch.Tensor
    fps: float


class EchoCascadePipeline(DiffusionPipeline):
    """A cascade of one to four stages.

    Args:
        base_unet: network of the base, and likewise sr1_unet, sr2_unet, sr3_unet.
        base_scheduler: its noise ladder and solver, and likewise for the others.
        ef_guide: reads EF off noisy clips, for stages with a steering_scale; None for none.
        tissue_tracker: follows the conditioning frame's tissue, for stages that are tracked; None for none.
        stages: one dictionary per stage, see `StageSpec`. It has a default only because diffusers takes an argument
            without one for a component; an empty chain is refused.
        ef_calibration: rising pairs (EF asked for, EF told to the networks), per cent, linear in between and constant
            beyond; what networks overdo or miss, the pairs, measured on held-out patients, take back.
    """

    model_cpu_offload_seq = "ef_guide->tissue_tracker->base_unet->sr1_unet->sr2_unet->sr3_unet"
    _optional_components = [  # noqa: RUF012
        "ef_guide",
        "tissue_tracker",
        *(f"sr{k}_{part}" for k in range(1, MAX_STAGES) for part in ("unet", "scheduler")),
    ]
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012

    def __init__(
        self,
        base_unet: UNet3D,
        base_scheduler: EDMScheduler,
        sr1_unet: UNet3D | None = None,
        sr1_scheduler: EDMScheduler | None = None,
        sr2_unet: UNet3D | None = None,
        sr2_scheduler: EDMScheduler | None = None,
        sr3_unet: UNet3D | None = None,
        sr3_scheduler: EDMScheduler | None = None,
        ef_guide: EFGuide | None = None,
        tissue_tracker: TissueTracker | None = None,
        stages: list[dict[str, Any]] | None = None,
        ef_calibration: list[list[float]] | None = None,
    ) -> None:
        super().__init__()
        specs = [StageSpec(**stage) for stage in stages or []]
        check_chain(specs)
        if tissue_tracker is None and any(spec.tracked for spec in specs):
            raise ValueError("a stage is tracked, but there is no tissue_tracker")
        check_calibration(ef_calibration)
        self.register_modules(
            base_unet=base_unet,
            base_scheduler=base_scheduler,
            sr1_unet=sr1_unet,
            sr1_scheduler=sr1_scheduler,
            sr2_unet=sr2_unet,
            sr2_scheduler=sr2_scheduler,
            sr3_unet=sr3_unet,
            sr3_scheduler=sr3_scheduler,
            ef_guide=ef_guide,
            tissue_tracker=tissue_tracker,
        )
        self.register_to_config(stages=[spec.to_dict() for spec in specs], ef_calibration=ef_calibration)

    @classmethod
    def from_stages(
        cls,
        specs: Sequence[StageSpec],
        networks: Mapping[str, UNet3D],
        schedulers: Mapping[str, EDMScheduler],
        ef_calibration: list[list[float]] | None = None,
        ef_guide: EFGuide | None = None,
        tissue_tracker: TissueTracker | None = None,
    ) -> "EchoCascadePipeline":
        """Build from parts named after the stages."""
        parts: dict[str, Any] = {f"{spec.name}_unet": networks[spec.name] for spec in specs}
        parts |= {f"{spec.name}_scheduler": schedulers[spec.name] for spec in specs}
        parts |= {"ef_guide": ef_guide, "tissue_tracker": tissue_tracker}
        return cls(stages=[spec.to_dict() for spec in specs], ef_calibration=ef_calibration, **parts)

    @property
    def stages(self) -> list[StageSpec]:
        """The stages whose network is loaded, in order: a caller may leave the last ones out (sr2_unet=None)."""
        config: Any = self.config
        specs = [StageSpec(**stage) for stage in config.stages]
        present = [getattr(self, f"{spec.name}_unet") is not None for spec in specs]
        return specs[: present.index(False)] if False in present else specs

    def passes(
        self,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        steering_scale: float | None = None,
    ) -> dict[str, int]:
        """Network evaluations per clip and stage.

        A guided step counts twice, each reading of the EF guide or the tissue tracker once.
        """
        counts = {}
        for spec in self._specs(num_inference_steps, guidance_scale, steering_scale):
            scheduler: EDMScheduler = getattr(self, f"{spec.name}_scheduler")
            scheduler.set_timesteps(spec.num_inference_steps)
            listens = GUIDED in getattr(self, f"{spec.name}_unet").config.scalars
            share = 1.0
            for on, low, high in (
                (listens and spec.guidance_scale != 1.0, spec.guidance_low, spec.guidance_high),
                (self.ef_guide is not None and spec.steering_scale, spec.steering_low, spec.steering_high),
            ):
                within = [low <= float(sigma) <= high for sigma in scheduler.sigmas[:-1]]
                share += sum(within) / len(within) if on else 0.0
            counts[spec.name] = round(scheduler.passes(spec.num_inference_steps) * share) + spec.tracked
        return counts

    def _specs(
        self, num_inference_steps: int | None, guidance_scale: float | None, steering_scale: float | None
    ) -> list[StageSpec]:
        """The stages, with the caller's wishes for the base."""
        base, *rest = self.stages
        if num_inference_steps is not None:
            base = replace(base, num_inference_steps=num_inference_steps)
        if guidance_scale is not None:
            base = replace(base, guidance_scale=guidance_scale)
        if steering_scale is not None:
            base = replace(base, steering_scale=steering_scale)
        return [base, *rest]

    @torch.no_grad()
    def __call__(
        self,
        frame: torch.Tensor,
        ef: float | Sequence[float] | torch.Tensor,
        heart_rate: float | Sequence[float] | torch.Tensor | None = None,
        phase: float | Sequence[float] | torch.Tensor | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        steering_scale: float | None = None,
        generator: Generators | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
    ) -> EchoCascadeOutput | tuple[np.ndarray | torch.Tensor]:
        """Generate one clip per frame.

        Args:
            frame: conditioning frames (B, 1, S, S) in [-1, 1]; frame 0 of the clip shows the same moment of the beat.
            ef: target EF in per cent, one for all or (B,), within 1-95.
            heart_rate: beats per minute, one for all or (B,), within 30-150; None leaves it to the model.
            phase: share of a beat that has passed at the frame, 0 at end-diastole, one for all or (B,), within 0-1;
                None leaves it to the model to see.
            num_inference_steps: solver steps of the base; None for the model's own. The other stages keep theirs.
            guidance_scale: of the base; None for the model's own, 1 for none.
            steering_scale: of the base by the EF guide; None for the model's own, 0 for none.
            generator: one for the batch or one per clip; CPU generators give the same noise on every device.
            output_type: "np" for uint8 (B, T, H, W), "pt" for float (B, 1, T, H, W) in [-1, 1].
            return_dict: False for a plain tuple.
            callback_on_step_end: called as (pipeline, step, sigma, {"latents": x}) after every solver step.

        Returns:
            Clips and their frame rate.

        Raises:
            ValueError: an argument has the wrong shape or range.
        """
        self._check(frame, output_type, num_inference_steps)
        device = self._execution_device
        frame = frame.to(device, torch.float32)
        config: Any = self.config
        scalars = {"ef": calibrate_ef(read_scalar("ef", ef, 1, 95, "per cent", frame), config.ef_calibration)}
        scalars["heart_rate"] = read_scalar("heart_rate", heart_rate, 30, 150, "beats per minute", frame)
        scalars["phase"] = read_scalar("phase", phase, 0, 1, "of a beat", frame)
        specs = self._specs(num_inference_steps, guidance_scale, steering_scale)
        clip: torch.Tensor | None = None
        with self.progress_bar(total=sum(spec.num_inference_steps for spec in specs)) as bar:
            for spec in specs:

                def on_step(index: int, sigma: torch.Tensor, x: torch.Tensor) -> None:
                    bar.update()
                    if callback_on_step_end is not None:
                        callback_on_step_end(self, index, sigma, {"latents": x})

                clip = self._run_stage(spec, clip, frame, scalars, generator, on_step)
        assert clip is not None
        self.maybe_free_model_hooks()
        clip = clip.clamp(-1, 1)
        made = from_network(clip[:, 0]) if output_type == "np" else clip
        return EchoCascadeOutput(clips=made, fps=specs[-1].fps) if return_dict else (made,)

    def _check(self, frame: torch.Tensor, output_type: str, steps: int | None) -> None:
        unet: Any = self.base_unet
        side = self.stages[0].size * unet.config.frame_patch // unet.config.patch
        if frame.ndim != 4 or frame.shape[1:] != (1, side, side):
            raise ValueError(f"frame must be (B, 1, {side}, {side}), got {tuple(frame.shape)}")
        if output_type not in ("np", "pt"):
            raise ValueError(f"output_type must be 'np' or 'pt', got {output_type!r}")
        if steps is not None and steps < 1:
            raise ValueError(f"num_inference_steps must be at least 1, got {steps}")

    def _run_stage(
        self,
        spec: StageSpec,
        previous: torch.Tensor | None,
        frame: torch.Tensor,
        scalars: Mapping[str, torch.Tensor],
        generator: Generators | None,
        on_step: Callable[[int, torch.Tensor, torch.Tensor], None],
    ) -> torch.Tensor:
        """One stage's clip, (B, 1, T, H, W) in about [-1, 1]."""
        unet: Any = getattr(self, f"{spec.name}_unet")
        scheduler: EDMScheduler = getattr(self, f"{spec.name}_scheduler")
        moved: torch.Tensor | None = None
        given = {"frame": frame, "frame_given": torch.ones(len(frame), dtype=torch.bool, device=frame.device)}
        if previous is None:
            reference = base_reference(frame, spec.frames, spec.size)
        else:
            level = torch.full((len(frame),), spec.lowres_sigma, device=frame.device)
            previous = previous + spec.lowres_sigma * draw_noise(previous, generator)
            reference = superres_reference(previous, spec.frames, spec.size)
            if spec.tracked:
                assert self.tissue_tracker is not None
                with torch.autocast(frame.device.type, torch.bfloat16, enabled=has_fast_bf16(frame.device)):
                    moved = self.tissue_tracker(match_frames(previous, spec.frames), level, frame)
                reference = reference + carry_detail(frame, moved, spec.size)
            given |= {"lowres": reference, "lowres_sigma": level}
        told = {name: value for name, value in scalars.items() if name in unet.config.scalars}

        def network(x: torch.Tensor, c_noise: torch.Tensor, **conditions: Any) -> torch.Tensor:
            # Native bf16 is two to four times faster and leaves the sampler's float32 state alone.
            with torch.autocast(x.device.type, torch.bfloat16, enabled=has_fast_bf16(x.device)):
                return unet(x, c_noise, **conditions)

        levels = scheduler.preconditioning
        denoise = guided_denoiser(
            network, levels, told, given, spec.guidance_scale, spec.guidance_low, spec.guidance_high
        )
        if self.ef_guide is not None and spec.steering_scale:

            def guide(x: torch.Tensor, c_noise: torch.Tensor, reference: torch.Tensor) -> EFReading:
                with torch.autocast(x.device.type, torch.bfloat16, enabled=has_fast_bf16(x.device)):
                    return self.ef_guide(x, c_noise, reference)

            denoise = steered_denoiser(
                denoise,
                guide,
                levels,
                reference,
                scalars["ef"],
                spec.steering_scale,
                spec.steering_low,
                spec.steering_high,
            )
        scheduler.set_timesteps(spec.num_inference_steps, device=frame.device)
        start = draw_noise(reference, generator)
        if spec.noise_share:
            start = share_noise(start, draw_noise(reference[:, :, 0], generator), spec.noise_share, moved)
        return reference + scheduler.sample(denoise, start * scheduler.init_noise_sigma, generator, on_step)
