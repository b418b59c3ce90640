"""Random scanners: what a machine, its settings and a codec do to the greys of a clip, far beyond what looks nice.

Networks that learn from phantoms meet real pictures only if the phantoms' own greys, grain and noise tell them nothing.
Each effect is a function of the light, (B, T, H, W) in [0, 1], with draws of its own for every clip; most hold for all
frames of the clip, as a machine's settings do. Every clip has one severity, from 0, the phantom's own picture, to 1,
that all of its effects are drawn with: with every effect strong by itself, hardly a clip would show a heart. Pictures
of one patient are given together, along T.

Effects that the phantom draws by itself, physically (phantom/acoustics.py, phantom/scanner.py): beam, pulse, dynamic
range, gain, drop-outs, clutter, haze, electronic noise. Those here go beyond, or belong to no physics.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field

from echosynth.config import StrictModel
from echosynth.training.clips.batches import draw_normal
from echosynth.training.clips.transforms import cast_shadows

DARK = 0.03  # light that the brightest moment of a pixel must reach for it to lie in the sector


class AppearanceConfig(StrictModel):
    """How far scanners may differ; 0 turns an effect off.

    Attributes:
        grey_map: light that is shown for the lights 0, 1/(n-1), ..., 1 before anything else changes: the grey map of
            a known scanner; None for the phantom's.
        exponent: largest natural logarithm of the grey map's exponent, either way: middle greys of real scanners are
            far darker or lighter than any one phantom's.
        gain: standard deviation of the logarithm of gain from place to place.
        contrast: largest share of an S-shaped grey map.
        haze: largest light of a veil that hides contrast here and there.
        blur: largest share of a blurred picture; a sharpened one reaches 0.6 of it.
        grain: largest standard deviation of speckle that multiplies light, still, new in every frame, or between.
        clutter: largest standard deviation of speckle that is added inside of the sector.
        flicker: largest standard deviation of brightness over time, a share.
        shadow: share of clips with a shadow, drawn twice.
        black: largest light that is shown as black.
        noise: largest standard deviation of noise on all pixels, in light.
    """

    grey_map: tuple[float, ...] | None = Field(default=None, min_length=2)
    exponent: float = Field(default=0.7, ge=0)
    gain: float = Field(default=0.5, ge=0)
    contrast: float = Field(default=0.8, ge=0, le=1)
    haze: float = Field(default=0.4, ge=0, le=1)
    blur: float = Field(default=1.0, ge=0, le=1)
    grain: float = Field(default=0.4, ge=0)
    clutter: float = Field(default=0.08, ge=0)
    flicker: float = Field(default=0.08, ge=0)
    shadow: float = Field(default=0.4, ge=0, le=1)
    black: float = Field(default=0.08, ge=0, lt=1)
    noise: float = Field(default=0.04, ge=0)


class _Draws:
    """Random numbers for the clips of a batch.

    Args:
        light: (B, T, H, W); shapes and the device are its.
        generator: on the CPU.
    """

    def __init__(self, light: torch.Tensor, generator: torch.Generator) -> None:
        self.count, self.frames, *_ = light.shape
        self.side = light.shape[-2:]
        self.device, self.generator = light.device, generator
        self.severity = self.uniform()

    def uniform(self, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """One number a clip, (B, 1, 1, 1)."""
        drawn = torch.rand(self.count, 1, 1, 1, generator=self.generator).to(self.device)
        return low + (high - low) * drawn

    def strength(self) -> torch.Tensor:
        """How strong an effect is in each clip, in [0, 1], (B, 1, 1, 1)."""
        return self.severity * self.uniform()

    def either_way(self, low: float = -1.0) -> torch.Tensor:
        """The same of an effect that has two directions, in [low, 1]."""
        return self.severity * self.uniform(low, 1.0)

    def normal(self, *shape: int) -> torch.Tensor:
        """(B, *shape)."""
        return draw_normal((self.count, *shape), self.generator, self.device)

    def field(self, cells: int = 5) -> torch.Tensor:
        """A smooth field of unit normal nodes, (B, 1, H, W)."""
        return self.enlarge(self.normal(1, cells, cells))

    def veil(self, cells: int = 5) -> torch.Tensor:
        """A smooth field of nodes in [0, 1], (B, 1, H, W)."""
        nodes = torch.rand(self.count, 1, cells, cells, generator=self.generator).to(self.device)
        return self.enlarge(nodes).clamp(0, 1)

    def enlarge(self, nodes: torch.Tensor) -> torch.Tensor:
        return F.interpolate(nodes, self.side, mode="bicubic", align_corners=False)


def randomise_appearance(light: torch.Tensor, config: AppearanceConfig, generator: torch.Generator) -> torch.Tensor:
    """Show clips as random scanners would.

    Args:
        light: (B, T, H, W) in [0, 1]; all pictures of one patient along T.
        config: how far scanners may differ.
        generator: of the draws.

    Returns:
        The same shape, in [0, 1].
    """
    draws = _Draws(light, generator)
    sector = (light.amax(1, keepdim=True) > DARK).to(light)
    if config.grey_map is not None:
        light = map_light(light, config.grey_map)
    light = bend_greys(light, draws, config.exponent)
    light = light * torch.exp(config.gain * draws.strength() * draws.field())
    light = raise_contrast(light, draws, config.contrast)
    light = light + config.haze * draws.strength() ** 2 * draws.veil() * sector * (1 - light)
    light = sharpen_or_blur(light, draws, config.blur)
    if config.grain or config.clutter:
        light = add_grain(light, sector, draws, config.grain, config.clutter)
    light = light * (1 + config.flicker * draws.strength() * draw_flicker(draws))
    for _ in range(2):
        light = light * cast_shadows(draws.count, light.shape[-1], config.shadow, generator).to(light)
    black = config.black * draws.strength()
    light = (light.clamp(0, 1) - black).clamp_min(0) / (1 - black)
    if config.noise:
        light = light + config.noise * draws.strength() * draws.normal(*light.shape[1:])
    return light.clamp(0, 1)


def map_light(light: torch.Tensor, grey_map: Sequence[float]) -> torch.Tensor:
    """A grey map that is given by its values at equal steps of light; straight between them."""
    shown = torch.tensor(grey_map, device=light.device)
    place = light.clamp(0, 1) * (len(shown) - 1)
    low = place.floor().long().clamp_max(len(shown) - 2)
    return torch.lerp(shown[low], shown[low + 1], place - low)


def bend_greys(light: torch.Tensor, draws: _Draws, exponent: float) -> torch.Tensor:
    """A power law: one scanner's middle greys are another one's dark ones."""
    return light.clamp_min(1e-6) ** torch.exp(exponent * draws.either_way())


def raise_contrast(light: torch.Tensor, draws: _Draws, share: float) -> torch.Tensor:
    """Mix in an S-shaped grey map about a middle of its own; black stays black."""
    middle, steepness = draws.uniform(0.3, 0.7), draws.uniform(4.0, 10.0)
    curved = torch.sigmoid((light - middle) * steepness) * (light > 0.02)
    return torch.lerp(light, curved, share * draws.strength())


def sharpen_or_blur(light: torch.Tensor, draws: _Draws, share: float) -> torch.Tensor:
    """Towards, or away from, means of 2x2 pixels: resizing, edge filters and the codec."""
    coarse = F.interpolate(F.avg_pool2d(light, 2, ceil_mode=True), light.shape[-2:], mode="bilinear")
    return (light + share * draws.either_way(-0.6) * (coarse - light)).clamp(0, 1)


def add_grain(light: torch.Tensor, sector: torch.Tensor, draws: _Draws, grain: float, clutter: float) -> torch.Tensor:
    """Speckle of two grains that multiplies light, and some that is added, between wholly still and wholly new.

    Speckle of a moving, thick slice of tissue decorrelates; that of clutter stands still.
    """
    still = draws.uniform()
    noise = draws.normal(1 + draws.frames, *draws.side)
    noise = still.sqrt() * noise[:, :1] + (1 - still).sqrt() * noise[:, 1:]
    noise = torch.lerp(noise, 3 * F.avg_pool2d(noise, 3, 1, 1), draws.uniform())
    light = light * (1 + grain * draws.strength() * noise).clamp_min(0)
    return light + clutter * draws.strength() * noise * sector


def draw_flicker(draws: _Draws) -> torch.Tensor:
    """Brightness over time, (B, T, 1, 1): automatic gain and breath."""
    nodes = draws.normal(1, max(2, draws.frames // 2))
    path = F.interpolate(nodes, draws.frames, mode="linear", align_corners=True)
    return path.view(draws.count, draws.frames, 1, 1)
