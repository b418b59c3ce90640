"""What a regressor, or a panel of several, reads in a clip; scores and warnings of many such readings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from echosynth.cardiac.ejection_fraction import REDUCED_EF
from echosynth.data.dataset import format_names
from echosynth.metrics.clinical import auroc, clinical_scores, score_calls
from echosynth.metrics.ef_metrics import compute_ef_scores, none_if_undefined
from echosynth.regression.base import EFPrediction
from echosynth.regression.panel import PanelReading

PANEL = "panel"


@dataclass(frozen=True)
class BeatReading:
    """One beat: end-diastole `ed` and end-systole `es`, s, and its EF, per cent."""

    ed: float
    es: float
    ef: float


@dataclass(frozen=True)
class Reading:
    """The EF that one reader finds in one clip.

    Attributes:
        file: the clip, as the user knows it.
        true_ef: per cent; None if it is not known.
        regressor: the reader's name, which no other reader of the same result has; `PANEL` for all of them together.
        answer: EF, interval and more.
        beats: EF beat by beat; None if it was not asked for, empty if the clip holds no whole beat.
    """

    file: str
    true_ef: float | None
    regressor: str
    answer: EFPrediction | PanelReading
    beats: tuple[BeatReading, ...] | None = None

    @property
    def disagreement(self) -> float | None:
        """Range of a panel's members, EF points, if no EF lies in all their intervals; None if one does."""
        if not isinstance(self.answer, PanelReading) or self.answer.agreed:
            return None
        return self.answer.range

    def to_dict(self) -> dict[str, Any]:
        """The reading as it stands in the JSON of `measure`."""
        content = {"file": self.file, "true_ef": self.true_ef, "regressor": self.regressor, **self.answer.to_dict()}
        return content if self.beats is None else content | {"beats": [dict(vars(beat)) for beat in self.beats]}


def group_by_regressor(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    """Readings of each reader, in their order."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.regressor, []).append(reading)
    return groups


def score_readings(readings: Sequence[Reading]) -> dict[str, Any]:
    """Score the readings of one reader against the true EF, which must be known of every clip.

    Returns:
        `EFScores` and `clinical_scores` as plain values, "coverage" of the 90 % intervals, and under "classifier" the
        scores of a classifier of reduced EF, if the reader has one.
    """
    truth = [reading.true_ef for reading in readings if reading.true_ef is not None]
    answers = [reading.answer for reading in readings]
    measured = [answer.ef for answer in answers]
    scores = compute_ef_scores(truth, measured, [reading.file for reading in readings]).to_dict()
    inside = [answer.low <= ef <= answer.high for answer, ef in zip(answers, truth, strict=True)]
    scores |= clinical_scores(truth, measured) | {"coverage": sum(inside) / len(inside)}
    chances = collect_known(readings, "reduced_ef_probability")
    if chances:  # a classifier of its own, beside the EF that it measures
        calls = score_calls([ef <= REDUCED_EF for ef in truth], [chance > 0.5 for chance in chances])
        area = auroc(truth, [1 - chance for chance in chances], REDUCED_EF)
        scores["classifier"] = calls | {"auroc": none_if_undefined(area)}
    return scores


def collect_known(readings: Sequence[Reading], name: str) -> list[float]:
    """An attribute of every answer; [] if one of them lacks it."""
    values = [getattr(reading.answer, name, None) for reading in readings]
    known = [float(value) for value in values if value is not None]
    return known if len(known) == len(values) else []


def format_warnings(found: Iterable[tuple[str, str, Sequence[str]]]) -> list[str]:
    """One line for each warning, with all regressors and clips that it is of.

    Args:
        found: regressor, clip and the warnings of this regressor about this clip.
    """
    files: dict[tuple[str, str], list[str]] = {}
    for regressor, file, warnings in found:
        for warning in warnings:
            files.setdefault((warning, regressor), []).append(file)
    shown: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (warning, regressor), clips in files.items():
        shown.setdefault((warning, tuple(clips)), []).append(regressor)
    return [
        f"warning: {', '.join(regressors)} read {len(clips)} clip{'s' * (len(clips) > 1)} {warning} "
        f"({format_names(clips)})"
        for (warning, clips), regressors in shown.items()
    ]
