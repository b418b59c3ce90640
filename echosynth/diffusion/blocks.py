"""Residual blocks of the space-time U-Net: a 3x3 convolution in space, then a convolution of 3 frames in time.

Activations stay (B T, C, H, W) in channels-last memory. Seen as (B, C, T, H W) the same memory makes the time
convolution an ordinary 3x1 two-dimensional one, with no copy: on CPU and GPU that is several times faster than conv3d
or transposed layouts.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from echosynth.diffusion.attention import Attention
from echosynth.diffusion.layout import to_pictures, to_tokens


def check_levels(widths: Sequence[int], blocks: Sequence[int]) -> None:
    """Raise ValueError unless widths and blocks name the same levels, at least one, of at least one channel."""
    if len(widths) != len(blocks) or not widths or min(widths) < 1 or min(blocks) < 0:
        got = f"{list(widths)} and {list(blocks)}"
        raise ValueError(f"widths and blocks must name the same number of levels, got {got}")


class TimeConv(nn.Module):
    """Convolution along time, kernel 3, at every pixel on its own.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """(B T, C, H, W) -> the same shape."""
        y = self.conv(rearrange(to_tokens(x, frames), "b t s c -> b c t s"))
        return to_pictures(rearrange(y, "b c t s -> b t s c"), x.shape[2])


def modulate(x: torch.Tensor, norm: nn.LayerNorm, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Adaptive normalisation over channels, then SiLU: (B T, C, H, W) with scale and shift (B, C)."""
    tokens = norm(to_tokens(x, len(x) // len(scale)))
    scale, shift = (rearrange(part, "b c -> b 1 1 c").to(tokens) for part in (scale, shift))
    return to_pictures(F.silu(torch.addcmul(shift, tokens, 1 + scale)), x.shape[2])


class SpaceTimeBlock(nn.Module):
    """Residual block, followed by attention where asked.

    Args:
        channels: C.
        emb_dim: width of the condition vector.
        space_attention: attend over the positions of each frame.
        time_attention: attend over the frames at each position.
    """

    def __init__(self, channels: int, emb_dim: int, space_attention: bool, time_attention: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(channels, elementwise_affine=False)
        self.modulation = nn.Linear(emb_dim, 4 * channels)
        self.space = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = TimeConv(channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.time.conv.weight)
        nn.init.zeros_(self.time.conv.bias)  # type: ignore[arg-type]
        axes = [axis for axis, on in (("space", space_attention), ("time", time_attention)) if on]
        self.attentions = nn.ModuleList(Attention(channels, axis) for axis in axes)

    def forward(self, x: torch.Tensor, emb: torch.Tensor, frames: int) -> torch.Tensor:
        """Refine x (B T, C, H, W) under emb (B, emb_dim): the same shape."""
        scale1, shift1, scale2, shift2 = self.modulation(emb).chunk(4, dim=1)
        h = self.space(modulate(x, self.norm1, scale1, shift1))
        x = x + self.time(modulate(h, self.norm2, scale2, shift2), frames)
        for attention in self.attentions:
            x = attention(x, frames)
        return x


class FrameEncoder(nn.Module):
    """Features of the conditioning frame for every level of the U-Net, computed once per clip, whatever its length.

    Args:
        patch: side of the square of frame pixels that makes one position of the first level.
        widths: channels per level.
    """

    def __init__(self, patch: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.patch = patch
        self.first = nn.Conv2d(patch * patch, widths[0], 3, padding=1)
        self.refine = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))

    def forward(self, frame: torch.Tensor) -> list[torch.Tensor]:
        """(B, 1, S, S) in [-1, 1] -> per level (B, C, h, w)."""
        h = F.pixel_unshuffle(frame, self.patch).to(self.first.weight.dtype)
        h = self.first(h.contiguous(memory_format=torch.channels_last))
        features = []
        for level, refine in enumerate(self.refine):
            if level:
                h = self.down[level - 1](h)
            h = h + refine(F.silu(h))
            features.append(h)
        return features
