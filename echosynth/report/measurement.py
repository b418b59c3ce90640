"""Measurements as a table, sentences, CSV, figures and a file of embeddings."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from echosynth.evaluation.measure import MeasureResult
from echosynth.evaluation.reading import Reading, collect_known, group_by_regressor
from echosynth.report.figures import bland_altman, ef_residuals, ef_scatter, embedding_map, write_figure
from echosynth.report.tables import UNDEFINED, Table, format_number

COLUMNS = ("file", "regressor", "ef", "low", "high", "true_ef")


def reading_table(result: MeasureResult) -> Table:
    """Return EF and 90 % interval of every reading."""
    rows = []
    for reading in result.readings:
        answer = reading.answer
        apart = reading.disagreement
        reader = reading.regressor if apart is None else f"{reading.regressor} (disagrees by {apart:.0f})"
        known = UNDEFINED if reading.true_ef is None else f"{reading.true_ef:.1f}"
        rows.append([reading.file, reader, f"{answer.ef:.1f}", f"{answer.low:.1f}", f"{answer.high:.1f}", known])
    return Table("EF (%)", COLUMNS, rows, text_columns=(0, 1))


def describe_beats(result: MeasureResult) -> Iterator[str]:
    """One line for each reading that was made beat by beat."""
    for reading in result.readings:
        if reading.beats is not None:
            each = ", ".join(f"{beat.ef:.0f}" for beat in reading.beats) or "none is whole, the clip is read as one"
            yield f"{reading.file}, {reading.regressor}, beat by beat: {each}"


def score_table(result: MeasureResult) -> Table:
    """Return the scores of every reader; without rows if no truth is known."""
    columns = ["regressor", "n", "R²", "MAE", "RMSE", "bias", "slope", "in interval", "EF <= 40", "AUROC"]
    rows = []
    for reader, scores in (result.scores or {}).items():
        rows.append(
            [
                reader,
                str(scores["n"]),
                format_number(scores["r2"], 3),
                *(format_number(scores[name]) for name in ("mae", "rmse", "bias", "slope")),
                f"{scores['coverage']:.0%}",
                *_call_cells(scores["reduced"], scores["auroc"]["40"]),
            ]
        )
        if "classifier" in scores:
            own = scores["classifier"]
            unmeasured = [UNDEFINED] * 6
            rows.append([f"{reader}, its classifier", str(scores["n"]), *unmeasured, *_call_cells(own, own["auroc"])])
    note = ""
    if rows:
        first = next(iter((result.scores or {}).values()))
        note = (
            f"Errors in EF points. The mean of all true EFs has an MAE of {first['mean_mae']:.1f}. The more frequent "
            f"answer to 'EF <= 40?' is right in {first['reduced']['majority']:.0%}."
        )
    return Table("Scores", columns, rows, note)


def _call_cells(calls: dict[str, Any], area: float | None) -> list[str]:
    return [f"{calls['accuracy']:.0%}", format_number(area, 3)]


def to_csv(result: MeasureResult) -> str:
    """Return the readings as comma-separated values with a head line."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for reading in result.readings:
        content = reading.to_dict()
        writer.writerow([content[column] for column in COLUMNS])
    return buffer.getvalue()


def write_plots(folder: Path, result: MeasureResult) -> list[Path]:
    """Write the figures of every reader and return their paths.

    NAME_scatter.png and NAME_bland_altman.png; NAME_residuals.png if it gives standard deviations; NAME_embedding.png
    of three clips or more whose embeddings were kept.

    Args:
        folder: where to; made if missing.
        result: with scores, that is of clips whose EF is known.

    Raises:
        OutputError: the disk refused.
    """
    written = []
    for reader, readings in group_by_regressor(result.readings).items():
        for kind, figure in _draw(reader, readings, result.embeddings.get(reader)).items():
            written.append(folder / f"{reader}_{kind}.png")
            write_figure(written[-1], figure)
    return written


def _draw(reader: str, readings: list[Reading], embeddings: np.ndarray | None) -> dict[str, Figure]:
    truth = [reading.true_ef for reading in readings if reading.true_ef is not None]
    measured = [reading.answer.ef for reading in readings]
    title = f"{reader}: true and measured EF"
    figures = {
        "scatter": ef_scatter(truth, measured, title, "true EF"),
        "bland_altman": bland_altman(truth, measured, title, "true EF"),
    }
    deviations = collect_known(readings, "deviation")
    if deviations:
        figures["residuals"] = ef_residuals(truth, measured, deviations, f"{reader}: error and standard deviation")
    if embeddings is not None and len(embeddings) > 2:
        figures["embedding"] = embedding_map(embeddings, truth, f"{reader}: embeddings by true EF")
    return figures
