"""Tables of scores with their intervals, and as Markdown, made from the JSON of `echosynth evaluate` and `probe`.

The input is the JSON, not the objects, so that a page can be made again from the file of an old run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Score in the JSON, heading, digits. EF errors are in points of EF: more than two digits would be noise.
EF_COLUMNS = (
    ("r2", "R²", 3), ("mae", "MAE", 2), ("rmse", "RMSE", 2),
    ("bias", "bias", 2), ("slope", "slope", 2), ("pearson_r", "r", 3),
)  # fmt: skip
EF_ROWS = (
    ("counterfactual", "counterfactual, single sample"),
    ("factual", "factual, single sample"),
    ("gated", "accepted by the gate"),
    ("ceiling", "ceiling: judge on truth"),
)
UNDEFINED = "–"


@dataclass(frozen=True)
class Table:
    """A table of text cells; the first column is the row's name.

    Attributes:
        title: what it shows.
        columns: their names.
        rows: a cell for each column.
        note: a sentence below it.
        text_columns: numbers of the columns that hold words and are aligned left; the others hold numbers.

    Raises:
        ValueError: a row does not have one cell per column.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    text_columns: Sequence[int] = (0,)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.title!r}: {len(self.columns)} columns, but a row of {len(row)} cells")


def format_number(value: float | None, digits: int = 2) -> str:
    """Return e.g. "4.21", "–" for undefined, and never "-0.00"."""
    if value is None or value != value:
        return UNDEFINED
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def format_with_interval(value: float | None, interval: Sequence[float | None] | None, digits: int = 2) -> str:
    """Return e.g. "4.21 (3.80 to 4.66)"; "to", because a dash beside a minus sign cannot be read."""
    text = format_number(value, digits)
    if interval is None or None in interval or text == UNDEFINED:
        return text
    return f"{text} ({format_number(interval[0], digits)} to {format_number(interval[1], digits)})"


def evaluation_tables(evaluation: Mapping[str, Any]) -> list[Table]:
    """Return every table that the JSON of an evaluation allows; sections that are missing or empty are left out."""
    makers = (_ef_table, _decile_table, _similarity_table, _paired_table, _distance_table)
    return [table for table in (make(evaluation) for make in makers) if table.rows]


def _ef_table(evaluation: Mapping[str, Any]) -> Table:
    rows = [(title, evaluation.get(key, {})) for key, title in EF_ROWS]
    for key, title in (("counterfactual", "counterfactual"), ("factual", "factual")):
        best = evaluation.get("best_of_k", {}).get(key, {})
        if best.get("k", 0) > 1:  # the best of one is the single sample
            rows.append((f"{title}, best of {best['k']} (optimistic)", best))
    note = "EF in per cent, errors in points of EF; 95 % intervals by patient bootstrap."
    if "judge" in evaluation:
        note += f" Judge: {evaluation['judge']}. Gate: {evaluation.get('gate') or 'none'}."
    return Table(
        title="Ejection fraction: asked and measured",
        columns=["", "n", *(heading for _, heading, _ in EF_COLUMNS)],
        rows=[
            [title, str(scores["n"])]
            + [format_with_interval(scores[name], scores["ci"].get(name), digits) for name, _, digits in EF_COLUMNS]
            for title, scores in rows
            if scores.get("n", 0) > 0
        ],
        note=note,
    )


def _decile_table(evaluation: Mapping[str, Any]) -> Table:
    """Bias per band of target EF, one column per kind: shows a regression towards the mean."""
    kinds = [(key, title) for key, title in EF_ROWS if evaluation.get(key, {}).get("bias_by_decile")]
    bands: dict[tuple[float, float], dict[str, str]] = {}
    for key, _ in kinds:
        for band in evaluation[key]["bias_by_decile"]:
            cell = f"{format_number(band['bias'], 1)} (n {band['n']})"
            bands.setdefault((band["low"], band["high"]), {})[key] = cell
    return Table(
        title="Bias by target EF",
        columns=["target EF (%)", *(title for _, title in kinds)],
        rows=[
            [f"{low:g}–{high:g}", *(cells.get(key, UNDEFINED) for key, _ in kinds)]
            for (low, high), cells in sorted(bands.items())
        ],
        note="Mean of measured minus target EF, points.",
    )


