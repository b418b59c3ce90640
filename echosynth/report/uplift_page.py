"""The tables, the figure and the page of an uplift study."""

from pathlib import Path

from echosynth.evaluation.uplift.config import ARMS, REFERENCE
from echosynth.evaluation.uplift.runner import UpliftResult
from echosynth.evaluation.uplift.scores import Difference
from echosynth.report.figures import forest_plot, write_figure
from echosynth.report.page import Figure, PageSection, render_page
from echosynth.report.tables import Table, format_number
from echosynth.storage.atomic import write_text

COLUMNS = (
    *("arm", "MAE", "against A", "p", "MAE, EF < 40", "against A", "p"),
    *("RMSE", "bias", "R2", "slope", "AUROC 40", "AUROC 50"),
)
NOTE = (
    "Means over repetitions. Differences: 95 % intervals by bootstrap over repetitions and patients; below 0 the arm "
    "is better; p corrected by Holm's procedure for the number of arms."
)


def uplift_tables(result: UpliftResult) -> list[Table]:
    """A table for every size and test."""
    tables = []
    for size, tests in result.scores.items():
        for test, arms in tests.items():
            rows = []
            for arm, s in arms.items():
                few = _difference(s.difference_reduced)
                numbers = [format_number(x) for x in (s.rmse, s.bias, s.r2, s.slope, s.auroc["40"], s.auroc["50"])]
                mae = format_number(s.mae), *_difference(s.difference)
                rows.append((_title(arm), *mae, format_number(s.mae_reduced), *few, *numbers))
            title = f"{size} real clips, test {test}, n = {result.tests[test]}"
            tables.append(Table(title, COLUMNS, rows, NOTE))
    return tables


def write_uplift_page(out: Path, name: str, result: UpliftResult) -> Path:
    """Write `differences.png` and `index.html`; return the page's path.

    Raises:
        OutputError: the disk refused.
    """
    found = {
        f"{_title(arm).partition(':')[0]}, n {size}, {test}": scores.difference_reduced
        for size, tests in result.scores.items()
        for test, arms in tests.items()
        for arm, scores in arms.items()
    }
    lines = [(name, one.mean, one.low, one.high) for name, one in found.items() if one is not None]
    figures = []
    if lines:
        axis = f"MAE of EF < 40 against {_title(REFERENCE)}, points"
        drawn = write_figure(out / "differences.png", forest_plot(lines, axis))
        figures.append(Figure(drawn, "Left of 0 the arm is better.", "Differences of the arms with their intervals"))
    intro = (
        f"{len(result.cells)} regressors in {result.hours:.1f} hours. Arms differ in their clips alone: equal steps, "
        "batches, first weights and rule of selection."
    )
    page = out / "index.html"
    sections = [PageSection("Does it help?", tables=uplift_tables(result), figures=figures)]
    write_text(page, render_page(f"Uplift: {name}", intro, sections, ""))
    return page


def _title(arm: str) -> str:
    return next((text for key, text in ARMS.items() if key == arm), arm)


def _difference(found: Difference | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    interval = f"{format_number(found.mean)} ({format_number(found.low)} to {format_number(found.high)})"
    return interval, "< 0.001" if found.p_holm < 0.001 else format_number(found.p_holm, 3)
