"""When the frames of a training window were recorded: other frame rates, other heart rates, parts of a beat.

A reader's contract names a frame rate; a clip recorded at another one is blended to it, and a clip shorter than a
window is played forwards and backwards (regression/windows.py). What inference does, training has to have seen:

    source frames --recorded at a random rate--> frames --blended to the contract--> window

Frame numbers are those of the source, (B, T); they may lie between two frames.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from pydantic import Field, model_validator

from echosynth.config import StrictModel

FULL, EMPTY = (
    0.995,
    0.02,
)  # share of EDV from which a frame is end-diastolic; of the stroke, to which it is end-systolic


class TimingConfig(StrictModel):
    """How differently clips may be recorded.

    Attributes:
        rates: frame rates, Hz, of which each clip has one; one that is named twice is drawn twice as often.
        speed: lowest and highest factor of the heart rate, drawn on a logarithmic scale.
        parts: share of clips that are cut to a part which holds one end-diastole and the end-systole that follows it;
            half of these parts end there.
    """

    rates: tuple[float, ...] = Field(default=(8, 8, 8, 10, 12.5, 16, 25, 32), min_length=1)
    speed: tuple[float, float] = (0.6, 2.2)
    parts: float = Field(default=0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _are_above_zero(self) -> "TimingConfig":
        if min(self.rates) <= 0 or not 0 < self.speed[0] <= self.speed[1]:
            raise ValueError("rates and speeds must be above 0, and the lower speed comes first")
        return self


@dataclass(frozen=True)
class Timing:
    """Which source frames a window's frames are blended of.

    Attributes:
        before: (B, T), the earlier one.
        after: (B, T), the later one.
        share: (B, T), of the later one.
        moments: (B, T), the moments that the window's frames stand for; the truth is that of these.
    """

    before: torch.Tensor
    after: torch.Tensor
    share: torch.Tensor
    moments: torch.Tensor

    @staticmethod
    def plain(moments: torch.Tensor) -> "Timing":
        """Whole source frames, as they are."""
        return Timing(moments, moments, torch.zeros(moments.shape), moments.float())

    def blend(self, pictures: torch.Tensor) -> torch.Tensor:
        """Source frames (B, T', ...) to those of the window, (B, T, ...), float."""
        clip = rearrange(torch.arange(len(pictures)), "b -> b 1")
        share = self.share.to(pictures.device).view(*self.share.shape, *[1] * (pictures.ndim - 2))
        return torch.lerp(pictures[clip, self.before].float(), pictures[clip, self.after].float(), share)

    def at_moments(self, curve: torch.Tensor) -> torch.Tensor:
        """Values of the source's frames (B, T') at the window's moments, (B, T)."""
        low = self.moments.floor().long().clamp(0, curve.shape[1] - 1)
        high = (low + 1).clamp_max(curve.shape[1] - 1)
        return torch.lerp(curve.gather(1, low), curve.gather(1, high), self.moments - low)


def draw_timing(
    curve: torch.Tensor, stride: float, frames: int, source_fps: float, config: TimingConfig, generator: torch.Generator
) -> Timing:
    """Draw how some clips were recorded.

    Args:
        curve: (B, T'), volume of every source frame as a share of EDV; clips of which it is not known are not cut.
        stride: source frames from one frame of the window to the next.
        frames: of the window.
        source_fps: Hz.
        config: the limits.
        generator: of the draws.
    """
    count, last = len(curve), curve.shape[1] - 1

    def uniform() -> torch.Tensor:
        return torch.rand(count, generator=generator)

    low, high = (torch.tensor(s).log() for s in config.speed)
    step = stride * torch.exp(low + (high - low) * uniform())  # source frames between frames of the window
    begin = uniform() * (last - step * (frames - 1)).clamp_min(0)
    end = torch.full_like(begin, last)
    first, then = find_beat(curve, generator)
    cut = (uniform() < config.parts) & (first >= 0)
    # Half of the parts end with systole, as the half beats of some data sets do.
    rest = (last - then) * (2 * uniform() - 1).clamp_min(0)
    begin, end = torch.where(cut, first.float(), begin), torch.where(cut, then + rest, end)
    held = ((end - begin) / step + 1e-4).floor().long() + 1  # frames of the window that the part holds
    moments = begin[:, None] + step[:, None] * play_back(held, frames)
    rate = torch.tensor(config.rates)[torch.randint(len(config.rates), (count,), generator=generator)]
    gap = source_fps / rate * step / stride  # source frames between recorded ones
    phase = begin + gap * uniform()
    position = (moments - phase[:, None]) / gap[:, None]
    earlier = position.floor()
    place = phase[:, None] + gap[:, None] * earlier

    def nearest(place: torch.Tensor) -> torch.Tensor:
        # The part's ends hold where nothing was recorded before or after.
        return torch.minimum(torch.maximum(place, begin[:, None]), end[:, None]).round().long()

    return Timing(nearest(place), nearest(place + gap[:, None]), position - earlier, moments)


def play_back(held: torch.Tensor, frames: int) -> torch.Tensor:
    """Numbers of frames, (B, frames), of parts of so many frames (B,) that are played forwards and backwards."""
    turn = (held - 1).clamp_min(1)[:, None]
    place = torch.arange(frames)[None] % (2 * turn)
    return torch.minimum(place, 2 * turn - place).where(held[:, None] > 1, torch.zeros(()).long())


def find_beat(curve: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A random end-diastole of each clip and the end-systole that follows it, (B,) each; -1 if there are not both."""
    known = curve.nan_to_num(0.0)
    stroke = known.amax(1, keepdim=True) - known.amin(1, keepdim=True)
    empty = known <= known.amin(1, keepdim=True) + EMPTY * stroke
    number = torch.arange(curve.shape[1])
    # The first emptiest frame at or after each frame; beyond the last one there is none.
    never = curve.shape[1]
    next_empty = torch.where(empty, number, never).flip(1).cummin(1).values.flip(1)
    able = (known >= FULL) & (next_empty < never) & ~curve.isnan()
    chance = torch.where(able, torch.rand(curve.shape, generator=generator), -1.0)
    first = torch.where(able.any(1), chance.argmax(1), -1)
    return first, torch.where(first >= 0, next_empty.gather(1, first.clamp_min(0)[:, None])[:, 0], -1)
