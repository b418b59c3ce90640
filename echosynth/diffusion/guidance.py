"""Classifier-free guidance on EF, in a limited interval of noise levels.

    D = D_uncond + w (D_cond - D_uncond)        Ho & Salimans 2022; interval: Kynkaanniemi et al. 2024

Both evaluations run as one batch. Only EF is dropped: both see the same frame and the same timing, so guidance
strengthens EF and leaves the patient alone.
"""

import math
from collections.abc import Callable, Mapping

import torch

from echosynth.edm.preconditioning import EDMPreconditioning

GUIDED = "ef"
Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def guided_denoiser(
    network: Callable[..., torch.Tensor],
    preconditioning: EDMPreconditioning,
    scalars: Mapping[str, torch.Tensor],
    conditions: Mapping[str, torch.Tensor],
    guidance_scale: float = 1.0,
    low: float = 0.0,
    high: float = math.inf,
) -> Denoise:
    """Close over everything but the noisy sample and its level.

    Args:
        network: a UNet3D, or anything with its signature.
        preconditioning: of the stage.
        scalars: name -> (B,).
        conditions: the network's other tensors, batch first.
        guidance_scale: w; 1 means one evaluation, no guidance.
        low: guide at sigma >= low.
        high: guide at sigma <= high.

    Returns:
        D(x, sigma) with x (B, 1, T, H, W) and sigma of shape ().
    """

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        if guidance_scale == 1.0 or GUIDED not in scalars or not low <= float(sigma) <= high:
            return preconditioning.denoise(network, x, sigma, scalars=scalars, **conditions)
        without = dict(scalars) | {GUIDED: torch.full_like(scalars[GUIDED], math.nan)}
        both = {name: torch.cat([value, without[name]]) for name, value in scalars.items()}
        twice = {name: torch.cat([value, value]) for name, value in conditions.items()}
        out = preconditioning.denoise(network, torch.cat([x, x]), sigma, scalars=both, **twice)
        cond, uncond = out.chunk(2)
        return uncond + guidance_scale * (cond - uncond)

    return denoise
