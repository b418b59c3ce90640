"""What is to be made: which frame, which target EF, under which name. Plans are pure and deterministic.

    targets   every source x every EF x `samples`
    balance   per bin of EF, as many clips as the dataset lacks there

A sample's id names its seeds, so a plan that grows (more EFs, more samples, a higher count) keeps what was made.
EF in per cent everywhere.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from echosynth.cardiac.ejection_fraction import HIGHEST_DRAWN_EF, HIGHEST_TARGET_EF, LOWEST_DRAWN_EF, LOWEST_TARGET_EF
from echosynth.errors import ConfigError
from echosynth.seeding import derive_seed


@dataclass(frozen=True)
class PlannedSample:
    """One clip that is wanted.

    Attributes:
        sample_id: file name without extension; letters, digits, `_`, `-`, `.`.
        source: name of the clip or picture that gives the conditioning frame.
        source_index: its number among the sources.
        frame: index of the conditioning frame in it.
        target_ef: per cent.
    """

    sample_id: str
    source: str
    source_index: int
    frame: int
    target_ef: float


@dataclass(frozen=True)
class EFBins:
    """The bins of an EF histogram that is to be filled.

    Attributes:
        per_bin: clips wanted in every bin; bins that hold more are left alone.
        width: per cent, > 0.
        low: lower end of the first bin, per cent.
        high: upper end of the last bin, per cent.

    Raises:
        ConfigError: there is no bin, or the bins leave 1-95 per cent.
    """

    per_bin: int
    width: float = 5.0
    low: float = LOWEST_DRAWN_EF
    high: float = HIGHEST_DRAWN_EF

    def __post_init__(self) -> None:
        if not (self.width > 0 and check_target_ef(self.low) < check_target_ef(self.high)) or self.per_bin < 0:
            raise ConfigError(
                f"no bins of {self.width:g} from {self.low:g} to {self.high:g} with {self.per_bin} clips each"
            )

    @property
    def edges(self) -> list[tuple[float, float]]:
        """Lower and upper end of every bin; the last one may be narrower."""
        count = math.ceil((self.high - self.low) / self.width - 1e-9)
        return [(self.low + k * self.width, min(self.high, self.low + (k + 1) * self.width)) for k in range(count)]


def check_target_ef(value: float) -> float:
    """Return `value` if it is an EF that can be asked for.

    Raises:
        ConfigError: not a number, or outside 1-95 per cent.
    """
    if not (math.isfinite(value) and LOWEST_TARGET_EF <= value <= HIGHEST_TARGET_EF):
        raise ConfigError(
            f"EF {value:g}: a target EF is in per cent, from {LOWEST_TARGET_EF:g} to {HIGHEST_TARGET_EF:g}"
        )
    return float(value)


def plain_names(names: Sequence[str]) -> list[str]:
    """Return file-safe, different names: other characters become `_`, a name that comes again gets a number."""
    plain: list[str] = []
    taken: set[str] = set()
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_.\-]+", "_", name).strip("._-") or "source"
        candidate, number = stem, 1
        while candidate in taken:
            number += 1
            candidate = f"{stem}_{number}"
        taken.add(candidate)
        plain.append(candidate)
    return plain


def plan_targets(
    sources: Sequence[str], efs: Sequence[float], samples: int = 1, frames: Sequence[int] | None = None
) -> list[PlannedSample]:
    """Plan every EF, `samples` times, for every source.

    Args:
        sources: different names, file-safe (see `plain_names`).
        efs: target EFs, per cent; a value given twice counts once.
        samples: clips per source and EF, >= 1.
        frames: index of each source's conditioning frame; None for the first one of all.

    Raises:
        ConfigError: an EF is out of range, there is none, or `samples` is below 1.
    """
    targets = list(dict.fromkeys(check_target_ef(ef) for ef in efs))
    if not targets or samples < 1:
        raise ConfigError("nothing to make: give at least one EF and at least one sample")
    return [
        PlannedSample(f"{name}_ef{ef:g}_s{k}", name, index, 0 if frames is None else frames[index], ef)
        for index, name in enumerate(sources)
        for ef in targets
        for k in range(samples)
    ]


@dataclass(frozen=True)
class FrameSource:
    """A clip that may give conditioning frames.

    Attributes:
        name: of the clip.
        index: its number in its dataset.
        num_frames: how many frames it has.
    """

    name: str
    index: int
    num_frames: int


class BalancePlan(Sequence[PlannedSample]):
    """The clips that fill a dataset's EF histogram up to a count per bin; each is drawn when it is asked for.

    In each bin the sources take turns in an order of their own, targets are uniform within the bin, frames are any.

    Args:
        efs: EF of the clips that are there, per cent.
        sources: the clips that may give frames.
        bins: how many clips are wanted where.
        seed: root seed.

    Raises:
        ConfigError: there is no source.
    """

    def __init__(self, efs: Sequence[float], sources: Sequence[FrameSource], bins: EFBins, seed: int = 0) -> None:
        if not sources:
            raise ConfigError("a plan needs clips that give frames, and there is none")
        have = np.asarray(efs, dtype=np.float64)
        self._sources, self._edges, self._seed = sources, bins.edges, seed
        held = [int(((have >= first) & (have < last)).sum()) for first, last in self._edges]
        self._ends = np.cumsum([max(0, bins.per_bin - count) for count in held])
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self._ends[-1])

    @overload
    def __getitem__(self, number: int) -> PlannedSample: ...

    @overload
    def __getitem__(self, number: slice) -> "Sequence[PlannedSample]": ...

    def __getitem__(self, number: int | slice) -> PlannedSample | Sequence[PlannedSample]:
        if isinstance(number, slice):
            return [self[k] for k in range(len(self))[number]]
        number = range(len(self))[number]
        band = int(np.searchsorted(self._ends, number, side="right"))
        k = number - (int(self._ends[band - 1]) if band else 0)
        first, last = self._edges[band]
        draw = np.random.default_rng(derive_seed(self._seed, "balance", f"{first:g}", k))
        source = self._sources[int(self._order(band)[k % len(self._sources)])]
        frame = int(draw.integers(source.num_frames))
        ef = round(float(draw.uniform(first, last)), 2)
        return PlannedSample(f"synthetic_ef{first:02g}_{k:05d}", source.name, source.index, frame, ef)

    def _order(self, band: int) -> np.ndarray:
        """In which order the sources take turns in a bin."""
        if band not in self._orders:
            draw = np.random.default_rng(derive_seed(self._seed, "order", f"{self._edges[band][0]:g}"))
            self._orders[band] = draw.permutation(len(self._sources))
        return self._orders[band]
