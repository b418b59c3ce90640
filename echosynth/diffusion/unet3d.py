"""UNet3D: the denoising network of every cascade stage.

    clip (B, 1, T, H, W) -> patches of p x p pixels (space-to-depth) -> two or more levels of space-time blocks ->
    patches -> clip

The conditions: a vector (noise level, EF, ...) modulates every block; the conditioning frame enters every level at
full resolution, encoded once; a low-resolution clip, already brought to the stage's size, joins the input.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange, repeat
from torch import nn

from echosynth.diffusion.attention import check_head_width
from echosynth.diffusion.blocks import FrameEncoder, SpaceTimeBlock, check_levels
from echosynth.diffusion.embeddings import NUM_OCTAVES, ConditionEmbedding


def check_attention_levels(
    widths: Sequence[int], blocks: Sequence[int], space_attention: Sequence[bool], time_attention: Sequence[bool]
) -> None:
    """Raise ValueError unless all name the same levels, and those with attention are whole heads wide."""
    check_levels(widths, blocks)
    if not len(widths) == len(space_attention) == len(time_attention):
        raise ValueError("widths, blocks, space_attention and time_attention must name the same number of levels")
    for width, attends in zip(widths, map(any, zip(space_attention, time_attention, strict=True)), strict=True):
        if attends:
            check_head_width(width)


class UNet3D(ModelMixin, ConfigMixin):
    """Factorised space-time U-Net on a space-to-depth grid.

    Args:
        patch: side p of a patch; H and W are multiples of p * 2^(levels - 1).
        widths: channels per level, multiples of 32.
        blocks: space-time blocks per level on the way down, and as many on the way up.
        space_attention: per level.
        time_attention: per level.
        emb_dim: width of the condition vector.
        scalars: names of the `CONDITIONS` that it is conditioned on.
        scalar_octaves: of the scalars' Fourier features; 0 for plain numbers.
        frame_patch: side of a conditioning-frame patch: frame side * p / H; None for a network that sees no frame.
        lowres: whether a low-resolution clip joins the input.
    """

    _supports_gradient_checkpointing = True
    _repeated_blocks: Sequence[str] = ("SpaceTimeBlock",)

    @register_to_config
    def __init__(
        self,
        patch: int = 2,
        widths: Sequence[int] = (128, 256),
        blocks: Sequence[int] = (1, 2),
        space_attention: Sequence[bool] = (False, True),
        time_attention: Sequence[bool] = (True, True),
        emb_dim: int = 256,
        scalars: Sequence[str] = ("ef",),
        scalar_octaves: int = NUM_OCTAVES,
        frame_patch: int | None = 8,
        lowres: bool = False,
    ) -> None:
        super().__init__()
        check_attention_levels(widths, blocks, space_attention, time_attention)
        self.gradient_checkpointing = False
        self.embed = ConditionEmbedding(tuple(scalars), emb_dim, scalar_octaves)
        self.frame_encoder = None if frame_patch is None else FrameEncoder(frame_patch, tuple(widths))
        self.first = nn.Conv2d(patch * patch * (2 if lowres else 1), widths[0], 3, padding=1)

        def level(k: int) -> nn.ModuleList:
            return nn.ModuleList(
                SpaceTimeBlock(widths[k], emb_dim, space_attention[k], time_attention[k]) for _ in range(blocks[k])
            )

        top = len(widths) - 1
        self.down_blocks = nn.ModuleList(level(k) for k in range(top + 1))
        self.up_blocks = nn.ModuleList(level(k) for k in range(top + 1))
        self.down = nn.ModuleList(nn.Conv2d(widths[k], widths[k + 1], 2, stride=2) for k in range(top))
        self.up = nn.ModuleList(nn.Conv2d(widths[k + 1], 4 * widths[k], 1) for k in range(top))
        self.join = nn.ModuleList(nn.Conv2d(2 * widths[k], widths[k], 1) for k in range(top))
        self.norm = nn.LayerNorm(widths[0])
        self.last = nn.Conv2d(widths[0], patch * patch, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)

    def forward(
        self,
        x: torch.Tensor,
        c_noise: torch.Tensor,
        scalars: Mapping[str, torch.Tensor],
        frame: torch.Tensor,
        frame_given: torch.Tensor,
        lowres: torch.Tensor | None = None,
        lowres_sigma: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Evaluate F of the preconditioning (edm/preconditioning.py).

        Args:
            x: noisy clip, scaled to unit variance, (B, 1, T, H, W).
            c_noise: (B,), ln(sigma) / 4.
            scalars: name -> (B,) in the scalar's unit; NaN where not given.
            frame: conditioning frame (B, 1, S, S) in [-1, 1].
            frame_given: bool (B,): whether the frame may be looked at.
            lowres: low-resolution clip brought to this stage's size, (B, 1, T, H, W) in [-1, 1].
            lowres_sigma: (B,), standard deviation of the noise that was added to it.

        Returns:
            (B, 1, T, H, W).
        """
        frames = x.shape[2]
        p = self.config.patch
        clip = x if lowres is None else torch.cat([x, lowres], dim=1)
        h = F.pixel_unshuffle(rearrange(clip, "b c t h w -> (b t) c h w"), p)  # (B T, patches, h, w)
        h = self.first(h.to(self.first.weight.dtype).contiguous(memory_format=torch.channels_last))
        emb = self.embed(c_noise, scalars, lowres_sigma, frame_given)
        features = None
        if self.frame_encoder is not None:
            features = self.frame_encoder(frame * frame_given.to(frame.dtype)[:, None, None, None])

        skips: list[torch.Tensor] = []
        for k in range(len(self.down_blocks)):
            if k:
                skips.append(h)
                h = self.down[k - 1](h)
            if features is not None:
                h = h + repeat(features[k].to(h.dtype), "b c h w -> (b t) c h w", t=frames)
            h = h.contiguous(memory_format=torch.channels_last)
            h = self._run(self.down_blocks, k, h, emb, frames)
        for k in reversed(range(len(self.up_blocks))):
            if k < len(self.up_blocks) - 1:
                h = F.pixel_shuffle(self.up[k](h), 2)
                h = self.join[k](torch.cat([h, skips[k]], dim=1).contiguous(memory_format=torch.channels_last))
            h = self._run(self.up_blocks, k, h, emb, frames)
        h = F.silu(self.norm(rearrange(h, "bt c h w -> bt h w c")))
        out = F.pixel_shuffle(self.last(rearrange(h, "bt h w c -> bt c h w")), p)
        return rearrange(out, "(b t) c h w -> b c t h w", t=frames)

    def _run(self, levels: nn.ModuleList, k: int, h: torch.Tensor, emb: torch.Tensor, frames: int) -> torch.Tensor:
        blocks = levels[k]
        assert isinstance(blocks, nn.ModuleList)
        for block in blocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                h = self._gradient_checkpointing_func(block, h, emb, frames)
            else:
                h = block(h, emb, frames)
        return h
