"""Density of a number given tokens, learned by denoising the number at every noise level (a score model).

    D(y; sigma, tokens) = c_skip y + c_out F(c_in y; c_noise, tokens)      edm/preconditioning.py, y standardised
    samples             Heun's method down Karras' ladder from N(0, sigma_max^2)
    mean                D at sigma_max, where the noisy number carries nothing and D is the mean given tokens

In F the noisy number and its noise level are the query, and the tokens are keys and values. With a single token the
attention weights are always 1, and the query learns nothing.
"""

import torch
from einops import rearrange
from torch import nn

from echosynth.edm.heun import sample_heun
from echosynth.edm.noise import karras_sigmas
from echosynth.edm.preconditioning import EDMPreconditioning

SIGMA_MIN, SIGMA_MAX = 0.005, 20.0  # standard deviations of the number; a two-hundredth is 0.1 EF points
OCTAVES = 32


class ScoreHead(nn.Module):
    """Network F and its preconditioning; the defaults with tokens of 512 have the published 0.94 M weights.

    Args:
        token_dim: width of a token.
        dim: width inside.
        heads: attention heads.
    """

    rates: torch.Tensor

    def __init__(self, token_dim: int = 512, dim: int = 256, heads: int = 8) -> None:
        super().__init__()
        self.levels = EDMPreconditioning(1.0)
        self.level = nn.Sequential(nn.Linear(2 * OCTAVES, 2 * OCTAVES), nn.GELU())
        self.ask = nn.Linear(1 + 2 * OCTAVES, dim)
        self.answer = nn.Linear(token_dim, dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mix = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.last = nn.Linear(dim, 1)
        self.register_buffer("rates", torch.logspace(-2, 2, OCTAVES), persistent=False)

    def _network(
        self, y: torch.Tensor, c_noise: torch.Tensor, tokens: torch.Tensor, missing: torch.Tensor | None
    ) -> torch.Tensor:
        """F of numbers (B M,) at levels (B M,), M for each of B clips' tokens (B, N, token_dim)."""
        angle = c_noise[:, None] * self.rates
        level = self.level(torch.cat([angle.sin(), angle.cos()], dim=1))
        asked = rearrange(self.ask(torch.cat([y[:, None], level], dim=1)), "(b m) d -> b m d", b=len(tokens))
        said = self.answer(tokens)
        found, _ = self.attention(asked, said, said, key_padding_mask=missing, need_weights=False)
        h = self.norm1(asked + found)
        return self.last(self.norm2(h + self.mix(h)))[..., 0].flatten().float()

    def denoise(
        self, y: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor, missing: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Denoise standardised numbers.

        Args:
            y: noisy numbers (B, M).
            sigma: noise level of each, (B, M) or ().
            tokens: (B, N, token_dim).
            missing: bool (B, N), tokens to be masked.

        Returns:
            (B, M).
        """
        flat, level = y.flatten(), sigma.expand_as(y).flatten()
        clean = self.levels.denoise(self._network, flat, level, tokens=tokens, missing=missing)
        return clean.view_as(y)

    def mean(self, tokens: torch.Tensor, missing: torch.Tensor | None = None) -> torch.Tensor:
        """Mean given tokens, (B,)."""
        nothing = torch.zeros(len(tokens), 1, device=tokens.device)
        return self.denoise(nothing, nothing + SIGMA_MAX, tokens, missing)[:, 0]

    @torch.no_grad()
    def sample(
        self,
        tokens: torch.Tensor,
        count: int,
        generator: torch.Generator,
        missing: torch.Tensor | None = None,
        steps: int = 18,
    ) -> torch.Tensor:
        """Paths of samples given tokens, from noise to the numbers: (steps + 1, B, count)."""
        sigmas = karras_sigmas(steps, SIGMA_MIN, SIGMA_MAX)
        start = SIGMA_MAX * torch.randn(len(tokens), count, generator=generator).to(tokens.device)
        path = [start]
        sample_heun(
            lambda y, sigma: self.denoise(y, sigma, tokens, missing),
            start,
            sigmas,
            on_step=lambda i, sigma, y: path.append(y),
        )
        return torch.stack(path)
