"""Clips of one's own together with phantoms: a network that is tuned to a scanner keeps what it knew.

Phantoms are rehearsed: they have true counterfactuals, volumes of every frame and EFs that a hospital hardly sees, so a
cascade does not forget to follow EF and a reader does not shrink to the hospital's mean. What only one kind of clip
knows is not known (NaN) of the other.
"""

from typing import Literal

import torch
from pydantic import Field, model_validator

from echosynth.config import StrictModel
from echosynth.errors import ConfigError
from echosynth.progress import SILENT, Progress
from echosynth.training.clips.batches import ClipBatch, EFBatch
from echosynth.training.clips.dataset_source import DatasetSource, DatasetSourceConfig
from echosynth.training.clips.phantom_source import PhantomSourceConfig, open_phantoms
from echosynth.video.clip import EchoClip


class MixtureSourceConfig(StrictModel):
    """A dataset and phantoms beside it.

    Attributes:
        own: the dataset.
        rehearsal: the phantoms, cut to the same frames and rate.
        share: of phantoms in every batch.
    """

    source: Literal["mixture"] = "mixture"
    own: DatasetSourceConfig
    rehearsal: PhantomSourceConfig
    share: float = Field(default=0.25, gt=0, lt=1)

    @model_validator(mode="after")
    def _are_alike(self) -> "MixtureSourceConfig":
        for name in ("num_frames", "fps"):
            mine, other = getattr(self.own, name), getattr(self.rehearsal, name)
            if mine != other:
                raise ValueError(f"own.{name} {mine:g} and rehearsal.{name} {other:g} must be the same")
        return self

    @property
    def num_frames(self) -> int:
        """Frames of a window."""
        return self.own.num_frames

    @property
    def fps(self) -> float:
        """Hz of a window."""
        return self.own.fps


class MixtureSource:
    """Batches of which a share are phantoms; whole clips, and what is known of patients, are the dataset's.

    Raises:
        ConfigError: the pictures are not of one size.
        DatasetError: see `DatasetSource`.
    """

    def __init__(self, config: MixtureSourceConfig, progress: Progress = SILENT) -> None:
        own, rehearsal = DatasetSource(config.own, progress), open_phantoms(config.rehearsal, progress)
        if own.size != rehearsal.size:
            raise ConfigError(f"{config.own.root} has pictures of {own.size} pixels, rehearsal.size {rehearsal.size}")
        self.own, self.rehearsal, self.share = own, rehearsal, config.share
        self.fps, self.size = own.fps, own.size

    def __len__(self) -> int:
        return len(self.own)

    def clip(self, index: int) -> EchoClip:
        """See `EFSource.clip`."""
        return self.own.clip(index)

    def patients(self) -> torch.Tensor:
        """See `EFSource.patients`."""
        return self.own.patients()

    def _split(self, count: int) -> tuple[int, int]:
        """How many clips of a batch are one's own, and how many phantoms; one of each at least, if there are two."""
        phantoms = min(count - 1, max(1, round(self.share * count))) if count > 1 else 0
        return count - phantoms, phantoms

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        """See `ClipSource.draw`."""
        mine, others = self._split(count)
        drawn = self.own.draw(mine, generator, traced)
        return drawn.join(self.rehearsal.draw(others, generator, traced)) if others else drawn

    def draw_ef_batch(self, count: int, generator: torch.Generator, windows: int = 1, traced: bool = False) -> EFBatch:
        """See `EFSource.draw_ef_batch`."""
        mine, others = self._split(count)
        drawn = self.own.draw_ef_batch(mine, generator, windows, traced)
        return drawn.join(self.rehearsal.draw_ef_batch(others, generator, windows, traced)) if others else drawn
