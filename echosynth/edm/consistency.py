"""Consistency: a denoiser with the same output at every level of a trajectory samples in one step.

    law        f(x + t n; t) = f(x + r n; r) for all r < t,  f(x; 0) = x                      Song et al. 2023
    tuning     loss = |f(x + t n; t) - stop_gradient f(x + r n; r)| / (c_out(t) (1 - r / t))
    gap        r = t max(0, 1 - n(t) / 2^a),  n(t) = 1 + 8 sigmoid(-t'),  t' = t / (2 sigma_data)
    sampling   x_0 = f(x; t_1);  then x_0 = f(x_0 + t_i n; t_i) for every lower level

At a = 0 the target is the clean sample, which is diffusion training; a rises in steps during training, and level r
moves towards level t. This is easy consistency tuning: Geng, Pokle, Luo, Lin, Kolter, "Consistency Models Made Easy",
2024, Eqs. 9-13. The preconditioning of Karras et al. 2022 has f(x; 0) = x by itself.
"""

import torch

from echosynth.edm.heun import Denoiser, StepCallback
from echosynth.edm.noise import Generators, draw_noise
from echosynth.edm.preconditioning import expand_like

SHARPNESS = 8.0  # how much wider the gap is at low noise


def lower_level(t: torch.Tensor, doublings: torch.Tensor | float, sigma_data: float) -> torch.Tensor:
    """The level r that level t has to agree with, 0 <= r < t.

    Args:
        t: noise levels > 0, (B,).
        doublings: a, how often the gap has been halved, >= 0, one for all or (B,).
        sigma_data: standard deviation of the data.
    """
    widening = 1 + SHARPNESS * torch.sigmoid(-t / (2 * sigma_data))
    share = widening / torch.as_tensor(2.0, device=t.device) ** torch.as_tensor(doublings, device=t.device)
    return t * (1 - share).clamp_min(0)


def consistency_loss(
    high: torch.Tensor, low: torch.Tensor, scale: torch.Tensor, smoothing: float = 0.00054
) -> torch.Tensor:
    """Difference of two outputs: pseudo-Huber distance, one value for each sample.

    Args:
        high: f(x + t n; t), (B, *).
        low: f(x + r n; r), or the clean sample where r is 0; no gradient flows into it, (B, *).
        scale: what to measure it in, > 0, (B,). By c_out(t) (1 - r / t) the network's own output counts alike at every
            level and gap; the paper's t - r is the same at low noise, but leaves high noise next to nothing.
        smoothing: below this root mean square the distance is quadratic (Song & Dhariwal 2023).

    Returns:
        (B,), >= 0.
    """
    off = (high - low.detach()).flatten(1)
    c = smoothing * off.shape[1] ** 0.5
    distance = ((off**2).sum(1) + c**2).sqrt() - c
    return distance / off.shape[1] ** 0.5 / scale


def sample_consistency(
    denoise: Denoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    generator: Generators | None = None,
    on_step: StepCallback | None = None,
) -> torch.Tensor:
    """Denoise in one step from every level of a ladder, with new noise in between.

    Args:
        denoise: f(x, sigma) with sigma a tensor of shape (); gives (B, *).
        x: start, already at level `sigmas[0]`, (B, *).
        sigmas: decreasing ladder (N + 1,) that ends with 0.
        generator: source of the new noise, one for the batch or one for each sample.
        on_step: called as `on_step(i, sigmas[i + 1], x)` after step i; x is the sample at that level.

    Returns:
        The clean sample, (B, *).
    """
    sigmas = sigmas.to(x)
    for i in range(len(sigmas) - 1):
        x = denoise(x, sigmas[i])
        if sigmas[i + 1] > 0:
            x = x + expand_like(sigmas[i + 1], x) * draw_noise(x, generator)
        if on_step is not None:
            on_step(i, sigmas[i + 1], x)
    return x
