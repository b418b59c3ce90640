"""Motion that is no contraction, laid on finished clips: a smooth flow of the whole picture that changes no area.

    d(x, t) = sum_k a_k (sin(2 pi f t + p) u_k(x) + 0.7 sin(pi f t + p + 1) v_k(x)) + shift(t)
    u = (dpsi/dy, -dpsi/dx) of a random stream function psi, v likewise

The rotated gradient of a stream function has no divergence, so cavities keep their areas and a clip its EF, while
everything moves as much in failing hearts as in good ones: a network can no longer take motion for ejection. The
phantom moves so physically (phantom/bulk_motion.py); this is for clips that come with no such motion.

Displacements are in half sides of the picture, (B, T, H, W, 2), x then y: what a place shows lies at place + d.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import Field

from echosynth.config import StrictModel

SCALES = ((4, 1.0), (6, 0.6))  # nodes of a stream function along a side, and its strength relative to the first


class FlowConfig(StrictModel):
    """How far a picture's tissue flows.

    Attributes:
        share: of clips that flow.
        strength: largest amplitude of the stream function per pixel of its grid, half sides; 0.33 makes failing
            phantoms move as much as real failing hearts.
        rates: lowest and highest rate of the flow's beat, Hz.
        hand: largest shift of the whole picture, half sides.
    """

    share: float = Field(default=0.85, ge=0, le=1)
    strength: float = Field(default=0.33, ge=0)
    rates: tuple[float, float] = (0.8, 2.2)
    hand: float = Field(default=0.03, ge=0)


def draw_flow(
    count: int, size: int, time: torch.Tensor, config: FlowConfig, generator: torch.Generator
) -> torch.Tensor:
    """Displacements of clips, (count, T, size, size, 2), half sides.

    Args:
        count: clips.
        size: side of the pictures, pixels.
        time: (count, T), s.
        config: how far.
        generator: of the draws.
    """

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(count, *shape, generator=generator)

    low, high = config.rates
    beat = 2 * math.pi * (low + (high - low) * uniform(1)) * time
    flow = torch.zeros(count, time.shape[1], 2, size, size)
    for nodes, relative in SCALES:
        stream = torch.randn(count, 2, nodes, nodes, generator=generator)
        turned = rotate_gradient(F.interpolate(stream, (size, size), mode="bicubic", align_corners=False))
        # A grid of 56 pixels was what the strength was measured on; a finer one has smaller steps.
        reach = config.strength * relative * size / 56 * uniform(1)
        phase = 2 * math.pi * uniform(1)
        with_beat, slower = torch.sin(beat + phase) * reach, 0.7 * torch.sin(beat / 2 + phase + 1) * reach
        for weight, field in zip((with_beat, slower), turned.unbind(1), strict=True):
            flow += rearrange(weight, "b t -> b t 1 1 1") * field[:, None]
    wander = F.interpolate(torch.randn(count, 2, 6, generator=generator), time.shape[1], mode="linear")
    swing = torch.sin(beat + 2 * math.pi * uniform(1))[:, None] * torch.randn(count, 2, 1, generator=generator)
    hand = config.hand * (uniform(1, 1) * wander + uniform(1, 1) * swing)
    flows = rearrange(uniform(1) < config.share, "b 1 -> b 1 1 1 1")
    return rearrange((flow + rearrange(hand, "b c t -> b t c 1 1")) * flows, "b t c h w -> b t h w c")


def rotate_gradient(stream: torch.Tensor) -> torch.Tensor:
    """Stream functions (B, K, H, W) to flows without divergence, (B, K, 2, H, W); still at the picture's border."""
    down = stream[..., 2:, 1:-1] - stream[..., :-2, 1:-1]
    along = stream[..., 1:-1, 2:] - stream[..., 1:-1, :-2]
    return F.pad(torch.stack([down, -along], 2), (1, 1, 1, 1))
