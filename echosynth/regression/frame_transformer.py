"""FrameTransformer: a 2-D convolutional encoder of every frame, then a transformer over the sequence of frames.

Where the truth is known it also learns the volume of every frame: thirty-two targets a clip instead of one. Unlike
R(2+1)D it mixes frames only after each is encoded as a whole, so as a judge it differs from the gate in architecture
and training order. Time enters as fixed sine and cosine positions.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin  # noqa: F401  (diffusers looks for these names in a component's module)
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import nn

from echosynth.regression.base import EF_MIDDLE, EF_UNIT, EFDetails, EFRegressor, normalise
from echosynth.regression.phases import find_phases


class ConvBlock(nn.Module):
    """Residual 3x3 convolution, optionally after halving the picture."""

    def __init__(self, inside: int, outside: int, halve: bool) -> None:
        super().__init__()
        self.down = nn.Conv2d(inside, outside, 2, stride=2) if halve else nn.Identity()
        self.norm = nn.GroupNorm(8, outside)
        self.conv = nn.Conv2d(outside, outside, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inside, H, W) -> (N, outside, H', W')."""
        x = self.down(x)
        return x + self.conv(torch.nn.functional.silu(self.norm(x)))


class FrameTransformer(EFRegressor):
    """Frame encoder and sequence transformer.

    Args:
        fps: frame rate of its input, Hz.
        frames: frames of a window.
        size: side of the picture, pixels; a multiple of `patch` * 2^(levels - 1).
        patch: side of an input patch.
        widths: channels per level of the frame encoder, multiples of 8.
        dim: width of the transformer.
        depth: transformer layers.
        heads: attention heads.
        motion_only: take every pixel's mean over time away first, so that only what moves is seen.
        mirrored: predict the mean over a clip and its mirror image.
        error90: half width of the 90 % interval, EF points.
    """

    @register_to_config
    def __init__(
        self,
        fps: float = 16.0,
        frames: int = 32,
        size: int = 112,
        patch: int = 4,
        widths: Sequence[int] = (32, 64, 128),
        dim: int = 128,
        depth: int = 3,
        heads: int = 4,
        motion_only: bool = False,
        mirrored: bool = False,
        error90: float = 0.0,
    ) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(patch)
        self.first = nn.Conv2d(patch * patch, widths[0], 3, padding=1)
        stages: list[nn.Module] = []
        for k, width in enumerate(widths):
            stages += [ConvBlock(widths[max(0, k - 1)], width, halve=k > 0), ConvBlock(width, width, halve=False)]
        self.encoder = nn.Sequential(*stages)
        cells = (size // patch // 2 ** (len(widths) - 1)) ** 2
        # A small map keeps places: the size of a ventricle shows in them, and a global mean loses them.
        self.squeeze = nn.Conv2d(widths[-1], 16, 1)
        self.to_token = nn.Linear(16 * cells, dim)
        layer = nn.TransformerEncoderLayer(dim, heads, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
        self.sequence = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(2 * dim)
        self.head = nn.Linear(2 * dim, 1)
        self.curve = nn.Linear(dim, 1)

    @property
    def gradcam_layer(self) -> nn.Module:
        """See `EFRegressor.gradcam_layer`."""
        return self.encoder

    def positions(self, frames: int, device: torch.device) -> torch.Tensor:
        """Sine and cosine of time, (frames, dim)."""
        half = self.contract.dim // 2
        rate = torch.exp(-math.log(100.0) * torch.arange(half, device=device) / half)
        angle = torch.arange(frames, device=device)[:, None] * rate
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.normalised`."""
        return normalise(x - x.mean(2, keepdim=True) if self.contract.motion_only else x)

    def forward(self, x: torch.Tensor, details: bool = False) -> Any:
        """See `EFRegressor.forward`; details hold the volume curve and its phases."""
        tokens = self.tokens(self.normalised(x))
        ef = EF_MIDDLE + EF_UNIT * self.head(self.pool(tokens))[:, 0].float()
        if not details:
            return ef
        curve = 0.7 + 0.2 * self.curve(tokens)[..., 0].float()
        return EFDetails(ef, curve=curve, phases=find_phases(curve.detach())[:, ::2])

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.embed`; mean and standard deviation over time of the transformer's tokens."""
        return self.pool(self.tokens(x))

    def pool(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T, dim) to one vector (B, 2 dim)."""
        return self.norm(torch.cat([tokens.mean(1), tokens.std(1)], dim=1))

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised clips (B, 1, T, H, W) to one token per frame after the transformer, (B, T, dim)."""
        pictures = self.unshuffle(rearrange(x, "b c t h w -> (b t) c h w"))
        h = self.squeeze(self.encoder(self.first(pictures.contiguous(memory_format=torch.channels_last))))
        tokens = self.to_token(rearrange(h, "n c h w -> n (c h w)"))
        tokens = rearrange(tokens, "(b t) d -> b t d", b=len(x))
        return self.sequence(tokens + self.positions(x.shape[2], x.device).to(tokens.dtype))
