"""Self-attention over space (the H W positions of one frame) or over time (the T frames at one position).

Activations are (B T, C, H, W) in channels-last memory, i.e. (B, T, H W, C) contiguous: both kinds of tokens are
views, nothing is copied to lay them out. Time attention uses rotary positions (Su et al. 2021), so it knows distances
in frames and takes any length.
"""

import importlib.util

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from echosynth.errors import MissingDependencyError


def rotate_by_position(x: torch.Tensor) -> torch.Tensor:
    """Rotary position code along the tokens: (..., N, D) -> the same; D even."""
    tokens, dim = x.shape[-2:]
    rate = 0.02 ** (torch.arange(dim // 2, device=x.device) / max(dim // 2 - 1, 1))
    angle = torch.arange(tokens, device=x.device)[:, None] * rate
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)


class Attention(nn.Module):
    """Residual multi-head self-attention along one axis.

    Args:
        channels: C, a multiple of `head_dim`.
        axis: "space" or "time".
        head_dim: width of a head.
    """

    def __init__(self, channels: int, axis: str, head_dim: int = 32) -> None:
        super().__init__()
        if axis not in ("space", "time"):
            raise ValueError(f"axis must be 'space' or 'time', got {axis!r}")
        self.axis, self.heads = axis, channels // head_dim
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.use_xformers = False

    def set_use_memory_efficient_attention_xformers(self, valid: bool, attention_op: object = None) -> None:
        """The hook that diffusers' `enable_xformers_memory_efficient_attention` calls on every module.

        Raises:
            MissingDependencyError: xformers is not installed.
        """
        if valid and importlib.util.find_spec("xformers") is None:
            raise MissingDependencyError(
                "xformers is not installed; install it with: pip install 'echosynth[xformers]'"
            )
        self.use_xformers = valid

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """(B T, C, H, W) -> the same shape; `frames` is T."""
        bt, channels, height, width = x.shape
        tokens = x.permute(0, 2, 3, 1).reshape(bt // frames, frames, height * width, channels)
        q, k, v = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, -1)).unbind(-3)  # (B, T, HW, heads, D)
        if self.axis == "time":
            q, k, v = (y.transpose(1, 2) for y in (q, k, v))  # (B, HW, T, heads, D)
        outer = q.shape[:2]
        q, k, v = (y.flatten(0, 1).transpose(1, 2) for y in (q, k, v))  # (outer, heads, N, D)
        if self.axis == "time":
            q, k = rotate_by_position(q), rotate_by_position(k)
        mixed = self._attend(q, k, v).transpose(1, 2).unflatten(0, outer)  # (B, T or HW, N, heads, D)
        if self.axis == "time":
            mixed = mixed.transpose(1, 2)
        update = self.out(mixed.flatten(-2))
        return x + update.reshape(bt, height, width, channels).permute(0, 3, 1, 2)

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if self.use_xformers:
            from xformers.ops import memory_efficient_attention

            q, k, v = (y.transpose(1, 2) for y in (q, k, v))
            return memory_efficient_attention(q, k, v).transpose(1, 2)
        if q.device.type == "cpu" and q.requires_grad:
            # The fused CPU kernel's backward pass is ten times slower than plain matrix products at these lengths
            # (16-64).
            with sdpa_kernel(SDPBackend.MATH):
                return F.scaled_dot_product_attention(q, k, v)
        return F.scaled_dot_product_attention(q, k, v)
