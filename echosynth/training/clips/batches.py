"""Batches of training clips as a source gives them: uint8 pictures, and the known facts of each clip.

Pictures and landmarks are on the device of the source, a CPU or a GPU; values of one or two numbers per clip are on the
CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from echosynth.cardiac.attributes import ATTRIBUTES
from echosynth.cardiac.landmarks import BORDERS, ROWS
from echosynth.video.clip import EchoClip


def draw_normal(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> torch.Tensor:
    """Unit normal noise; for a GPU it is made there, of a seed that the CPU generator draws."""
    if device.type == "cpu":
        return torch.randn(tuple(shape), generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    own = torch.Generator(device).manual_seed(seed)
    return torch.randn(tuple(shape), generator=own, device=device)


@dataclass(frozen=True)
class ClipBatch:
    """Clips to train a stage on.

    Attributes:
        clips: uint8 (count, T, S, S).
        frames: a conditioning frame for each, uint8 (count, S, S), of the moment that the clip's first frame shows.
        known: `CONDITIONS` by name, (count,) each, `ef` at least; one that is missing, or NaN, is not known.
        shown: bool (count, T): frames that the clip really has; the others do not count.
        landmarks: (count, T, 21, 2, 2), the endocardium in every frame, see cardiac/landmarks.py; NaN where not known.
    """

    clips: torch.Tensor
    frames: torch.Tensor
    known: dict[str, torch.Tensor]
    shown: torch.Tensor
    landmarks: torch.Tensor

    @staticmethod
    def untraced(
        clips: torch.Tensor, frames: torch.Tensor, known: dict[str, torch.Tensor], shown: torch.Tensor
    ) -> "ClipBatch":
        """Clips without traced borders."""
        return ClipBatch(clips, frames, known, shown, torch.full((*shown.shape, ROWS, 2, 2), torch.nan))

    def join(self, other: "ClipBatch") -> "ClipBatch":
        """Both as one batch, where this one's pictures are; what is known of one alone is NaN of the other."""
        counts = len(self.clips), len(other.clips)
        known = {}
        for name in sorted({*self.known, *other.known}):
            parts = [b.known.get(name, torch.full((n,), torch.nan)) for b, n in zip((self, other), counts, strict=True)]
            known[name] = torch.cat([part.float() for part in parts])
        return ClipBatch(
            torch.cat([self.clips, other.clips.to(self.clips)]),
            torch.cat([self.frames, other.frames.to(self.frames)]),
            known,
            torch.cat([self.shown, other.shown]),
            torch.cat([self.landmarks, other.landmarks.to(self.landmarks)]),
        )


class ClipSource(Protocol):
    """Where training clips come from.

    Attributes:
        fps: of the clips, Hz.
        size: of the clips, pixels.
    """

    fps: float
    size: int

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        """Draw clips, a conditioning frame for each, what is known of them and, where asked for, their borders."""
        ...


@dataclass(frozen=True)
class EFBatch:
    """Clips to train a regressor on.

    Attributes:
        clips: uint8 (count, T, S, S).
        ef: (count,), per cent.
        curve: (count, T), volume of every frame as a share of EDV; NaN where it is not known.
        landmarks: (count, 2, 2, 21, 2, 2), endocardium and epicardium at ED and ES, see cardiac/landmarks.py; NaN
            where not known.
        traced: int64 (count, 2), the frames that they belong to.
        attributes: (count, 4) of the patients, in the order of `ATTRIBUTES`; NaN where not known.
    """

    clips: torch.Tensor
    ef: torch.Tensor
    curve: torch.Tensor
    landmarks: torch.Tensor
    traced: torch.Tensor
    attributes: torch.Tensor

    @staticmethod
    def untraced(clips: torch.Tensor, ef: torch.Tensor, curve: torch.Tensor) -> "EFBatch":
        """Clips without traced borders and without attributes of the patients."""
        count = len(clips)
        landmarks, traced = (
            torch.full((count, 2, len(BORDERS), ROWS, 2, 2), torch.nan),
            torch.zeros(count, 2, dtype=torch.long),
        )
        return EFBatch(clips, ef, curve, landmarks, traced, torch.full((count, len(ATTRIBUTES)), torch.nan))

    def join(self, other: "EFBatch") -> "EFBatch":
        """Both as one batch, where this one's pictures are."""
        columns = {name: torch.cat([mine, getattr(other, name).to(mine)]) for name, mine in vars(self).items()}
        return EFBatch(**columns)


class EFSource(Protocol):
    """Where training clips with a known EF come from.

    Attributes:
        fps: of the clips, Hz.
        size: of the clips, pixels.
    """

    fps: float
    size: int

    def draw_ef_batch(self, count: int, generator: torch.Generator, windows: int = 1, traced: bool = False) -> EFBatch:
        """Draw windows with their EF, and their landmarks if `traced`; so many `windows` of each clip, one by one."""
        ...

    def __len__(self) -> int:
        """How many clips."""
        ...

    def clip(self, index: int) -> EchoClip:
        """A whole clip, with its EF."""
        ...

    def patients(self) -> torch.Tensor:
        """What is known of every clip's patient, (N, 4) in the order of `ATTRIBUTES`; NaN where not known."""
        ...
