"""Self-attention over space (the H W positions of one frame) or over time (the T frames at one position).

Activations are (B T, C, H, W) in channels-last memory, i.e. (B, T, H W, C) contiguous: both kinds of tokens are
views, nothing is copied to lay them out. Time attention uses rotary positions (Su et al. 2021), so it knows distances
in frames and takes any length.
"""

import importlib.util

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from echosynth.diffusion.layout import to_pictures, to_tokens
from echosynth.errors import MissingDependencyError

HEAD_DIM = 32
"""Width of an attention head."""

_HEADS = {  # the batch is B T or B H W, the tokens N are H W or T
    "space": "b t s (qkv heads d) -> qkv (b t) heads s d",
    "time": "b t s (qkv heads d) -> qkv (b s) heads t d",
}


def rotate_by_position(x: torch.Tensor) -> torch.Tensor:
    """Rotary position code along the tokens: (..., N, D) -> the same; D even."""
    tokens, dim = x.shape[-2:]
    rate = 0.02 ** (torch.arange(dim // 2, device=x.device) / max(dim // 2 - 1, 1))
    angle = torch.arange(tokens, device=x.device)[:, None] * rate
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.cat([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1)


def check_head_width(channels: int, head_dim: int = HEAD_DIM) -> None:
    """Raise ValueError if a layer's channels are not a whole number of heads, at least one."""
    if channels < head_dim or channels % head_dim:
        raise ValueError(f"a level with attention must be a multiple of {head_dim} channels wide, got {channels}")


class Attention(nn.Module):
    """Residual multi-head self-attention along one axis.

    Args:
        channels: C, a multiple of `head_dim`.
        axis: "space" or "time".
        head_dim: width of a head.

    Raises:
        ValueError: the axis is another one, or the channels are not a whole number of heads.
    """

    def __init__(self, channels: int, axis: str, head_dim: int = HEAD_DIM) -> None:
        super().__init__()
        if axis not in ("space", "time"):
            raise ValueError(f"axis must be 'space' or 'time', got {axis!r}")
        check_head_width(channels, head_dim)
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
            ValueError: there is no CUDA device, and xformers' attention runs on nothing else.
        """
        if valid and importlib.util.find_spec("xformers") is None:
            raise MissingDependencyError(
                "xformers is not installed; install it with: pip install 'echosynth[xformers]'"
            )
        if valid and not torch.cuda.is_available():
            raise ValueError("xformers' attention runs on CUDA devices alone, and there is none; leave it switched off")
        self.use_xformers = valid

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """(B T, C, H, W) -> the same shape; `frames` is T."""
        tokens = to_tokens(x, frames)
        # q, k, v are (batch, heads, N, D)
        q, k, v = rearrange(self.qkv(self.norm(tokens)), _HEADS[self.axis], qkv=3, heads=self.heads)
        if self.axis == "time":
            q, k = rotate_by_position(q), rotate_by_position(k)
        mixed = self._attend(q, k, v)
        if self.axis == "time":
            mixed = rearrange(mixed, "(b s) heads t d -> b t s (heads d)", s=tokens.shape[2])
        else:
            mixed = rearrange(mixed, "(b t) heads s d -> b t s (heads d)", t=frames)
        return x + to_pictures(self.out(mixed), x.shape[2])

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        if self.use_xformers:
            from xformers.ops import memory_efficient_attention

            q, k, v = (rearrange(y, "b heads n d -> b n heads d") for y in (q, k, v))
            return rearrange(memory_efficient_attention(q, k, v), "b n heads d -> b heads n d")
        if q.device.type == "cpu" and q.requires_grad:
            # The fused CPU kernel's backward pass is ten times slower than plain matrix products at these lengths
            # (16-64).
            with sdpa_kernel(SDPBackend.MATH):
                return F.scaled_dot_product_attention(q, k, v)
        return F.scaled_dot_product_attention(q, k, v)
