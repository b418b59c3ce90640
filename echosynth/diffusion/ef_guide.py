"""EFGuide: reads EF from a noisy clip, so that sampling can be guided to the target EF.

    mu, s = guide(x, sigma)                  EF of the clip hidden in x ~ N(mu, s^2), per cent
    score(x | EF) = score(x) + w grad_x log N(EF; mu(x), s(x)^2)              Dhariwal & Nichol 2021, section 4
    D(x | EF)     = D(x) + w sigma^2 grad_x log N(EF; mu(x), s(x)^2)          because score = (D - x) / sigma^2

It predicts the endocardium in every frame, computes the EF by the method of discs, and corrects it: noise hides the
extremes of the motion, so the predicted endocardium moves too little. It shares nothing with the gate or the judge,
because a network that guides a clip must not check it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import nn

from echosynth.cardiac.discs import LEAST_VOLUME, disc_volume
from echosynth.cardiac.ejection_fraction import ejection_fraction
from echosynth.cardiac.landmarks import ROWS
from echosynth.diffusion.attention import Attention
from echosynth.diffusion.blocks import SpaceTimeBlock, check_levels
from echosynth.diffusion.embeddings import NUM_OCTAVES, apply_linear, fourier_features

LEAST_STD = 1.5  # EF points; the floor limits the strength of guidance
SHARPNESS = 50.0  # of the fullest and the emptiest frame, per unit of log volume: their neighbours count a little


class EFReading(NamedTuple):
    """What the guide sees in a batch of noisy clips.

    Attributes:
        ef: (B,), per cent.
        std: (B,), its standard deviation, per cent.
        landmarks: (B, T, 21, 2, 2), the endocardium in every frame, see cardiac/landmarks.py.
    """

    ef: torch.Tensor
    std: torch.Tensor
    landmarks: torch.Tensor


def drawn_ef(landmarks: torch.Tensor) -> torch.Tensor:
    """EF in per cent of the volumes that are drawn: (B, T, 21, 2, 2) -> (B,)."""
    volume = disc_volume(landmarks).clamp_min(LEAST_VOLUME)
    level = SHARPNESS * volume.log()
    full, empty = ((volume * torch.softmax(sign * level, dim=1)).sum(1) for sign in (1, -1))
    return ejection_fraction(full, empty)


class EFGuide(ModelMixin, ConfigMixin):
    """A small space-time network over the noisy clip and the reference that it differs from.

    Args:
        size: side of the clips, a multiple of patch * 2^(levels - 1), pixels.
        patch: side of a patch, pixels.
        widths: channels per level, multiples of 32.
        blocks: space-time blocks per level.
        emb_dim: width of the noise-level vector.
    """

    @register_to_config
    def __init__(
        self,
        size: int = 28,
        patch: int = 2,
        widths: Sequence[int] = (64, 128),
        blocks: Sequence[int] = (1, 2),
        emb_dim: int = 128,
    ) -> None:
        super().__init__()
        check_levels(widths, blocks)
        self.noise = nn.Linear(2 * NUM_OCTAVES + 1, emb_dim)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(emb_dim, emb_dim), nn.SiLU())
        self.first = nn.Conv2d(2 * patch * patch, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.levels = nn.ModuleList(
            nn.ModuleList(SpaceTimeBlock(width, emb_dim, False, False) for _ in range(count))
            for width, count in zip(widths, blocks, strict=True)
        )
        top, side = widths[-1], size // (patch * 2 ** (len(widths) - 1))
        self.squeeze = nn.Conv2d(top, top // 2, 1)
        self.frame = nn.Linear(top // 2 * side * side, top)
        self.time = nn.ModuleList(Attention(top, "time") for _ in range(2))
        self.border = nn.Linear(top, ROWS * 2 * 2)
        self.norm = nn.LayerNorm(2 * top)
        self.head = nn.Sequential(nn.Linear(2 * top + 1, 64), nn.SiLU(), nn.Linear(64, 2))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor, reference: torch.Tensor) -> EFReading:
        """Read EF.

        Args:
            x: noisy difference to the reference, scaled to unit variance, (B, 1, T, H, W).
            c_noise: (B,), ln(sigma) / 4.
            reference: what x differs from, (B, 1, T, H, W) in [-1, 1].
        """
        frames = x.shape[2]
        both = rearrange(torch.cat([x, reference.expand_as(x)], dim=1), "b c t h w -> (b t) c h w")
        h = F.pixel_unshuffle(both, self.config.patch).to(self.first.weight.dtype)
        h = self.first(h.contiguous(memory_format=torch.channels_last))
        emb = self.mix(apply_linear(self.noise, fourier_features(c_noise / 2)))
        for k, blocks in enumerate(self.levels):
            if k:
                h = self.down[k - 1](h)
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                h = block(h, emb, frames)
        h = self.frame(rearrange(F.silu(self.squeeze(h)), "bt c h w -> bt (c h w)"))
        h = rearrange(h, "bt c -> bt c 1 1")
        for attention in self.time:
            h = attention(h, frames)
        tokens = rearrange(h, "(b t) c 1 1 -> b t c", t=frames).float()
        landmarks = torch.sigmoid(apply_linear(self.border, tokens).float())
        landmarks = rearrange(landmarks, "b t (row side xy) -> b t row side xy", row=ROWS, side=2)
        drawn = drawn_ef(landmarks)
        seen = torch.cat([tokens.mean(1), tokens.amax(1)], 1).to(self.norm.weight.dtype)
        seen = torch.cat([self.norm(seen), drawn[:, None].to(seen.dtype) / 20], 1)
        correction, std = self.head(seen).float().unbind(1)
        return EFReading(drawn + 20 * correction, LEAST_STD + 10 * F.softplus(std), landmarks)
