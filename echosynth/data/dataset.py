"""The interface of every dataset: entries from its tables, and clips that are read on request.

A reader of one layout is one file of this folder with one class of this interface; `layouts.py` recognises which layout
a folder has. Opening a dataset reads tables only. A video is decoded when its clip is asked for.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from echosynth.errors import DatasetError, SourceError
from echosynth.video.clip import EchoClip

Split = Literal["TRAIN", "VAL", "TEST"]


@dataclass(frozen=True)
class ClipEntry:
    """What the tables say of a clip; its video is not opened.

    Attributes:
        name: of the clip, unique in its dataset.
        patient: whose heart it shows; splits must not share one.
        split: "TRAIN", "VAL" or "TEST", or "" where the dataset has no splits.
        view: "A4C", "A2C" or "PSAX".
        ef: per cent, None if unknown.
        fps: Hz, None if only the video says it.
        num_frames: None if only the video says it.
        facts: whatever else the tables say, as text: sex, age, image quality, diagnosis.
    """

    name: str
    patient: str
    split: str = ""
    view: str = "A4C"
    ef: float | None = None
    fps: float | None = None
    num_frames: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def attributes(self) -> dict[str, float]:
        """What `facts` say of the patient as numbers, see `EchoClip.attributes`; what is no number is not known."""
        found = {}
        sex = self.facts.get("sex", "").strip().lower()[:1]
        if sex in ("f", "m"):
            found["sex"] = float(sex == "m")
        for name in ("age", "weight", "height"):
            try:
                value = float(self.facts.get(name, ""))
            except ValueError:
                continue
            if math.isfinite(value) and value >= 0:
                found[name] = value
        return found


class ClipDataset(Protocol):
    """A dataset on disk, read only.

    Attributes:
        layout: name of the layout, for messages.
        root: the folder.
    """

    layout: str
    root: Path

    @property
    def entries(self) -> Sequence[ClipEntry]:
        """One per clip, in the order of the tables."""
        ...

    def clip(self, index: int) -> EchoClip:
        """Read the clip of `entries[index]`.

        Raises:
            SourceError: the video is missing, cannot be decoded, or shows no sector.
        """
        ...

    def problems(self) -> list[str]:
        """Errors and oddities of the tables, a line each; nothing is decoded."""
        ...


def choose_split(dataset: ClipDataset, split: str | None) -> list[int]:
    """Return the numbers of the clips of one split, in order; of all clips for None.

    Raises:
        DatasetError: no clip is in the split.
    """
    if split is None:
        return list(range(len(dataset.entries)))
    chosen = [index for index, entry in enumerate(dataset.entries) if entry.split == split.upper()]
    if not chosen:
        there = sorted({entry.split for entry in dataset.entries} - {""})
        said = f"it has {', '.join(there)}" if there else "it has no splits"
        raise DatasetError(f"{dataset.root} has no clip in the split {split.upper()}; {said}")
    return chosen


def read_clips(
    dataset: ClipDataset, pass_over: Callable[[str], None] | None = None, split: str | None = None
) -> Iterator[tuple[ClipEntry, EchoClip]]:
    """Yield every clip with its entry, one at a time.

    Args:
        dataset: any.
        split: which alone; None for all.
        pass_over: takes a line for each clip that cannot be used, which is then passed over; without it such a clip
            ends the reading.

    Raises:
        SourceError: a clip cannot be used and `pass_over` was not given.
        DatasetError: no clip is in the split.
    """
    for index in choose_split(dataset, split):
        entry = dataset.entries[index]
        try:
            clip = dataset.clip(index)
        except SourceError as error:
            if pass_over is None:
                raise
            pass_over(str(error))
            continue
        yield entry, clip.replace(attributes=entry.attributes)


def format_names(names: Sequence[str], at_most: int = 5) -> str:
    """Join a few names for a message: "a, b, c, ..."."""
    return ", ".join(names[:at_most]) + (", ..." if len(names) > at_most else "")
