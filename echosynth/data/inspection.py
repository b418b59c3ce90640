"""What a dataset holds and what is wrong with it, from its tables and, if asked, from every one of its videos."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echosynth.data.dataset import ClipDataset, format_names, read_clips

EF_BINS = tuple(range(0, 101, 10))


@dataclass(frozen=True)
class Inspection:
    """A dataset at a glance.

    Attributes:
        layout: its name.
        path: the folder.
        clips: how many.
        patients: how many.
        splits: name -> clips; "" for clips in none.
        views: name -> clips.
        ef: mean, spread, least and largest EF in per cent and how many clips have one; {} if none has.
        ef_histogram: clips with an EF in 0-10, 10-20, ... 90-100 %.
        fps: frame rate in Hz -> clips, where it is known.
        frames: least, median and largest number of frames where it is known, else {}.
        decoded: how many videos were read whole.
        problems: a line each.
    """

    layout: str
    path: str
    clips: int
    patients: int
    splits: dict[str, int]
    views: dict[str, int]
    ef: dict[str, float]
    ef_histogram: list[int]
    fps: dict[str, int]
    frames: dict[str, float]
    decoded: int
    problems: list[str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def inspect_dataset(
    dataset: ClipDataset, decode: bool = False, progress: Callable[[int], None] | None = None
) -> Inspection:
    """Look at a dataset.

    Args:
        dataset: any.
        decode: read every video too: finds damaged ones, and frame rates and lengths that the tables do not say.
        progress: called with the number of videos read so far.
    """
    entries = list(dataset.entries)
    problems = [*dataset.problems(), *_find_doubles(dataset), *_find_leaks(dataset)]
    fps = {entry.name: entry.fps for entry in entries if entry.fps is not None}
    frames = {entry.name: entry.num_frames for entry in entries if entry.num_frames is not None}
    decoded = 0
    if decode:
        unreadable: list[str] = []
        otherwise: list[str] = []
        for entry, clip in read_clips(dataset, unreadable.append):
            decoded += 1
            if entry.num_frames not in (None, clip.num_frames):
                otherwise.append(f"{entry.name} ({clip.num_frames} frames, listed as {entry.num_frames})")
            fps[entry.name], frames[entry.name] = clip.fps, clip.num_frames
            if progress is not None:
                progress(decoded + len(unreadable))
        problems += unreadable
        if otherwise:
            problems.append(f"{len(otherwise)} videos are not as long as they are listed: {format_names(otherwise)}")
    ef = np.array([entry.ef for entry in entries if entry.ef is not None])
    lengths = list(frames.values())
    return Inspection(
        layout=dataset.layout,
        path=str(dataset.root),
        clips=len(entries),
        patients=len({entry.patient for entry in entries}),
        splits=dict(Counter(entry.split for entry in entries)),
        views=dict(Counter(entry.view for entry in entries)),
        ef=_spread(ef) if len(ef) else {},
        ef_histogram=np.histogram(ef, EF_BINS)[0].tolist(),
        fps={f"{rate:g}": count for rate, count in Counter(round(rate, 2) for rate in fps.values()).most_common()},
        frames=_range(lengths) if lengths else {},
        decoded=decoded,
        problems=problems,
    )


def _find_doubles(dataset: ClipDataset) -> list[str]:
    twice = [name for name, count in Counter(entry.name for entry in dataset.entries).items() if count > 1]
    return [f"{len(twice)} names stand there more than once: {format_names(twice)}"] if twice else []


def _find_leaks(dataset: ClipDataset) -> list[str]:
    splits: dict[str, set[str]] = {}
    for entry in dataset.entries:
        splits.setdefault(entry.patient, set()).add(entry.split)
    leaking = [patient for patient, found in splits.items() if len(found) > 1]
    return [f"{len(leaking)} patients are in more than one split: {format_names(leaking)}"] if leaking else []


def _spread(ef: np.ndarray) -> dict[str, float]:
    values = {"n": len(ef), "mean": ef.mean(), "sd": ef.std(), "min": ef.min(), "max": ef.max()}
    return {name: round(float(value), 2) for name, value in values.items()}


def _range(lengths: list[int]) -> dict[str, float]:
    return {"min": min(lengths), "median": float(np.median(lengths)), "max": max(lengths)}
