"""Echo-E3Net: find the endocardium at end-diastole and end-systole, then read EF from it and from the whole clip.

    clip -> encoder (residual space-time convolutions; attention in the deepest levels)
         -> phase-specific cross-attention: 42 learned queries for ED and 42 for ES look at the deepest two levels
         -> each query's place (a landmark) and, pooled by attention, one embedding per phase
    EF = MLP(mean, spread, largest and smallest value of every level, embedding ED, embedding ES, their difference)

Published (arXiv 2503.17543, v2 and v3): the division of work between detector and aggregator, phase-specific cross
attention, statistical descriptors, a loss of several parts with the method of discs, an encoder after LHU-Net, and the
size (1.55 M weights, 8.05 GFLOP). Not published in anything that we could read, and therefore our reading: widths,
number of landmarks (the 21 pairs of EchoNet's tracings), attention in space and in time by turns where LHU-Net has
large kernels, loss weights. Do not take its scores for the paper's.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin  # noqa: F401  (diffusers looks for these names in a component's module)
from diffusers.configuration_utils import register_to_config
from torch import nn

from echosynth.regression.base import EF_MIDDLE, EF_UNIT, EFDetails, EFRegressor, normalise
from echosynth.regression.volumes import ROWS

PHASES = 2  # end-diastole, end-systole
POINTS = 2 * ROWS


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
        count, channels, height, width = x.shape
        tokens = x.permute(0, 2, 3, 1).reshape(count // frames, frames, height * width, channels)
        tokens = tokens.transpose(1, 2) if self.axis == "time" else tokens
        q, k, v = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, -1)).transpose(-4, -2).unbind(-3)
        mixed = tokens + self.out(F.scaled_dot_product_attention(q, k, v).transpose(-3, -2).flatten(-2))
        mixed = mixed.transpose(1, 2) if self.axis == "time" else mixed
        return mixed.reshape(count, height, width, channels).permute(0, 3, 1, 2)


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
        count, channels, height, width = x.shape
        h = F.leaky_relu(self.norm2(self.space(F.leaky_relu(self.norm1(x), 0.01))), 0.01)
        # Seen as (B, C, T, H W), the same channels-last memory makes the convolution in time a two-dimensional one.
        rows = h.permute(0, 2, 3, 1).reshape(count // frames, frames, height * width, channels)
        h = self.time(rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).reshape(count, height, width, channels)
        x = x + h.permute(0, 3, 1, 2)
        for mixing in self.mixing:
            x = mixing(x, frames)
        return x


def typical_ventricle() -> torch.Tensor:
    """Landmarks (ROWS, 2, 2) from where the search begins: upright, in the middle, twice as long as wide."""
    z = (torch.arange(ROWS - 1) + 0.5) / (ROWS - 1)
    y, half = 0.15 + 0.45 * z, 0.12 * (4 * z * (1 - z)).sqrt().clamp_min(0.3)
    axis = torch.tensor([[[0.5, 0.15], [0.5, 0.6]]])
    return torch.cat([axis, torch.stack([torch.stack([0.5 - half, y], -1), torch.stack([0.5 + half, y], -1)], dim=1)])


class BorderDetector(nn.Module):
    """Learned queries of each phase look for how far their landmarks lie from a typical ventricle's.

    Args:
        channels: of those two levels.
        dim: width of a query.
        depth: rounds of looking.
        heads: attention heads.
    """

    def __init__(self, channels: Sequence[int], dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.dim = dim
        self.queries = nn.Parameter(torch.randn(PHASES, POINTS, dim))
        self.project = nn.ModuleList(nn.Linear(width, dim) for width in channels)
        self.level = nn.Parameter(torch.zeros(len(channels), dim))
        self.looks = nn.ModuleList(
            nn.TransformerDecoderLayer(dim, heads, 2 * dim, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.anchors = nn.Parameter(torch.logit(typical_ventricle()).expand(PHASES, -1, -1, -1).flatten(1, 2).clone())
        last = nn.Linear(dim, 2)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.place = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), last)
        self.weight = nn.Linear(dim, 1)

    def positions(self, frames: int, height: int, width: int, device: torch.device) -> torch.Tensor:
        """Sine and cosine of place and time, (frames, height, width, dim); a third of the width for each axis."""
        each = self.dim // 6
        rate = torch.exp(-math.log(100.0) * torch.arange(each, device=device) / each)
        out = torch.zeros(frames, height, width, self.dim, device=device)
        # Places run from 0 to 64 whatever the level's resolution, so levels agree on where things are.
        spans = ((torch.arange(n, device=device) + 0.5) / n * 64 for n in (frames, height, width))
        for k, places in enumerate(spans):
            angle = places[:, None] * rate
            shape = [1, 1, 1, 2 * each]
            shape[k] = len(places)
            out[..., 2 * k * each : 2 * (k + 1) * each] = torch.cat([angle.sin(), angle.cos()], -1).view(shape)
        return out

    def forward(self, levels: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Levels (B, T, C, H, W) to landmarks (B, 2, ROWS, 2, 2), shares of the side, and embeddings (B, 2, dim)."""
        seen = []
        for features, project, level in zip(levels, self.project, self.level, strict=True):
            tokens = project(features.permute(0, 1, 3, 4, 2))
            _, frames, height, width, _ = tokens.shape
            grid = self.positions(frames, height, width, tokens.device)
            seen.append((tokens + grid.to(tokens.dtype) + level).flatten(1, 3))
        memory = torch.cat(seen, dim=1)
        h = self.queries.flatten(0, 1).expand(len(memory), -1, -1)
        for look in self.looks:
            h = look(h, memory)
        h = self.norm(h).unflatten(1, (PHASES, POINTS))
        places = torch.sigmoid(self.anchors + self.place(h).float()).unflatten(2, (ROWS, 2))
        return places, (self.weight(h).softmax(dim=2) * h).sum(2)


