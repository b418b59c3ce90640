"""DPM-Solver++(2M): second order at one denoiser call for each step.

In the EDM parametrisation alpha = 1, lambda = -ln sigma, h = lambda_next - lambda = ln(sigma / sigma_next):

    D_bar  = (1 + 1/(2r)) D_i - 1/(2r) D_{i-1},   r = h_{i-1} / h_i
    x_next = (sigma_next / sigma) x + (1 - sigma_next / sigma) D_bar

Source: Lu et al. 2022, "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models", Algorithm 2.
The first step has no history and the step to sigma = 0 has h = infinity: both are first order.
"""

import torch

from echosynth.edm.heun import Denoiser, StepCallback


def dpmpp_2m_step(
    x: torch.Tensor,
    denoised: torch.Tensor,
    previous_denoised: torch.Tensor | None,
    sigma_previous: torch.Tensor | None,
    sigma: torch.Tensor,
    sigma_next: torch.Tensor,
) -> torch.Tensor:
    """Take one step from `sigma` to `sigma_next`; the caller keeps the history.

    Args:
        x: sample at level `sigma`, (B, *).
        denoised: D(x; sigma), (B, *).
        previous_denoised: D of the step before, (B, *), or None at the first step.
        sigma_previous: noise level of the step before, > sigma, or None at the first step.
        sigma: noise level now, > 0.
        sigma_next: noise level wanted, in [0, sigma).

    Returns:
        The sample at level `sigma_next`, (B, *).
    """
    if sigma_next == 0:
        return denoised
    if previous_denoised is not None and sigma_previous is not None:
        r = (sigma_previous / sigma).log() / (sigma / sigma_next).log()
        denoised = denoised + (denoised - previous_denoised) / (2 * r)
    ratio = sigma_next / sigma
    return ratio * x + (1 - ratio) * denoised


def sample_dpmpp_2m(
    denoise: Denoiser, x: torch.Tensor, sigmas: torch.Tensor, on_step: StepCallback | None = None
) -> torch.Tensor:
    """Run DPM-Solver++(2M) down the ladder; deterministic.

    Args:
        denoise: D(x, sigma) with sigma a tensor of shape (); gives (B, *).
        x: start, already at level `sigmas[0]`: sigmas[0] * unit noise, (B, *).
        sigmas: decreasing ladder (N + 1,), see `karras_sigmas`; the end may be 0.
        on_step: called as `on_step(i, sigmas[i + 1], x)` after step i; x is the sample at that level.

    Returns:
        The sample at `sigmas[-1]`, (B, *).
    """
    sigmas = sigmas.to(x)
    previous_denoised: torch.Tensor | None = None
    for i in range(len(sigmas) - 1):
        denoised = denoise(x, sigmas[i])
        sigma_previous = sigmas[i - 1] if i > 0 else None
        x = dpmpp_2m_step(x, denoised, previous_denoised, sigma_previous, sigmas[i], sigmas[i + 1])
        previous_denoised = denoised
        if on_step is not None:
            on_step(i, sigmas[i + 1], x)
    return x
