"""Grad-CAM over space and time: which places a regressor's EF depends on.

    w_c(t) = mean over places of dEF / dA_c(t)        A: maps of the layer `EFRegressor.gradcam_layer`
    heat(t) = |sum_c w_c(t) A_c(t)|                   enlarged to the clip; its hottest 2 % are shown as 1

EF is a number, not a class, so evidence of either sign counts. Weights are taken per instant, because a heart looks
different at end-diastole and end-systole.

Source: Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization".
"""

import torch
import torch.nn.functional as F
from einops import rearrange

from echosynth.regression.base import EFRegressor

BRIGHTEST = 0.02  # share of a clip at full heat: scaled to single peaks, the rest would be dark


def grad_cam(model: EFRegressor, x: torch.Tensor, size: int) -> torch.Tensor:
    """Heat of clips.

    Args:
        model: in evaluation.
        x: (B, 1, T, H, W) in [-1, 1], at its contract.
        size: side of the pictures that the heat will lie on, pixels.

    Returns:
        Float32 (B, T, size, size) in [0, 1].
    """
    kept: list[torch.Tensor] = []
    hook = model.gradcam_layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    try:
        with torch.enable_grad():
            ef = model(x.detach().requires_grad_())
    finally:
        hook.remove()
    maps = kept[0]
    (slope,) = torch.autograd.grad(ef.sum(), maps)
    if maps.ndim == 4:
        maps, slope = (rearrange(m, "(b t) c h w -> b c t h w", b=len(x)) for m in (maps, slope))
    heat = (slope.mean(dim=(3, 4), keepdim=True) * maps).sum(1, keepdim=True).abs().detach().float()
    full = torch.quantile(heat.flatten(1), 1 - BRIGHTEST, dim=1).clamp_min(1e-12)
    shown = F.interpolate(heat, (x.shape[2], size, size), mode="trilinear", align_corners=False)[:, 0]
    return (shown / full[:, None, None, None]).clamp(0, 1)