class EchoE3Net(EFRegressor):
    """Landmarks and EF; the defaults are of the published size.

    Args:
        fps: frame rate it is shown, Hz.
        frames: frames of a window, even.
        size: side of the picture, pixels; a multiple of 2^levels.
        widths: channels per level, multiples of 8.
        blocks: residual blocks per level.
        attention: per level, whether its blocks attend over space and time.
        dim: width of the landmark queries, a multiple of 12.
        looks: rounds of cross-attention.
        hidden: width of the aggregator.
        mirrored: read clips together with their mirror images.
        error90: half width of the 90 % interval, EF points.
    """

    @register_to_config
    def __init__(
        self,
        fps: float = 25.0,
        frames: int = 32,
        size: int = 112,
        widths: Sequence[int] = (16, 32, 72, 128),
        blocks: Sequence[int] = (2, 2, 2, 2),
        attention: Sequence[bool] = (False, False, True, True),
        dim: int = 108,
        looks: int = 2,
        hidden: int = 176,
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
        self.detector = BorderDetector(widths[-2:], dim, looks, heads=4)
        described = 4 * sum(widths) + 3 * dim
        self.aggregate = nn.Sequential(
            nn.LayerNorm(described), nn.Linear(described, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.head = nn.Linear(hidden, 1)

    def detect(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Landmarks (B, 2, ROWS, 2, 2), and what EF is read from (B, hidden), of normalised clips (B, 1, T, H, W)."""
        frames = x.shape[2]
        h = self.first(x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last))
        levels: list[torch.Tensor] = []
        for k, blocks in enumerate(self.levels):
            h = self.down[k - 1](h) if k else h
            if k == len(self.levels) - 1:  # what is left of a frame there changes slowly
                h, frames = h.unflatten(0, (-1, 2)).mean(1), frames // 2
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                h = block(h, frames)
            levels.append(h.unflatten(0, (-1, frames)))
        # The detector sees both of its levels at the deepest one's frame rate.
        landmarks, phases = self.detector([levels[-2].unflatten(1, (-1, 2)).mean(2), levels[-1]])
        described = []
        for level in levels:
            values = level.transpose(1, 2).flatten(2).float()
            described += [values.mean(2), values.std(2), values.amax(2), values.amin(2)]
        ed, es = phases.float().unbind(1)
        return landmarks, self.aggregate(torch.cat([*described, ed, es, ed - es], dim=1))

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See `EFRegressor.embed`."""
        return self.detect(x)[1]

    def forward(self, x: torch.Tensor, details: bool = False) -> Any:
        """See `EFRegressor.forward`; details hold the landmarks."""
        landmarks, read = self.detect(normalise(x))
        ef = EF_MIDDLE + EF_UNIT * self.head(read)[:, 0].float()
        return EFDetails(ef, landmarks=landmarks) if details else ef
