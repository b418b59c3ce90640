"""TissueTracker: where in the conditioning frame is the tissue that a clip's frames show?

    d = tracker(clip, frame)        tissue at (x, y) of a clip's frame is at (x, y) + d in the conditioning frame

Super-resolution moves the patient's own speckle with the wall (`warp_high_frequencies`) instead of inventing new
speckle in every frame. The tracker learns from simulated hearts, whose motion is known (phantom/maps.py).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import nn

from echosynth.diffusion.blocks import SpaceTimeBlock, check_levels
from echosynth.diffusion.cascade import resize_frame, upsample_space
from echosynth.diffusion.embeddings import NUM_OCTAVES, apply_linear, fourier_features

NEIGHBOURHOOD = 5  # pixels: side of the squares that are compared
CONTRAST = 0.02  # of a square, standard deviation in [-1, 1] units, below which its likeness means little


def local_correlation(clip: torch.Tensor, still: torch.Tensor, reach: int) -> torch.Tensor:
    """How alike the surroundings of each pixel are to those of a still picture's pixels nearby: their correlation.

    Args:
        clip: (B, 1, T, h, w).
        still: (B, 1, h, w).
        reach: how far to look, pixels.

    Returns:
        (B, (2 reach + 1)^2, T, h, w), about -1 to 1; shifts in rows, x fastest, from -reach on.
    """
    height, width = clip.shape[-2:]

    def smooth(x: torch.Tensor) -> torch.Tensor:
        edge = NEIGHBOURHOOD // 2
        return F.avg_pool2d(F.pad(x, (edge,) * 4, mode="replicate"), NEIGHBOURHOOD, 1)

    moving = clip[:, 0]
    mean = smooth(moving)
    std = (smooth(moving**2) - mean**2).clamp_min(0).add(CONTRAST**2).sqrt()
    padded = F.pad(still, (reach,) * 4, mode="replicate")
    alike = []
    for y in range(2 * reach + 1):
        for x in range(2 * reach + 1):
            other = padded[..., y : y + height, x : x + width]
            there = smooth(other)
            std_there = (smooth(other**2) - there**2).clamp_min(0).add(CONTRAST**2).sqrt()
            alike.append((smooth(moving * other) - mean * there) / (std * std_there))
    return torch.stack(alike, dim=1)


class TissueTracker(ModelMixin, ConfigMixin):
    """A space-time U-Net over the likeness of each pixel's surroundings to places nearby in the conditioning frame.

    Args:
        reach: how far likeness is looked for, pixels of the clip.
        patch: side of a patch, pixels of the clip.
        widths: channels per level, multiples of 32.
        blocks: space-time blocks per level, on the way down and on the way up.
        emb_dim: width of the noise-level vector.
    """

    @register_to_config
    def __init__(
        self,
        reach: int = 3,
        patch: int = 2,
        widths: Sequence[int] = (64, 128),
        blocks: Sequence[int] = (1, 1),
        emb_dim: int = 128,
    ) -> None:
        super().__init__()
        check_levels(widths, blocks)
        self.noise = nn.Linear(2 * NUM_OCTAVES + 1, emb_dim)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(emb_dim, emb_dim), nn.SiLU())
        seen = (2 * reach + 1) ** 2 + 2
        self.first = nn.Conv2d(seen * patch * patch, widths[0], 3, padding=1)

        def level(k: int) -> nn.ModuleList:
            return nn.ModuleList(SpaceTimeBlock(widths[k], emb_dim, False, False) for _ in range(blocks[k]))

        self.down_blocks = nn.ModuleList(level(k) for k in range(len(widths)))
        self.up_blocks = nn.ModuleList(level(k) for k in range(len(widths) - 1))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.last = nn.Conv2d(widths[0], 2 * patch * patch, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)

    def forward(self, clip: torch.Tensor, level: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        """Track.

        Args:
            clip: (B, 1, T, h, w) in [-1, 1].
            level: (B,), standard deviation of the noise on the clip.
            frame: conditioning frame (B, 1, S, S) in [-1, 1]; S a multiple of h.

        Returns:
            Displacement (B, 2, T, h, w), x then y, in pixels of the clip.
        """
        frames = clip.shape[2]
        still = resize_frame(frame, clip.shape[-1])
        alike = local_correlation(clip, still, self.config.reach)
        seen = torch.cat([clip, still[:, :, None].expand_as(clip), alike], dim=1)
        h = F.pixel_unshuffle(rearrange(seen, "b c t h w -> (b t) c h w"), self.config.patch)
        h = self.first(h.to(self.first.weight.dtype).contiguous(memory_format=torch.channels_last))
        emb = self.mix(apply_linear(self.noise, fourier_features(level)))
        skips: list[torch.Tensor] = []
        for k, blocks in enumerate(self.down_blocks):
            if k:
                skips.append(h)
                h = self.down[k - 1](h)
            h = self._run(blocks, h, emb, frames)
        for k in reversed(range(len(self.up_blocks))):
            h = skips[k] + F.pixel_shuffle(self.up[k](h), 2)
            h = self._run(self.up_blocks[k], h.contiguous(memory_format=torch.channels_last), emb, frames)
        displacement = F.pixel_shuffle(self.last(F.silu(h)), self.config.patch)
        return rearrange(displacement, "(b t) xy h w -> b xy t h w", t=frames)

    @staticmethod
    def _run(blocks: nn.Module, h: torch.Tensor, emb: torch.Tensor, frames: int) -> torch.Tensor:
        assert isinstance(blocks, nn.ModuleList)
        for block in blocks:
            h = block(h, emb, frames)
        return h


def warp_frame(
    picture: torch.Tensor, displacement: torch.Tensor, mode: str = "bilinear", beyond: str = "zeros"
) -> torch.Tensor:
    """Backward warping: fetch a picture of the conditioning frame's size to where its tissue has gone.

    Args:
        picture: (B, 1, S, S).
        displacement: see `TissueTracker.forward`, (B, 2, T, h, w); S is a multiple of h.
        mode: how to read between pixels, as `grid_sample` names it.
        beyond: what to read beyond the edge, likewise.

    Returns:
        (B, 1, T, S, S).
    """
    frames, size = displacement.shape[2], picture.shape[-1]
    flow = F.interpolate(
        rearrange(displacement, "b xy t h w -> (b t) xy h w").float(),
        size=(size, size),
        mode="bilinear",
        align_corners=False,
    )
    scale = size / displacement.shape[-1]
    flow = rearrange(flow, "(b t) xy h w -> b t h w xy", t=frames) * scale  # pixels of the picture
    place = torch.arange(size, device=picture.device, dtype=torch.float32)
    y, x = torch.meshgrid(place, place, indexing="ij")
    grid = (torch.stack([x, y], -1) + flow + 0.5) * (2 / size) - 1
    rows = rearrange(grid, "b t h w xy -> b (t h) w xy")
    fetched = F.grid_sample(picture, rows, mode=mode, padding_mode=beyond, align_corners=False)
    return rearrange(fetched, "b c (t h) w -> b c t h w", t=frames)


def warp_high_frequencies(frame: torch.Tensor, displacement: torch.Tensor, size: int) -> torch.Tensor:
    """What a low-resolution clip lacks, fetched from the conditioning frame to where its tissue has gone.

    Args:
        frame: (B, 1, S, S) in [-1, 1].
        displacement: see `TissueTracker.forward`, (B, 2, T, h, w).
        size: side of the result; S is a multiple of it, and it one of h.

    Returns:
        Detail (B, 1, T, size, size), to be added to the enlarged clip; nothing where tissue comes from outside.
    """
    low = displacement.shape[-1]
    detail = resize_frame(frame, size) - upsample_space(resize_frame(frame, low)[:, :, None], size)[:, :, 0]
    return warp_frame(detail, displacement)


def mix_shared_noise(
    own: torch.Tensor, shared: torch.Tensor, share: float, displacement: torch.Tensor | None
) -> torch.Tensor:
    """Noise of which all frames have a share in common, so that what is made of it does not flicker.

    This is the mixed noise prior (Ge et al. 2023, "Preserve Your Own Correlation") whose shared part is
    warped with the tissue (noise warping: Chang et al. 2024, "How I Warped Your Noise"). Any Gaussian noise will do for
    a sampler that was trained on the same: the probability flow, dx / dsigma = (x - D) / sigma, is that of white noise.

    Args:
        own: unit noise of every frame, (B, 1, T, S, S).
        shared: unit noise, (B, 1, S, S).
        share: of the variance, 0-1.
        displacement: of the tissue, see `TissueTracker.forward`; None where nothing moves.

    Returns:
        (B, 1, T, S, S) of unit variance.
    """
    # Nearest neighbours: anything smoother would take from the variance.
    still = shared[:, :, None] if displacement is None else warp_frame(shared, displacement, "nearest", "reflection")
    return math.sqrt(1 - share) * own + math.sqrt(share) * still