def _similarity_table(evaluation: Mapping[str, Any]) -> Table:
    scores = evaluation.get("similarity", {})
    rows = [("ssim", "SSIM", 3), ("psnr", "PSNR (dB)", 1), ("mae", "MAE (grey levels)", 2)]
    return Table(
        title="Pixels against the true counterfactual",
        columns=["score", f"mean of {scores.get('n', 0)} clips"],
        rows=[
            [heading, format_with_interval(scores.get(name), scores["ci"].get(name), digits)]
            for name, heading, digits in rows
            if scores.get("n", 0) > 0
        ],
        note=scores.get("protocol", ""),
    )


PAIRED_ROWS = (
    ("frame_ssim", "", "SSIM of the first frame with the conditioning frame"),
    ("ssim", "", "SSIM with the true clip"),
    ("es_dice", "es_dice_ceiling", "Dice of the cavity at end-systole"),
    ("motion", "motion_ceiling", "correlation of optical flow with the tissue's motion"),
    ("flicker", "", "flicker of still tissue; 1 for the true clip"),
)


def _paired_table(evaluation: Mapping[str, Any]) -> Table:
    scores = evaluation.get("paired", {})
    return Table(
        title="Against the true counterfactual, frame by frame",
        columns=["score", f"mean of {scores.get('n', 0)} clips", "the true clip"],
        rows=[
            [
                heading,
                format_with_interval(scores.get(name), scores["ci"].get(name), 3),
                format_number(scores.get(ceiling), 3) if ceiling else "",
            ]
            for name, ceiling, heading in PAIRED_ROWS
            if scores.get("n", 0) > 0
        ],
        note="The frame is end-diastolic and timing is given. Borders are the gate's, optical flow is Lucas-Kanade.",
    )


def _distance_table(evaluation: Mapping[str, Any]) -> Table:
    return Table(
        title="Distance of generated from real clips, in a named feature space",
        columns=["score", "n", "D", "Fréchet", "real vs real", "kernel ×1000", "real vs real ×1000"],
        rows=[
            [
                name if d["full_rank"] else f"{name} (n ≤ D: mostly bias)",
                str(d["n"]),
                str(d["dim"]),
                f"{d['frechet']:.4g}",
                f"{d['frechet_real']:.4g}",
                format_number(1000 * d["kernel"], 2),
                format_number(1000 * d["kernel_real"], 2),
            ]
            for name, d in evaluation.get("frechet", {}).items()
        ],
        note="Not FID and not FVD: comparable only within this extractor and n. Real against real is the floor.",
    )


PROBE_COLUMNS = ("accuracy", "majority", "recall", "specificity", "precision", "f1", "auroc")


def probe_table(result: Mapping[str, Any]) -> Table:
    """Return how well each regressor predicts a fact, made from the JSON of `echosynth probe`."""
    scores = result["scores"]
    first = next(iter(scores.values()))
    return Table(
        title=f"{result['fact']}: {first['positives']} of {first['n']} clips",
        columns=["regressor", *PROBE_COLUMNS],
        rows=[[name, *(format_number(found[column]) for column in PROBE_COLUMNS)] for name, found in scores.items()],
    )


def change_table(changes: Sequence[Mapping[str, Any]]) -> Table:
    """Return how phantoms look beside a scanner's clips, made from the JSON of `echosynth adapt`."""
    rows = [
        [str(row["trait"]), format_number(row["scanner"], 3), format_number(row["before"]), format_number(row["after"])]
        for row in changes
    ]
    title = "Median of the scanner's clips, and how far phantoms are from it, in spreads of its clips"
    return Table(title, ("trait", "scanner", "any phantoms", "those chosen"), rows)


def to_markdown(table: Table) -> str:
    """Return a GitHub-flavoured Markdown table; pipes and line ends in cells are made harmless."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    head = ["---" if column in table.text_columns else "---:" for column in range(len(table.columns))]
    parts = [f"**{table.title}**", "", line(table.columns), line(head), *map(line, table.rows)]
    return "\n".join([*parts, "", table.note] if table.note else parts) + "\n"
