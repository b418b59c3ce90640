"""What a dataset holds and what is wrong with it, from its tables and, if asked, from every one of its videos."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from echosynth.config import VerbConfig
from echosynth.data.dataset import ClipDataset, ClipEntry, format_names, read_clips
from echosynth.data.layouts import open_dataset
from echosynth.errors import SourceError
from echosynth.progress import SILENT, Progress
from echosynth.video.clip import EchoClip

EF_BINS = tuple(range(0, 101, 10))
NUM_EXAMPLES = 6


class InspectConfig(VerbConfig):
    """What `inspect` does.

    Attributes:
        path: dataset folder, folder of files, or one file.
        view: of a dataset that has several; None for A4C.
        decode: read every video too: finds damaged ones, and frame rates and lengths that the tables do not say. Of up
            to `NUM_EXAMPLES` videos every one is read anyhow.
    """

    path: Path
    view: Literal["A4C", "A2C", "PSAX"] | None = None
    decode: bool = False


@dataclass(frozen=True, eq=False)
class Example:
    """One clip of a dataset with its line of the tables."""

    entry: ClipEntry
    clip: EchoClip


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
        ef: mean, standard deviation, least and largest EF in per cent and how many clips have one; {} if none has.
        ef_histogram: clips with an EF in 0-10, 10-20, ... 90-100 %.
        fps: frame rate in Hz -> clips, where it is known.
        frames: least, median and largest number of frames where it is known, else {}.
        decoded: how many videos were read whole.
        problems: a line each.
        examples: up to `NUM_EXAMPLES` clips spread over the dataset, to look at; not in the JSON.
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
    examples: tuple[Example, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The object that `inspect --json` prints, without the file that the command draws."""
        return {name: value for name, value in vars(self).items() if name != "examples"}


def inspect_dataset(config: InspectConfig, progress: Progress = SILENT) -> Inspection:
    """Look at a dataset.

    Args:
        config: which one, how closely.
        progress: shows every video that is read.

    Raises:
        SourceError: nothing there.
        DatasetError: tables are missing or malformed, or the dataset has no such view.
    """
    dataset = open_dataset(config.path, config.view, complete=False)
    entries = list(dataset.entries)
    problems = [*dataset.problems(), *_find_doubles(dataset), *_find_leaks(dataset)]
    fps = {entry.name: entry.fps for entry in entries if entry.fps is not None}
    frames = {entry.name: entry.num_frames for entry in entries if entry.num_frames is not None}
    decoded = 0
    if config.decode or len(entries) <= NUM_EXAMPLES:
        with progress.task(len(entries) if config.decode else 0, "reading videos") as task:
            unreadable: list[str] = []
            otherwise: list[str] = []
            for entry, clip in read_clips(dataset, unreadable.append):
                decoded += 1
                if entry.num_frames not in (None, clip.num_frames):
                    otherwise.append(f"{entry.name} ({clip.num_frames} frames, listed as {entry.num_frames})")
                fps[entry.name], frames[entry.name] = clip.fps, clip.num_frames
                task.advance()
        problems += unreadable
        if otherwise:
            problems.append(f"{len(otherwise)} videos are not as long as they are listed: {format_names(otherwise)}")
    examples, unreadable = _read_examples(dataset)
    problems += [problem for problem in unreadable if problem not in problems]
    ef = np.array([entry.ef for entry in entries if entry.ef is not None])
    lengths = list(frames.values())
    return Inspection(
        layout=dataset.layout,
        path=str(dataset.root),
        clips=len(entries),
        patients=len({entry.patient for entry in entries}),
        splits=dict(Counter(entry.split for entry in entries)),
        views=dict(Counter(entry.view for entry in entries)),
        ef=_describe_ef(ef) if len(ef) else {},
        ef_histogram=np.histogram(ef, EF_BINS)[0].tolist(),
        fps={f"{rate:g}": count for rate, count in Counter(round(rate, 2) for rate in fps.values()).most_common()},
        frames=_range(lengths) if lengths else {},
        decoded=decoded,
        problems=problems,
        examples=tuple(examples),
    )


def _read_examples(dataset: ClipDataset) -> tuple[list[Example], list[str]]:
    """Clips spread over a dataset, and why others of them cannot be read."""
    examples, unreadable = [], []
    if not dataset.entries:
        return [], []
    for index in np.unique(np.linspace(0, len(dataset.entries) - 1, NUM_EXAMPLES).round().astype(int)).tolist():
        try:
            examples.append(Example(dataset.entries[index], dataset.clip(index)))
        except SourceError as error:
            unreadable.append(str(error))
    return examples, unreadable


def _find_doubles(dataset: ClipDataset) -> list[str]:
    twice = [name for name, count in Counter(entry.name for entry in dataset.entries).items() if count > 1]
    return [f"{len(twice)} names stand there more than once: {format_names(twice)}"] if twice else []


def _find_leaks(dataset: ClipDataset) -> list[str]:
    splits: dict[str, set[str]] = {}
    for entry in dataset.entries:
        splits.setdefault(entry.patient, set()).add(entry.split)
    leaking = [patient for patient, found in splits.items() if len(found) > 1]
    return [f"{len(leaking)} patients are in more than one split: {format_names(leaking)}"] if leaking else []


def _describe_ef(ef: np.ndarray) -> dict[str, float]:
    values = {"n": len(ef), "mean": ef.mean(), "sd": ef.std(), "min": ef.min(), "max": ef.max()}
    return {name: round(float(value), 2) for name, value in values.items()}


def _range(lengths: list[int]) -> dict[str, float]:
    return {"min": min(lengths), "median": float(np.median(lengths)), "max": max(lengths)}
