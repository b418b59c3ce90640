"""UniFormer: convolutions for local relations, attention over all of space and time for global ones.

Two levels of local blocks (depthwise 5x5x5 kernels), then two of attention over every token of the clip; every block
begins with a depthwise 3x3x3 convolution, which encodes positions. Layout and names follow the published video
models, so their weights load: `patch_embed1-4`, `blocks1-4`, `norm`.

Source: Li et al. 2022, "UniFormer: Unified transformer for efficient spatiotemporal representation learning".
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn


class PatchEmbedding(nn.Module):
    """Non-overlapping patches in space (the stem also halves time), then normalisation over channels."""

    def __init__(self, inside: int, outside: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(outside)
        self.proj = nn.Conv3d(inside, outside, kernel, stride, padding=(kernel[0] // 2, 0, 0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, inside, T, H, W) -> (B, outside, T', H', W')."""
        patches = rearrange(self.proj(x), "b c t h w -> b t h w c")
        return rearrange(self.norm(patches), "b t h w c -> b c t h w")


class PointwiseMLP(nn.Module):
    """Two 1x1x1 convolutions."""

    def __init__(self, channels: int, drop: float) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv3d(channels, 4 * channels, 1), nn.Conv3d(4 * channels, channels, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class DepthwiseConv3d(nn.Conv3d):
    """One odd cubic kernel per channel, same size out as in.

    In half precision on a CPU, narrow ones are computed as a full convolution between all channels, zero but for each
    with itself: many times the work, and yet several times faster (24 channels, 5x5x5, forwards and backwards: 36
    instead of 327 ms), as matrix units know full convolutions only.
    """

    NARROW = 64

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, H, W) -> the same shape."""
        half = torch.is_autocast_enabled("cpu") or x.dtype == torch.bfloat16
        if x.device.type != "cpu" or not half or self.in_channels > self.NARROW:
            return super().forward(x)
        own = torch.arange(self.in_channels)
        full = self.weight.new_zeros(self.in_channels, *self.weight.shape[:1], *self.weight.shape[2:])
        full = full.index_put((own, own), self.weight[:, 0])
        return F.conv3d(x, full, self.bias, padding=self.padding)


class LocalBlock(nn.Module):
    """Relations within 5x5x5 tokens, learned as a depthwise convolution."""

    def __init__(self, channels: int, drop: float) -> None:
        super().__init__()
        self.pos_embed = DepthwiseConv3d(channels, 3)
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv1, self.conv2 = nn.Conv3d(channels, channels, 1), nn.Conv3d(channels, channels, 1)
        self.attn = DepthwiseConv3d(channels, 5)
        self.norm2 = nn.BatchNorm3d(channels)
        self.mlp = PointwiseMLP(channels, drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, H, W) -> the same shape."""
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        return x + self.mlp(self.norm2(x))


class SelfAttention(nn.Module):
    """Attention over all tokens of a clip."""

    def __init__(self, channels: int, head_dim: int, drop: float) -> None:
        super().__init__()
        self.heads = channels // head_dim
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, C) -> the same shape."""
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        found = rearrange(F.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)")
        return self.drop(self.proj(found))


class TokenMLP(nn.Module):
    """Two linear layers."""

    def __init__(self, channels: int, drop: float) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.drop = nn.Dropout(drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape."""
        return self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))


class GlobalBlock(nn.Module):
    """Relations within the whole clip, by attention."""

    def __init__(self, channels: int, head_dim: int, drop: float) -> None:
        super().__init__()
        self.pos_embed = DepthwiseConv3d(channels, 3)
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps=1e-6), nn.LayerNorm(channels, eps=1e-6)
        self.attn, self.mlp = SelfAttention(channels, head_dim, drop), TokenMLP(channels, drop)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T, H, W) -> the same shape."""
        x = x + self.pos_embed(x)
        tokens = rearrange(x, "b c t h w -> b (t h w) c")
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        return rearrange(tokens, "b (t h w) c -> b c t h w", t=x.shape[2], h=x.shape[3])


class UniFormer(nn.Module):
    """Encoder of clips; the defaults are UniFormer-S.

    Args:
        channels: of a clip.
        widths: channels per level, multiples of `head_dim` in the last two.
        blocks: per level; the first two levels are local, the last two global.
        head_dim: width of an attention head.
        drop: dropout rate.
    """

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 320, 512),
        blocks: Sequence[int] = (3, 4, 8, 3),
        head_dim: int = 64,
        drop: float = 0.1,
    ) -> None:
        super().__init__()
        inside = channels
        for k, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
            stem = k == 1
            kernel, stride = ((3, 4, 4), (2, 4, 4)) if stem else ((1, 2, 2), (1, 2, 2))
            setattr(self, f"patch_embed{k}", PatchEmbedding(inside, width, kernel, stride))
            level = [LocalBlock(width, drop) if k <= 2 else GlobalBlock(width, head_dim, drop) for _ in range(count)]
            setattr(self, f"blocks{k}", nn.ModuleList(level))
            inside = width
        self.drop = nn.Dropout(drop)
        self.norm = nn.BatchNorm3d(inside)

    @property
    def gradcam_layer(self) -> nn.Module:
        """The last layer of sufficient spatial resolution."""
        level = self.blocks2
        assert isinstance(level, nn.ModuleList)
        return level[-1]

    def tokens(self, x: torch.Tensor) -> torch.Tensor:
        """One vector per instant, mean over its places: (B, channels, T, H, W) -> (B, T / 2, widths[-1])."""
        for k in range(1, 5):
            x = getattr(self, f"patch_embed{k}")(x)
            x = self.drop(x) if k == 1 else x
            for block in getattr(self, f"blocks{k}"):
                x = block(x)
        # Contiguous: torch 2.13 hands a single clip's gradient back wrongly through transposed tokens.
        return rearrange(self.norm(x).mean(dim=(3, 4)), "b c t -> b t c").contiguous()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One vector per clip: (B, channels, T, H, W) -> (B, widths[-1])."""
        return self.tokens(x).mean(1)
