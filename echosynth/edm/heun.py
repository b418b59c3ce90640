"""Euler and Heun solvers of the probability-flow ODE, with the stochastic churn of Algorithm 2.

    dx/dsigma = (x - D(x; sigma)) / sigma                          Karras et al. 2022, Eq. 1 with sigma(t) = t
    churn     sigma_hat = (1 + gamma) sigma,  x_hat = x + sqrt(sigma_hat^2 - sigma^2) S_noise eps,  eps ~ N(0, I)
    gamma     = min(S_churn / N, sqrt(2) - 1) where S_min <= sigma <= S_max, else 0

Heun costs 2N - 1 denoiser calls for N steps (error ~ h^2), Euler N (error ~ h). Shapes: x (B, *), sigmas (N + 1,).
"""

import math
from collections.abc import Callable

import torch

from echosynth.edm.noise import Generators, draw_noise

Denoiser = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
StepCallback = Callable[[int, torch.Tensor, torch.Tensor], None]


def euler_step(denoise: Denoiser, x: torch.Tensor, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
    """Take one first-order step from `sigma` (> 0) to `sigma_next` (>= 0): one denoiser call, (B, *) -> (B, *)."""
    slope = (x - denoise(x, sigma)) / sigma
    return x + (sigma_next - sigma) * slope


def heun_step(denoise: Denoiser, x: torch.Tensor, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
    """Take one second-order step (Algorithm 2, lines 7-11): two denoiser calls, one if `sigma_next` is 0."""
    slope = (x - denoise(x, sigma)) / sigma
    x_next = x + (sigma_next - sigma) * slope
    if sigma_next == 0:
        return x_next
    slope_next = (x_next - denoise(x_next, sigma_next)) / sigma_next
    return x + (sigma_next - sigma) * (slope + slope_next) / 2


def churn(
    x: torch.Tensor, sigma: torch.Tensor, gamma: float, S_noise: float = 1.0, generator: Generators | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add noise to lift the sample from `sigma` to (1 + gamma) sigma (Algorithm 2, lines 4-6).

    Args:
        x: sample at level `sigma`, (B, *).
        sigma: noise level, one value.
        gamma: relative lift, >= 0; at 0 nothing is drawn and x comes back as it is.
        S_noise: standard deviation of the new noise; slightly above 1 makes up for detail lost by the denoiser.
        generator: one for the batch or one for each sample.

    Returns:
        The noisier sample (B, *) and its noise level.
    """
    if gamma == 0:
        return x, sigma
    sigma_hat = sigma * (1 + gamma)
    return x + (sigma_hat**2 - sigma**2).sqrt() * S_noise * draw_noise(x, generator), sigma_hat


def churn_gamma(sigma: float, num_steps: int, S_churn: float, S_min: float, S_max: float) -> float:
    """Return gamma of Algorithm 2, line 4, in [0, sqrt(2) - 1]."""
    return min(S_churn / num_steps, math.sqrt(2) - 1) if S_min <= sigma <= S_max else 0.0


def sample_heun(
    denoise: Denoiser,
    x: torch.Tensor,
    sigmas: torch.Tensor,
    S_churn: float = 0.0,
    S_min: float = 0.0,
    S_max: float = float("inf"),
    S_noise: float = 1.0,
    generator: Generators | None = None,
    on_step: StepCallback | None = None,
    step: Callable[[Denoiser, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] = heun_step,
) -> torch.Tensor:
    """Run Algorithm 2 down the ladder.

    Args:
        denoise: D(x, sigma) with sigma a tensor of shape (); gives (B, *).
        x: start, already at level `sigmas[0]`: sigmas[0] * unit noise, (B, *).
        sigmas: decreasing ladder (N + 1,), see `karras_sigmas`; the end may be 0.
        S_churn: total amount of churn; 0 makes the sampler deterministic.
        S_min: churn only at sigma >= S_min.
        S_max: churn only at sigma <= S_max.
        S_noise: standard deviation of the churn's noise.
        generator: source of the churn's noise, one for the batch or one for each sample.
        on_step: called as `on_step(i, sigmas[i + 1], x)` after step i; x is the sample at that level.
        step: `heun_step`, or `euler_step` for Algorithm 2 without its second-order correction.

    Returns:
        The sample at `sigmas[-1]`, (B, *).
    """
    sigmas = sigmas.to(x)
    num_steps = len(sigmas) - 1
    for i in range(num_steps):
        gamma = churn_gamma(float(sigmas[i]), num_steps, S_churn, S_min, S_max)
        x_hat, sigma_hat = churn(x, sigmas[i], gamma, S_noise, generator)
        x = step(denoise, x_hat, sigma_hat, sigmas[i + 1])
        if on_step is not None:
            on_step(i, sigmas[i + 1], x)
    return x
