"""Where training clips come from: a rendered phantom set, or a folder in EchoNet format."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from echosynth.config import StrictModel
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.errors import DatasetError
from echosynth.training.phantom_set import PhantomSet, PhantomSetConfig
from echosynth.video.resample import resample_time


class PhantomSourceConfig(PhantomSetConfig):
    """Phantom patients; see `PhantomSetConfig`."""

    source: Literal["phantom"] = "phantom"


class EchoNetSourceConfig(StrictModel):
    """Clips of a folder in EchoNet format (EchoNet-Dynamic, or what `simulate` and `augment` write).

    Attributes:
        root: the folder.
        split: TRAIN, VAL or TEST.
        num_frames: frames of a window.
        fps: Hz, after resampling in time.
        size: side of the picture, pixels.
    """

    source: Literal["echonet"] = "echonet"
    root: Path
    split: str = "TRAIN"
    num_frames: int = 64
    fps: float = 32.0
    size: int = 112


class PhantomSource:
    """Clips and counterfactual frames of a rendered set.

    A quarter of the conditioning frames are the clip's own first frame, the others show the same moment at another EF.
    """

    OWN_FRAME = 0.25

    def __init__(self, config: PhantomSetConfig) -> None:
        self.set = PhantomSet.open(config)
        self.fps, self.size = config.fps, config.size
        self.choices = config.frames_per_clip

    def __len__(self) -> int:
        return len(self.set)

    def draw(
        self, count: int, generator: torch.Generator
    ) -> tuple[list[np.ndarray], list[np.ndarray], dict[str, torch.Tensor]]:
        """See `ClipSource.draw`."""
        indices = torch.randint(len(self.set), (count,), generator=generator).tolist()
        own = torch.rand(count, generator=generator) < self.OWN_FRAME
        which = torch.randint(max(1, self.choices), (count,), generator=generator)
        clips = [self.set.clip(i) for i in indices]
        frames = [
            clip[0] if mine or not self.choices else self.set.frame(i, int(k))
            for clip, i, mine, k in zip(clips, indices, own, which, strict=True)
        ]
        return clips, frames, {name: torch.from_numpy(values[indices]) for name, values in self.set.scalars.items()}

    def draw_measured(
        self, count: int, generator: torch.Generator
    ) -> tuple[list[np.ndarray], torch.Tensor, torch.Tensor]:
        """See `MeasuredSource.draw_measured`."""
        indices = torch.randint(len(self.set), (count,), generator=generator).tolist()
        truth = torch.from_numpy(self.set.scalars["ef"][indices]), torch.from_numpy(self.set.curve[indices])
        return [self.set.clip(i) for i in indices], *truth


class EchoNetSource:
    """Random windows of real (or written) videos; the conditioning frame is the window's first."""

    def __init__(self, config: EchoNetSourceConfig) -> None:
        self.config, self.data = config, EchoNetDataset(config.root)
        self.fps, self.size = config.fps, config.size
        seconds = config.num_frames / config.fps
        self.rows = [i for i, row in enumerate(self.data.rows) if row.split == config.split]
        # A clip too short for the window is left out, never padded: black frames would teach hearts to vanish.
        self.rows = [i for i in self.rows if self.data.rows[i].num_frames / self.data.rows[i].fps >= seconds]
        if not self.rows:
            raise DatasetError(f"{config.root} has no {config.split} video of at least {seconds:g} s")

    def __len__(self) -> int:
        return len(self.rows)

    def draw(
        self, count: int, generator: torch.Generator
    ) -> tuple[list[np.ndarray], list[np.ndarray], dict[str, torch.Tensor]]:
        """See `ClipSource.draw`."""
        picks = torch.randint(len(self.rows), (count,), generator=generator).tolist()
        starts = torch.rand(count, generator=generator).tolist()
        clips, ef = [], []
        for pick, share in zip(picks, starts, strict=True):
            clip = self.data.clip(self.rows[pick])
            if clip.ef is None or clip.pixels.shape[1:] != (self.size, self.size):
                raise DatasetError(f"{clip.source}: needs an EF and {self.size}x{self.size} pixels to be trained on")
            slack = clip.duration_s - self.config.num_frames / self.fps
            clips.append(
                resample_time(clip.pixels, clip.fps, self.fps, self.config.num_frames, share * max(0.0, slack))
            )
            ef.append(clip.ef)
        return clips, [clip[0] for clip in clips], {"ef": torch.tensor(ef)}

    def draw_measured(
        self, count: int, generator: torch.Generator
    ) -> tuple[list[np.ndarray], torch.Tensor, torch.Tensor]:
        """See `MeasuredSource.draw_measured`; the volume between end-diastole and end-systole is not known."""
        clips, _, known = self.draw(count, generator)
        return clips, known["ef"], torch.full((count, self.config.num_frames), torch.nan)


SourceConfig = PhantomSourceConfig | EchoNetSourceConfig


def open_source(config: SourceConfig) -> PhantomSource | EchoNetSource:
    """Open the source; a phantom set must have been rendered before."""
    return EchoNetSource(config) if isinstance(config, EchoNetSourceConfig) else PhantomSource(config)
