"""Activations as pictures and as tokens: one memory, channels last, seen in two ways without a copy.

pictures   (B T, C, H, W)      what convolutions over space take
tokens     (B, T, H W, C)      what norms, attention and convolutions over time take
"""

import torch
from einops import rearrange


def to_tokens(pictures: torch.Tensor, frames: int) -> torch.Tensor:
    """(B T, C, H, W) -> (B, T, H W, C); `frames` is T."""
    return rearrange(pictures, "(b t) c h w -> b t (h w) c", t=frames)


def to_pictures(tokens: torch.Tensor, height: int) -> torch.Tensor:
    """(B, T, H W, C) -> (B T, C, H, W); `height` is H."""
    # In two steps: in one, a single picture gets strides that convolutions take for another memory layout.
    pictures = rearrange(tokens, "b t (h w) c -> (b t) h w c", h=height)
    return rearrange(pictures, "bt h w c -> bt c h w")
