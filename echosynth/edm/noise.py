"""Noise levels: the training law and the sampling ladder, and the unit noise itself.

    training   ln sigma ~ N(P_mean, P_std^2)                                             Karras et al. 2022, Table 1
    sampling   sigma_i = (sigma_max^(1/rho) + i/(N-1) (sigma_min^(1/rho) - sigma_max^(1/rho)))^rho,  sigma_N = 0   Eq. 5

Source: Karras, Aittala, Aila, Laine, "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022.
"""

from collections.abc import Sequence

import torch

Generators = torch.Generator | Sequence[torch.Generator]


def draw_sigma(
    shape: Sequence[int], P_mean: float = -1.2, P_std: float = 1.2, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Draw training noise levels from the log-normal law of Table 1.

    Args:
        shape: shape of the result, usually (B,).
        P_mean: mean of ln sigma.
        P_std: standard deviation of ln sigma, >= 0.
        generator: source of randomness; its device is the device of the result.

    Returns:
        float32 noise levels > 0 of that shape.

    Raises:
        ValueError: `P_std` is negative.
    """
    if P_std < 0:
        raise ValueError(f"P_std must be >= 0, got {P_std}")
    device = generator.device if generator is not None else torch.device("cpu")
    return (P_mean + P_std * torch.randn(tuple(shape), generator=generator, device=device)).exp()


def karras_sigmas(num_steps: int, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> torch.Tensor:
    """Build the sampling ladder of Eq. 5.

    Args:
        num_steps: number of solver steps N, >= 1. With one step the ladder is [sigma_max, 0].
        sigma_min: last level above zero, > 0.
        sigma_max: first level, > sigma_min.
        rho: bends the ladder towards small sigma, > 0.

    Returns:
        float32 (N + 1,), strictly decreasing, from exactly `sigma_max` over exactly `sigma_min` to 0.

    Raises:
        ValueError: an argument is outside its range.
    """
    if num_steps < 1:
        raise ValueError(f"num_steps must be >= 1, got {num_steps}")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"need 0 < sigma_min < sigma_max, got sigma_min={sigma_min}, sigma_max={sigma_max}")
    if rho <= 0:
        raise ValueError(f"rho must be > 0, got {rho}")
    # float64: the power rho amplifies rounding, and the ladder must come out the same on every device
    ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64)
    top, bottom = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    sigmas = (top + ramp * (bottom - top)) ** rho
    if num_steps > 1:
        sigmas[-1] = sigma_min
    sigmas[0] = sigma_max
    return torch.cat([sigmas, sigmas.new_zeros(1)]).float()


def draw_noise(like: torch.Tensor, generator: Generators | None = None) -> torch.Tensor:
    """Draw unit Gaussian noise in the shape, type and device of `like`.

    Drawn on the generator's device (CPU in this library), so that a seed means the same noise everywhere.

    Args:
        like: tensor (B, *) whose shape, type and device are wanted.
        generator: one generator for the batch, or B of them, one for each sample, so that a sample does not depend on
            the batch it is made in.

    Returns:
        Noise of zero mean and unit variance, (B, *).

    Raises:
        ValueError: the number of generators is not B.
    """
    if generator is None or isinstance(generator, torch.Generator):
        device = generator.device if generator is not None else like.device
        return torch.randn(like.shape, generator=generator, device=device).to(like)
    if len(generator) != len(like):
        raise ValueError(f"got {len(generator)} generators for a batch of {len(like)}")
    return torch.stack([draw_noise(sample, one) for sample, one in zip(like, generator, strict=True)])
