"""Preconditioning: the network's input and target have unit variance at every noise level.

D(x; sigma) = c_skip x + c_out F(c_in x; c_noise)                          Karras et al. 2022, Eq. 7
c_skip  = sigma_data^2 / (sigma^2 + sigma_data^2)                          Table 1, column "Ours"
c_out   = sigma sigma_data / sqrt(sigma^2 + sigma_data^2)
c_in    = 1 / sqrt(sigma^2 + sigma_data^2)
c_noise = ln(sigma) / 4
weight  = (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 = 1 / c_out^2
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch


def expand_like(sigma: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Reshape noise levels () or (B,) so that they multiply x (B, *): (1, 1, ...) or (B, 1, ...).

    Raises:
        ValueError: `sigma` has neither one value nor B values.
    """
    if sigma.numel() != 1 and sigma.shape != x.shape[:1]:
        raise ValueError(f"sigma has shape {tuple(sigma.shape)}, expected () or ({x.shape[0]},)")
    return sigma.reshape(-1, *[1] * (x.ndim - 1))


@dataclass(frozen=True)
class EDMPreconditioning:
    """The four coefficients and the loss weight of Table 1.

    Attributes:
        sigma_data: standard deviation of the data, > 0; 0.5 in the paper. Images in [-1, 1].

    Raises:
        ValueError: `sigma_data` is not positive.
    """

    sigma_data: float = 0.5

    def __post_init__(self) -> None:
        if not self.sigma_data > 0:
            raise ValueError(f"sigma_data must be > 0, got {self.sigma_data}")

    def c_skip(self, sigma: torch.Tensor) -> torch.Tensor:
        """Weight of the noisy input in the denoised output; 1 at sigma = 0, tends to 0; shape of `sigma`."""
        return self.sigma_data**2 / (sigma**2 + self.sigma_data**2)

    def c_out(self, sigma: torch.Tensor) -> torch.Tensor:
        """Scale of the network's output; 0 at sigma = 0, tends to sigma_data; shape of `sigma`."""
        return sigma * self.sigma_data / (sigma**2 + self.sigma_data**2).sqrt()

    def c_in(self, sigma: torch.Tensor) -> torch.Tensor:
        """Scale of the network's input; shape of `sigma`."""
        return 1 / (sigma**2 + self.sigma_data**2).sqrt()

    def c_noise(self, sigma: torch.Tensor) -> torch.Tensor:
        """The noise level as the network's input, ln(sigma) / 4; shape of `sigma`, which must be > 0."""
        return sigma.log() / 4

    def loss_weight(self, sigma: torch.Tensor) -> torch.Tensor:
        """Weight lambda(sigma) of |D - clean|^2, so that the effective weight of the network's error is 1."""
        return (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2

    def denoise(
        self, network: Callable[..., torch.Tensor], x: torch.Tensor, sigma: torch.Tensor | float, **conditions: object
    ) -> torch.Tensor:
        """Compute D(x; sigma), Eq. 7.

        The arithmetic around the network is at least float32, because c_skip x + c_out F cancels at small sigma; the
        network may compute in any type.

        Args:
            network: called as `network(c_in x, c_noise, **conditions)` with tensors (B, *) and (B,); gives (B, *).
            x: noisy sample = clean + sigma * unit noise, (B, *).
            sigma: noise level > 0, one for all or (B,).
            **conditions: handed on to the network.

        Returns:
            The estimate of the clean sample, (B, *), float32 (float64 if x is).

        Raises:
            ValueError: `sigma` has neither one value nor B values.
        """
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        level = expand_like(sigma, x)
        c_noise = self.c_noise(sigma).reshape(-1).expand(len(x))
        output = network(self.c_in(level) * x, c_noise, **conditions).to(x.dtype)
        return self.c_skip(level) * x + self.c_out(level) * output
