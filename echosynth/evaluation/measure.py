"""Measuring: the EF that regressors read in clips, with 90 % intervals, and scores where the true EF is known."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from echosynth.config import VerbConfig
from echosynth.data.dataset import Split, choose_split
from echosynth.data.layouts import check_rate, iter_videos, open_dataset
from echosynth.errors import ConfigError
from echosynth.evaluation.panel import PanelConfig, load_panel
from echosynth.evaluation.readers import load_beat_finder, load_readers
from echosynth.evaluation.reading import (
    PANEL,
    BeatReading,
    Reading,
    format_warnings,
    group_by_regressor,
    score_readings,
)
from echosynth.progress import SILENT, Progress
from echosynth.regression.base import EFPrediction, EFRegressor
from echosynth.regression.panel import read_as_panel
from echosynth.regression.phases import Beat, find_beats
from echosynth.regression.windows import Coverage
from echosynth.runtime import choose_device
from echosynth.storage.model_ref import LoadedModel
from echosynth.video.clip import EchoClip

log = logging.getLogger(__name__)


class MeasureConfig(VerbConfig):
    """What `measure` does.

    Attributes:
        sources: videos, DICOM cines, .npy files, dataset folders, folders of files.
        regressors: names or folders; several are a panel too, whose EF is their median. None for the bundled panel,
            whose members count by weights fitted on scanners that none of them has seen.
        fps: frame rate to use instead of the files', Hz.
        split: of datasets, which alone is read; None for all clips.
        beats: read beat by beat, in windows around the end-systoles that the bundled judge finds.
        windows: so many windows, spread over the clip, or "all"; None for windows half a length apart.
        embeddings: also keep the features that EF is read from.
        device: "auto", "cpu" or "cuda".
    """

    sources: tuple[Path, ...] = Field(min_length=1)
    regressors: tuple[str, ...] | None = Field(default=None, min_length=1)
    fps: float | None = None
    split: Split | None = None
    beats: bool = False
    windows: int | Literal["all"] | None = None
    embeddings: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"

    check_fps = field_validator("fps")(check_rate)

    @field_validator("windows", mode="before")
    @classmethod
    def _check_windows(cls, windows: Any) -> Any:
        if windows is None or windows == "all":
            return windows
        word = str(windows)
        if not word.isascii() or not word.isdigit() or int(word) < 1:
            raise ConfigError(f"windows must be a whole number above 0, or all, got {word!r}", "windows")
        return int(word)

    @model_validator(mode="after")
    def _choose_windows_once(self) -> "MeasureConfig":
        if self.beats and self.windows is not None:
            raise ConfigError("beats and windows both say which windows are read; leave one of them out")
        return self


@dataclass(frozen=True, eq=False)
class MeasureResult:
    """What was read.

    Attributes:
        readings: of every clip by every regressor and, if there are several, by the panel.
        scores: of each reader, see `score_readings`; None unless the true EF of every clip is known.
        embeddings: of each regressor, float32 (clips, D) in the order of `files`; {} if they were not asked for.
    """

    readings: tuple[Reading, ...]
    scores: dict[str, dict[str, Any]] | None
    embeddings: dict[str, np.ndarray]

    @property
    def files(self) -> list[str]:
        """The clips in the order in which they were read."""
        first = self.readings[0].regressor if self.readings else ""
        return [reading.file for reading in self.readings if reading.regressor == first]

    def to_dict(self) -> dict[str, Any]:
        """The object that `measure --json` prints."""
        clips = [reading.to_dict() for reading in self.readings]
        return {"clips": clips} if self.scores is None else {"clips": clips, "scores": self.scores}


def measure(config: MeasureConfig, progress: Progress = SILENT) -> MeasureResult:
    """Read the EF of every clip of the sources with every regressor.

    Args:
        config: what is read, and how.
        progress: shows every clip.

    Raises:
        SourceError: a source cannot be used, or is a single picture.
        DatasetError: tables of a dataset are malformed.
        CheckpointError: a regressor is not there or damaged.
    """
    device = choose_device(config.device)
    panel = None if config.regressors else load_panel()
    readers = load_readers(config.regressors or load_panel().regressors, device)
    finder = load_beat_finder(readers, device) if config.beats else None
    readings: list[Reading] = []
    embeddings: dict[str, list[np.ndarray]] = {reader.ref.name: [] for reader in readers}
    datasets = [open_dataset(path, fps=config.fps) for path in config.sources]
    total = sum(len(choose_split(dataset, config.split)) for dataset in datasets)
    with progress.task(total, "measuring") as task:
        for name, clip in _iter_sources(config):
            beats = None if finder is None else find_beats(finder, clip)
            readings += read_clip(name, clip, readers, beats, config.windows, panel)
            for reader in readers if config.embeddings else ():
                embeddings[reader.ref.name].append(reader.model.embed_clip(clip))
            task.advance()
    for line in format_warnings((r.regressor, r.file, getattr(r.answer, "warnings", ())) for r in readings):
        log.warning(line)
    known = bool(readings) and all(reading.true_ef is not None for reading in readings)
    scores = {reader: score_readings(mine) for reader, mine in group_by_regressor(readings).items()} if known else None
    stacked = {name: np.stack(vectors) for name, vectors in embeddings.items() if vectors}
    return MeasureResult(tuple(readings), scores, stacked)


def _iter_sources(config: MeasureConfig) -> Iterator[tuple[str, EchoClip]]:
    for path in config.sources:
        yield from iter_videos(path, config.fps, config.split)


def read_clip(
    name: str,
    clip: EchoClip,
    readers: Sequence[LoadedModel[EFRegressor]],
    beats: Sequence[Beat] | None = None,
    windows: Coverage = None,
    panel: PanelConfig | None = None,
) -> list[Reading]:
    """Read one clip with every reader and, if there are several, as a panel.

    Args:
        name: of the clip.
        clip: the clip.
        readers: the regressors.
        beats: beats to read one by one; None to read the clip as one.
        windows: which windows are read, see regression/windows.py.
        panel: how much each reader counts; None for the readers' median.
    """
    moments = [beat.es for beat in beats or ()]
    answers = [reader.model.predict([clip], [moments], windows)[0] for reader in readers]
    readings = [
        Reading(name, clip.ef, reader.ref.name, answer, None if beats is None else _read_beats(beats, answer))
        for reader, answer in zip(readers, answers, strict=True)
    ]
    if len(answers) < 2:
        return readings
    joint = read_as_panel(answers) if panel is None else panel.read(answers)
    return [*readings, Reading(name, clip.ef, PANEL, joint)]


def _read_beats(beats: Sequence[Beat], answer: EFPrediction) -> tuple[BeatReading, ...]:
    # Without a whole beat, the windows are those of the whole clip.
    return tuple(BeatReading(beat.ed, beat.es, ef) for beat, ef in zip(beats, answer.windows, strict=False))
