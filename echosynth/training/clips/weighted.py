"""Clips of several datasets in every batch, each with its share: real ones and synthetic ones, or two hospitals."""

import math
from functools import reduce
from itertools import accumulate, pairwise
from typing import Any, Literal

import torch
from pydantic import Field, model_validator

from echosynth.config import StrictModel
from echosynth.errors import ConfigError
from echosynth.progress import SILENT, Progress
from echosynth.training.clips.batches import ClipBatch, EFBatch
from echosynth.training.clips.dataset_source import DatasetSource, DatasetSourceConfig
from echosynth.video.clip import EchoClip


class WeightedPart(DatasetSourceConfig):
    """A dataset, and its weight: its share of a batch is the weight over the sum of all."""

    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class WeightedSourceConfig(StrictModel):
    """Several datasets; a config may write their list alone, `data: [{root: A, weight: 3}, {root: B}]`.

    Attributes:
        parts: the datasets, cut to the same frames and rate.
    """

    source: Literal["weighted"] = "weighted"
    parts: tuple[WeightedPart, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _are_alike(self) -> "WeightedSourceConfig":
        for name in ("num_frames", "fps"):
            values = {getattr(part, name) for part in self.parts}
            if len(values) > 1:
                raise ValueError(f"{name} must be the same of all parts, got {sorted(values)}")
        return self

    @property
    def num_frames(self) -> int:
        """Frames of a window."""
        return self.parts[0].num_frames

    @property
    def fps(self) -> float:
        """Hz of a window."""
        return self.parts[0].fps


def list_as_weighted(value: Any) -> Any:
    """A list of datasets as what it stands for; anything else as it is."""
    return {"source": "weighted", "parts": value} if isinstance(value, list | tuple) else value


class WeightedSource:
    """Batches that take their clips from several datasets.

    Raises:
        ConfigError: the pictures are not of one size.
        DatasetError: see `DatasetSource`.
    """

    def __init__(self, config: WeightedSourceConfig, progress: Progress = SILENT) -> None:
        self.sources = [DatasetSource(part, progress) for part in config.parts]
        sizes = {source.size for source in self.sources}
        if len(sizes) > 1:
            raise ConfigError(
                f"the datasets have pictures of {', '.join(map(str, sorted(sizes)))} pixels; give one size"
            )
        total = sum(part.weight for part in config.parts)
        self.shares = [part.weight / total for part in config.parts]
        self.fps, self.size = self.sources[0].fps, self.sources[0].size

    def __len__(self) -> int:
        return sum(map(len, self.sources))

    def clip(self, index: int) -> EchoClip:
        """See `EFSource.clip`."""
        for source in self.sources:
            if index < len(source):
                return source.clip(index)
            index -= len(source)
        raise IndexError(index)

    def patients(self) -> torch.Tensor:
        """See `EFSource.patients`."""
        return torch.cat([source.patients() for source in self.sources])

    def counts(self, count: int, generator: torch.Generator) -> list[int]:
        """How many clips of a batch each dataset gives: its share, and, of what is no whole clip, that by chance."""
        offset = float(torch.rand((), generator=generator))
        ends = [math.floor(count * end + offset) for end in accumulate(self.shares[:-1])]
        ends = [0, *(min(count, end) for end in ends), count]
        return [last - first for first, last in pairwise(ends)]

    def draw(self, count: int, generator: torch.Generator, traced: bool = False) -> ClipBatch:
        """See `ClipSource.draw`."""
        asked = self._asked(count, generator)
        return reduce(ClipBatch.join, (source.draw(n, generator, traced) for source, n in asked))

    def draw_ef_batch(self, count: int, generator: torch.Generator, windows: int = 1, traced: bool = False) -> EFBatch:
        """See `EFSource.draw_ef_batch`."""
        asked = self._asked(count, generator)
        return reduce(EFBatch.join, (source.draw_ef_batch(n, generator, windows, traced) for source, n in asked))

    def _asked(self, count: int, generator: torch.Generator) -> list[tuple[DatasetSource, int]]:
        """The datasets that give clips to a batch, and how many."""
        return [(s, n) for s, n in zip(self.sources, self.counts(count, generator), strict=True) if n]
