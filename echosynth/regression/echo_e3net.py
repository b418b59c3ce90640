"""Echo-E3Net: find the endocardium at end-diastole and end-systole, then predict EF from it and the whole clip.

    clip -> encoder (residual space-time convolutions; attention in the deepest levels)
         -> phase-specific cross-attention to the deepest two levels: weights over time for ED and ES, then for each
            phase 42 learned queries attend to the features at those moments
         -> landmarks and, pooled by attention, one embedding per phase
    EF = EF_discs(landmarks) + MLP(mean, standard deviation, largest and smallest value of the deep levels,
                                   embedding ED, embedding ES, their difference)

Published (arXiv 2503.17543, v2 and v3): the division of work between detector and aggregator, phase-specific cross
attention, statistical descriptors, a loss of several parts with the method of discs, an encoder after LHU-Net, and the
size (1.55 M weights, 8.05 GFLOP). Not published in anything that we could read, and chosen here: widths, number of
landmarks (the 21 pairs of EchoNet's tracings), how a query finds its place, that the aggregator corrects the EF by the
method of discs, attention in space and in time by turns where LHU-Net has large kernels, loss weights. Its scores are
not the paper's.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin  # noqa: F401  (diffusers looks for these names in a component's module)
from diffusers.configuration_utils import register_to_config
from einops import rearrange, reduce
from torch import nn

from echosynth.cardiac.discs import disc_ef
from echosynth.cardiac.landmarks import ROWS
from echosynth.regression.base import EF_UNIT, EFDetails, EFRegressor, normalise

PHASES = 2  # end-diastole, end-systole
SANE = (-20.0, 100.0)  # per cent: limits that the EF by the method of discs is clamped to


class Mixing(nn.Module):
    """Self-attention over the positions of each frame, or over the frames of each position.

    Args:
        channels: C.
        axis: "space" or "time".
        heads: attention heads.
    """

    def __init__(self, channels: int, axis: str, heads: int = 4) -> None:
        super().__init__()
        self.axis, self.heads = axis, heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """(B T, C, H, W) -> the same shape; `frames` is T."""
        layout = "b (h w) t c" if self.axis == "time" else "b t (h w) c"
        tokens = rearrange(x, f"(b t) c h w -> {layout}", t=frames)
        q, k, v = rearrange(self.qkv(self.norm(tokens)), "b a n (three h d) -> three b a h n d", three=3, h=self.heads)
        found = rearrange(F.scaled_dot_product_attention(q, k, v), "b a h n d -> b a n (h d)")
        mixed = rearrange(tokens + self.out(found), f"{layout} -> (b t) h w c", h=x.shape[2], t=frames)
        return rearrange(mixed, "n h w c -> n c h w")


class ResidualBlock(nn.Module):
    """A 3x3 convolution in space, then one of 3 frames in time, around a shortcut; attention behind, where asked.

    Args:
        channels: C, a multiple of 8.
        attention: mix over space and then over time.
    """

    def __init__(self, channels: int, attention: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.space = nn.Conv2d(channels, channels, 3, padding=1)
        self.time = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.mixing = nn.ModuleList(Mixing(channels, axis) for axis in ("space", "time") if attention)

    def forward(self, x: torch.Tensor, frames: int) -> torch.Tensor:
        """(B T, C, H, W) -> the same shape."""
        h = F.leaky_relu(self.norm2(self.space(F.leaky_relu(self.norm1(x), 0.01))), 0.01)
        # Seen as (B, C, T, H W), the same channels-last memory makes the convolution in time a two-dimensional one.
        h = self.time(rearrange(h, "(b t) c h w -> b c t (h w)", t=frames))
        h = rearrange(h, "b c t (h w) -> (b t) h w c", h=x.shape[2])
        x = x + rearrange(h, "n h w c -> n c h w")
        for mixing in self.mixing:
            x = mixing(x, frames)
        return x


def place_code(side: int, dim: int, device: torch.device) -> torch.Tensor:
    """Sine and cosine of the places of a square map, (side^2, dim); half of the width for each axis."""
    rate = 20 * torch.exp(-math.log(100.0) * torch.arange(dim // 4, device=device) / (dim // 4))
    angle = (torch.arange(side, device=device)[:, None] + 0.5) / side * rate
    line = torch.cat([angle.sin(), angle.cos()], dim=1)
    rows, columns = line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)
    return rearrange(torch.cat([rows, columns], dim=2), "h w d -> (h w) d")


class BorderDetector(nn.Module):
    """Cross-attention in two steps: over time for each phase, then over places for each landmark of a phase.

    A landmark is the mean of the places weighted by its query's attention, plus a small step predicted from the
    attended features. So a landmark's error acts on the attention directly. (Queries that predicted coordinates, and
    queries initialised at a typical ventricle's landmarks, stayed at the mean shape for hundreds of steps.)

    Args:
        channels: of the two levels, the finer first.
        dim: width of a query, a multiple of 4.
        borders: 1 for the endocardium, 2 for the epicardium too.
    """

    GAIN = 8.0  # of queries: lets attention become sharp at the learning rate of everything else
    STEP = 0.2  # share of the side: unit of a landmark's last step

    def __init__(self, channels: Sequence[int], dim: int, borders: int = 1) -> None:
        super().__init__()
        self.dim, self.borders = dim, borders
        self.project = nn.ModuleList(nn.Conv2d(width, dim, 1) for width in channels)
        self.norm = nn.LayerNorm(dim)
        self.moments = nn.Linear(dim, PHASES)
        self.queries = nn.Parameter(torch.randn(PHASES, borders * 2 * ROWS, dim) * dim**-0.5 / self.GAIN)
        self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim)
        last = nn.Linear(dim, 2)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.step = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU(), last)
        self.weight = nn.Linear(dim, 1)

    def attend_in_time(self, fine: torch.Tensor, coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention over time and the features that it selects.

        Args:
            fine: (B, T, C, H, H).
            coarse: (B, T, C', H / 2, H / 2).

        Returns:
            Weights of each moment for each phase (B, T, 2), and the weighted features (B, 2, H^2, dim).
        """
        side = fine.shape[-1]
        first, second = (
            project(rearrange(level, "b t c h w -> (b t) c h w"))
            for project, level in zip(self.project, (fine, coarse), strict=True)
        )
        seen = rearrange(first + F.interpolate(second, side, mode="bilinear"), "n d h w -> n (h w) d")
        tokens = self.norm(seen + place_code(side, self.dim, seen.device).to(seen.dtype))
        tokens = rearrange(tokens, "(b t) n d -> b t n d", b=len(fine))
        moments = self.moments(tokens.mean(2)).softmax(1)
        return moments, torch.einsum("btp,btnd->bpnd", moments, tokens)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find the borders.

        Args:
            fine: (B, T, C, H, H).
            coarse: (B, T, C', H / 2, H / 2).

        Returns:
            Moments of each phase (B, 2), landmarks (B, 2, borders, ROWS, 2, 2), shares of the side, and embeddings
            (B, 2, dim).
        """
        moments, seen = self.attend_in_time(fine, coarse)
        line = (torch.arange(fine.shape[-1], device=fine.device) + 0.5) / fine.shape[-1]
        places = torch.cartesian_prod(line, line).flip(-1)  # x, y
        asked = self.GAIN * self.queries.to(seen.dtype)
        looks = torch.einsum("pkd,bpnd->bpkn", asked, self.key(seen)).float().softmax(-1)
        found = looks.to(seen.dtype) @ self.value(seen)
        # Not as a matrix product: half precision would round places to whole pixels.
        landmarks = (looks[..., None] * places).sum(-2) + self.STEP * self.step(found).float()
        embedding = (self.weight(found).softmax(dim=2) * found).sum(2)
        landmarks = rearrange(landmarks, "b p (k r e) xy -> b p k r e xy", r=ROWS, e=2)
        return moments.argmax(1), landmarks, embedding


class EchoE3Net(EFRegressor):
    """Landmarks and EF; the defaults are of the published size.

    Args:
        fps: frame rate of its input, Hz.
        frames: frames of a window, even.
        size: side of the picture, pixels; a multiple of 2^levels.
        widths: channels per level, multiples of 8.
        blocks: residual blocks per level.
        attention: per level, whether its blocks attend over space and time.
        dim: width of the landmark queries, a multiple of 4.
        hidden: width of the aggregator.
        epicardium: also find the outer border, as version 1 does; EF follows from the inner one alone.
        mirrored: predict the mean over a clip and its mirror image.
        error90: half width of the 90 % interval, EF points.
    """

    @register_to_config
    def __init__(
        self,
        fps: float = 25.0,
        frames: int = 32,
        size: int = 112,
        widths: Sequence[int] = (16, 32, 72, 152),
        blocks: Sequence[int] = (2, 2, 2, 2),
        attention: Sequence[bool] = (False, False, True, True),
        dim: int = 120,
        hidden: int = 168,
        epicardium: bool = False,
        mirrored: bool = False,
        error90: float = 0.0,
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, widths[0], 3, stride=2, padding=1)
        self.levels = nn.ModuleList(
            nn.ModuleList(ResidualBlock(width, attend) for _ in range(count))
            for width, count, attend in zip(widths, blocks, attention, strict=True)
        )
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.detector = BorderDetector(widths[-2:], dim, 2 if epicardium else 1)
        described = 4 * sum(widths[-2:]) + 3 * dim
        # Each feature is normalised over clips: most of a feature vector is alike for all of them, and normalised as a
        # whole it drove every hidden unit to where nothing gets through.
        self.aggregate = nn.Sequential(
            nn.BatchNorm1d(described), nn.Linear(described, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.head = nn.Linear(hidden, 1)

    @property
    def gradcam_layer(self) -> nn.Module:
        """See `EFRegressor.gradcam_layer`."""
        level = self.levels[-2]
        assert isinstance(level, nn.ModuleList)
        return level[-1]

    def detect(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Landmarks and features of normalised clips (B, 1, T, H, W).

        Returns:
            Frames of ED and ES (B, 2), landmarks (B, 2, borders, ROWS, 2, 2), and the features that the correction of
            their EF is predicted from (B, hidden).
        """
        frames = x.shape[2]
        pictures = rearrange(x, "b c t h w -> (b t) c h w")
        h = self.first(pictures.contiguous(memory_format=torch.channels_last))
        levels: list[torch.Tensor] = []
        for k, blocks in enumerate(self.levels):
            h = self.down[k - 1](h) if k else h
            if k == len(self.levels) - 1:  # features at this depth change slowly
                h, frames = reduce(h, "(n two) c h w -> n c h w", "mean", two=2), frames // 2
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                h = block(h, frames)
            levels.append(rearrange(h, "(b t) c h w -> b t c h w", t=frames))
        # The detector sees both of its levels at the deepest one's frame rate.
        fine = reduce(levels[-2], "b (t two) c h w -> b t c h w", "mean", two=2)
        moments, landmarks, phases = self.detector(fine, levels[-1])
        described = []
        for level in levels[-2:]:
            # Channels lie last in memory: seen so, nothing needs to be moved.
            values = rearrange(level, "b t c h w -> b (t h w) c")
            mean, square = values.float().mean(1), values.float().square().mean(1)
            std = (square - mean.square()).clamp_min(1e-6).sqrt()
            described += [mean, std, values.amax(1).float(), values.amin(1).float()]
        ed, es = phases.float().unbind(1)
        return 2 * moments, landmarks, self.aggregate(torch.cat([*described, ed, es, ed - es], dim=1))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.embed`."""
        return self.detect(x)[2]

    def forward(self, x: torch.Tensor, details: bool = False) -> Any:
        """See `EFRegressor.forward`; details hold the landmarks and their phases."""
        phases, landmarks, read = self.detect(normalise(x))
        # Landmarks of an untrained detector give any EF.
        drawn = disc_ef(landmarks[:, :, 0].detach()).clamp(*SANE)
        ef = drawn + EF_UNIT * self.head(read)[:, 0].float()
        return EFDetails(ef, phases=phases, landmarks=landmarks) if details else ef
