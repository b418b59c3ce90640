"""EchoCascadePipeline: one frame and a target EF in, a clip out, by any chain of stages.

diffusers finds components by their argument name and class, so stages are flat: `base_unet, base_scheduler, sr1_unet,
...` (nested pipelines lose `.to()`). Sampling state stays float32; only the networks may run in half precision.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from echosynth.diffusion.calibration import calibrate_ef, check_calibration
from echosynth.diffusion.cascade import StageSpec, check_chain, override_stages, upsample_space, with_num_frames
from echosynth.diffusion.cascade_output import EchoCascadeOutput
from echosynth.diffusion.cascade_stages import CascadeStages
from echosynth.diffusion.components import PART_CLASSES, check_components, check_part
from echosynth.diffusion.conditioning_frames import Frames, read_frames
from echosynth.diffusion.conditions import read_conditions
from echosynth.diffusion.ef_guide import EFGuide
from echosynth.diffusion.observed import OBSERVED_STEPS, ObservedFrames
from echosynth.diffusion.pipeline_folder import FolderPipeline
from echosynth.diffusion.scheduler import EDMScheduler
from echosynth.diffusion.stage_sampler import SamplingRequest, StageSampler
from echosynth.diffusion.tissue_tracker import TissueTracker
from echosynth.diffusion.unet3d import UNet3D
from echosynth.edm.heun import StepCallback
from echosynth.edm.noise import Generators
from echosynth.video.clip import from_network

MAX_STAGES = 4
Numbers = float | Sequence[float] | torch.Tensor
StageHook = Callable[[StageSpec], AbstractContextManager[Any]]
Callback = Callable[["EchoCascadePipeline", int, torch.Tensor, dict[str, torch.Tensor]], None]


class EchoCascadePipeline(FolderPipeline, CascadeStages):
    """A cascade of one to four stages, and before them one that draws frames, if there is one.

    Args:
        base_unet: network of the base, and likewise sr1_unet, sr2_unet, sr3_unet.
        base_scheduler: its noise ladder and solver, and likewise for the others.
        ef_guide: reads EF off noisy clips, for stages with EF guidance or correction; None for none.
        tissue_tracker: follows the conditioning frame's tissue, for stages that are tracked; None for none.
        frame_unet: draws the frames of fictional patients; None where the base has to do without a frame.
        frame_scheduler: its noise ladder and solver.
        stages: one dictionary per stage, see `StageSpec`. It has a default only because diffusers takes an argument
            without one for a component; an empty chain is refused.
        ef_calibration: rising pairs (target EF, calibrated EF that the networks get), per cent, linear in between and
            shifted like the ends beyond. They are measured on held-out patients and take back what networks overdo or
            miss.

    Attributes:
        stage_hook: called with each stage before it samples; the context that it returns is entered before the stage
            samples and left once its clip is there, so that whoever sets it can time a stage or count its work. None
            for nothing.
    """

    stage_hook: StageHook | None = None

    model_cpu_offload_seq = "frame_unet->ef_guide->tissue_tracker->base_unet->sr1_unet->sr2_unet->sr3_unet"
    _optional_components = [  # noqa: RUF012
        "ef_guide",
        "tissue_tracker",
        "frame_unet",
        "frame_scheduler",
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
        frame_unet: UNet3D | None = None,
        frame_scheduler: EDMScheduler | None = None,
        stages: list[dict[str, Any]] | None = None,
        ef_calibration: list[list[float]] | None = None,
    ) -> None:
        super().__init__()
        if not stages:
            raise ValueError(
                "stages is missing: components alone do not say what they make of each other's clips; "
                "copy a cascade by EchoCascadePipeline.from_pipe(pipeline), or pass its config['stages'] too"
            )
        specs = [StageSpec.from_dict(stage) for stage in stages]
        parts = {
            "base_unet": base_unet,
            "base_scheduler": base_scheduler,
            "sr1_unet": sr1_unet,
            "sr1_scheduler": sr1_scheduler,
            "sr2_unet": sr2_unet,
            "sr2_scheduler": sr2_scheduler,
            "sr3_unet": sr3_unet,
            "sr3_scheduler": sr3_scheduler,
            "ef_guide": ef_guide,
            "tissue_tracker": tissue_tracker,
            "frame_unet": frame_unet,
            "frame_scheduler": frame_scheduler,
        }
        check_chain(specs)
        check_components(specs, parts)
        check_calibration(ef_calibration)
        self.register_modules(**parts)
        self.register_to_config(stages=[spec.to_dict() for spec in specs], ef_calibration=ef_calibration)

    @classmethod
    def from_stages(
        cls,
        specs: Sequence[StageSpec],
        networks: Mapping[str, UNet3D],
        schedulers: Mapping[str, EDMScheduler],
        ef_calibration: list[list[float]] | None = None,
        **helpers: EFGuide | TissueTracker | None,
    ) -> "EchoCascadePipeline":
        """Build from parts named after the stages, and helpers by their names."""
        parts: dict[str, Any] = {f"{spec.name}_unet": networks[spec.name] for spec in specs}
        parts |= {f"{spec.name}_scheduler": schedulers[spec.name] for spec in specs} | helpers
        return cls(stages=[spec.to_dict() for spec in specs], ef_calibration=ef_calibration, **parts)

    def passes(
        self,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        ef_guidance_scale: float | None = None,
        fictional: bool = False,
    ) -> dict[str, int]:
        """Network evaluations per clip and stage, see `StageSampler.passes`; a fictional frame's too if asked for."""
        specs = override_stages(self.stages, num_inference_steps, guidance_scale, ef_guidance_scale)
        drawing = [self.frame_stage] if fictional and self.frame_stage is not None else []
        return {spec.name: self._sampler(spec).passes() for spec in (*drawing, *specs)}

    @torch.no_grad()
    def __call__(
        self,
        frame: Frames | None,
        ef: Numbers,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        ef_guidance_scale: float | None = None,
        generator: Generators | None = None,
        observed: ObservedFrames | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        **named: Numbers | None,
    ) -> EchoCascadeOutput | tuple[np.ndarray | torch.Tensor]:
        """Generate one clip per frame.

        Args:
            frame: conditioning frames: a tensor (B, 1, S, S) in [-1, 1], a numpy array, PIL images, see `read_frames`;
                frame 0 of the clip shows the same moment of the beat. None for fictional patients, one per EF, see
                `sample_frames`.
            ef: target EF in per cent, one for all or (B,), within 1-95.
            num_frames: length of the clip, a multiple of the frames that one of the base becomes; None for the model's
                own.
            num_inference_steps: solver steps of the base; None for its own, or `OBSERVED_STEPS` if frames are observed.
            guidance_scale: of the base; None for the model's own, 1 for none.
            ef_guidance_scale: of the base by the EF guide; None for the model's own, 0 for none.
            generator: one for the batch or one per clip; CPU generators give the same noise on every device. The first
                stage draws from it, every other stage has a seed of its own that comes from it, see `StageSeeds`.
            observed: frames of the clip to keep instead of generating them: to continue a clip, or to fill gaps in it.
            output_type: "np" for uint8 (B, T, H, W), "pt" for float (B, 1, T, H, W) in [-1, 1].
            return_dict: False for a plain tuple.
            callback_on_step_end: called as (pipeline, step, sigma, {"latents": x}) after every solver step.
            named: other `supported_conditions` (heart_rate, phase, ...), one for all or (B,) each; what is None or
                missing is left to the model.

        Returns:
            Clips and their frame rate.

        Raises:
            ValueError: an argument has the wrong shape or range.
        """
        if num_inference_steps is None and observed is not None and bool(observed.kept.any()):
            num_inference_steps = max(self.stages[0].num_inference_steps, OBSERVED_STEPS)
        specs = override_stages(self.stages, num_inference_steps, guidance_scale, ef_guidance_scale, num_frames)
        if output_type not in ("np", "pt"):
            raise ValueError(f"output_type must be 'np' or 'pt', got {output_type!r}")
        conditioned = self.stages
        if frame is None and self.frame_stage is not None:
            conditioned = [self.frame_stage, *conditioned]
            frame = self.sample_frames(torch.as_tensor(ef).numel(), generator, **named)
        request = self._request(frame, {"ef": ef, **named}, conditioned, generator, observed, specs[-1])
        clip: torch.Tensor | None = None
        with self.progress_bar(total=sum(spec.num_inference_steps for spec in specs)) as bar:
            for spec in specs:

                def on_step(index: int, sigma: torch.Tensor, x: torch.Tensor) -> None:
                    bar.update()
                    if callback_on_step_end is not None:
                        callback_on_step_end(self, index, sigma, {"latents": x})

                clip = self._run_stage(spec, clip, request, on_step)
        assert clip is not None
        self.maybe_free_model_hooks()
        made = from_network(clip[:, 0].clamp(-1, 1)) if output_type == "np" else clip.clamp(-1, 1)
        return EchoCascadeOutput(clips=made, fps=specs[-1].fps) if return_dict else (made,)

    @torch.no_grad()
    def sample_frames(self, count: int, generator: Generators | None = None, **named: Numbers | None) -> torch.Tensor:
        """Frames (B, 1, S, S) in [-1, 1] of `count` fictional patients; the other arguments as for a clip.

        The frame stage draws a picture, or else the base makes a clip of no frame, of which this is the first one; the
        later stages bring it to a frame's size in as many steps. Conditions not in `frame_conditions` do nothing.

        Raises:
            ValueError: a condition is out of range.
        """
        base, *later = self.stages
        if named.get("phase") is not None and "phase" not in self.frame_conditions:
            raise ValueError("frames are drawn of any moment of the beat: leave the phase out")
        supported = {name: value for name, value in named.items() if name in self.frame_conditions}
        request = SamplingRequest(None, read_conditions(supported, count, self._execution_device), generator)
        first = self.frame_stage or base
        clip = self._run_stage(first, None, request)[:, :, :1]
        for spec in later:  # few passes keep a clip from flickering; one picture has no need of that
            steps = max(spec.num_inference_steps, first.num_inference_steps)
            clip = self._run_stage(replace(with_num_frames(spec, base, 1), num_inference_steps=steps), clip, request)
        return upsample_space(clip[:, :, :1], self.frame_side)[:, :, 0].clamp(-1, 1)

    def _request(
        self,
        frame: Frames | None,
        conditions: Mapping[str, Any],
        specs: Sequence[StageSpec],
        generator: Generators | None,
        observed: ObservedFrames | None,
        last: StageSpec,
    ) -> SamplingRequest:
        """What a caller wants of some stages, checked and brought to the pipeline's device."""
        device = self._execution_device
        seen = None if frame is None else read_frames(frame, self.frame_side).to(device)
        count = torch.as_tensor(conditions["ef"]).numel() if seen is None else len(seen)
        scalars = read_conditions(conditions, count, device, self._supported_by(specs))
        calibrated_ef = calibrate_ef(scalars["ef"], self.config["ef_calibration"])
        kept = None if observed is None else observed.fit(count, last, device)
        return SamplingRequest(seen, scalars | {"ef": calibrated_ef}, generator, kept)

    def _run_stage(
        self,
        spec: StageSpec,
        previous: torch.Tensor | None,
        request: SamplingRequest,
        on_step: StepCallback = lambda *_: None,
    ) -> torch.Tensor:
        """One stage's clip, (B, 1, T, H, W) in about [-1, 1]."""
        with nullcontext() if self.stage_hook is None else self.stage_hook(spec):
            return self._sampler(spec).sample(previous, request, on_step)

    def _sampler(self, spec: StageSpec) -> StageSampler:
        unet, scheduler = (getattr(self, f"{spec.name}_{part}") for part in PART_CLASSES)
        check_part(f"{spec.name}_scheduler", scheduler, EDMScheduler)  # it may have been exchanged since
        return StageSampler(
            spec,
            next(own.frames for own in self._declared if own.name == spec.name),
            unet,
            scheduler,
            self.frame_side,
            self.ef_guide,
            self.tissue_tracker if spec.tracked else None,
        )
