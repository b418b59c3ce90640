"""The denoiser D(x, sigma) of one stage, built from its network and what a caller asks for.

network in windows  ->  classifier-free guidance  ->  correction  ->  EF guidance          (guidance.py)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from echosynth.diffusion.cascade import StageSpec
from echosynth.diffusion.ef_guide import EFGuide, EFReading
from echosynth.diffusion.guidance import (
    Denoise,
    Interval,
    corrected_denoiser,
    ef_guided_denoiser,
    guided_denoiser,
)
from echosynth.diffusion.precision import run_in_fast_precision
from echosynth.diffusion.unet3d import UNet3D
from echosynth.diffusion.windows import OVERLAP, blend_windows, window_starts
from echosynth.edm.preconditioning import EDMPreconditioning


@dataclass(frozen=True, eq=False)
class WindowedUNet:
    """A stage's network that sees a clip through windows in time.

    Attributes:
        unet: the network.
        window: frames that it sees at once.
    """

    unet: UNet3D
    window: int

    def __call__(self, x: torch.Tensor, c_noise: torch.Tensor, **conditions: Any) -> torch.Tensor:
        """See `UNet3D.forward`; of the conditions, a low-resolution clip is cut to the windows too."""

        def run(frames: slice) -> torch.Tensor:
            cut = {"lowres": conditions["lowres"][:, :, frames]} if "lowres" in conditions else {}
            return self.unet(x[:, :, frames], c_noise, **conditions | cut)

        with run_in_fast_precision(self.unet, x.device):
            return blend_windows(run, x.shape[2], self.window, int(OVERLAP * self.window))


@dataclass(frozen=True, eq=False)
class WindowedGuide:
    """The EF guide, reading a clip in windows of as many frames as it has learnt.

    Attributes:
        guide: the network.
        window: frames that it sees at once.
    """

    guide: EFGuide
    window: int

    def __call__(self, x: torch.Tensor, c_noise: torch.Tensor, reference: torch.Tensor) -> EFReading:
        """See `EFGuide.forward`; every field has the windows as another first axis."""
        window = min(self.window, x.shape[2])
        cuts = [slice(start, start + window) for start in window_starts(x.shape[2], window)]
        with run_in_fast_precision(self.guide, x.device):
            read = [self.guide(x[:, :, cut], c_noise, reference[:, :, cut]) for cut in cuts]
        return EFReading(*(torch.stack(part) for part in zip(*read, strict=True)))


def build_denoiser(
    spec: StageSpec,
    unet: WindowedUNet,
    guide: WindowedGuide | None,
    preconditioning: EDMPreconditioning,
    scalars: Mapping[str, torch.Tensor],
    given: Mapping[str, torch.Tensor],
    reference: torch.Tensor,
) -> Denoise:
    """Build D(x, sigma).

    Args:
        spec: the stage, with its scales of guidance.
        unet: its network.
        guide: reads EF off noisy clips; None for neither correction nor EF guidance.
        preconditioning: of the stage.
        scalars: every one of the `CONDITIONS` by name, (B,) each; `ef` is the calibrated EF.
        given: the network's other conditions.
        reference: what the stage's clips differ from, (B, 1, T, S, S).
    """
    learnt: Any = unet.unet.config
    supported = {name: value for name, value in scalars.items() if name in learnt.scalars}
    guidance = Interval(spec.guidance_scale, spec.guidance_low, spec.guidance_high)

    def conditioned(ef: torch.Tensor) -> Denoise:
        own = supported | {"ef": ef} if "ef" in supported else supported
        return guided_denoiser(unet, preconditioning, own, given, guidance)

    calibrated_ef = scalars["ef"]
    if guide is None:
        return conditioned(calibrated_ef)
    denoise = corrected_denoiser(conditioned, guide, preconditioning, reference, calibrated_ef, spec.correction)
    ef_guidance = Interval(spec.ef_guidance_scale, spec.ef_guidance_low, spec.ef_guidance_high)
    return ef_guided_denoiser(denoise, guide, preconditioning, reference, calibrated_ef, ef_guidance)
