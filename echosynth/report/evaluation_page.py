"""What an evaluation leaves behind: the JSON first, then figures and the page; and the short table on the terminal."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from echosynth.report.figures import bland_altman, ef_scatter, write_figure
from echosynth.report.page import ClipTile, Figure, PageSection, render_page
from echosynth.report.tables import evaluation_tables
from echosynth.storage.atomic import write_text
from echosynth.video.files import load_image, load_video


def write_report(out: Path, name: str, result: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> Path:
    """Write `evaluation.json`, the figures and `index.html`; return the page's path.

    Args:
        out: the run's folder.
        name: of the run.
        result: the object of `--json`.
        records: the lines of `samples.jsonl`.

    Raises:
        OutputError: the disk refused.
    """
    write_text(out / "evaluation.json", json.dumps(result, indent=2, allow_nan=False) + "\n")
    single = [r for r in records if r["type"] == "sample" and r["attempt"] == 0 and not r["factual"]]
    target, judge = [r["target_ef"] for r in single], [r["judge_ef"] for r in single]
    n = len(single)
    title = f"Counterfactual, single sample, n = {n}"
    scatter = write_figure(out / "scatter.png", ef_scatter(target, judge, title))
    difference = write_figure(out / "bland_altman.png", bland_altman(target, judge, title))
    figures = [
        Figure(scatter, "Asked and judged EF.", f"Scatter of judged against asked EF of {n} clips"),
        Figure(difference, "Difference against mean.", f"Bland-Altman plot of {n} clips"),
    ]
    sections = [PageSection("Scores", tables=evaluation_tables(result), figures=figures)]
    rows = [tiles for record in single if (tiles := _tiles(out, record))]
    if rows:
        text = "The first patients of the test, as they came: the frame, what was generated, and the truth."
        sections.append(PageSection("Clips", text, rows))
    models = result["models"]
    footer = " · ".join(f"{role} {models[role][0]} {models[role][1]}" for role in ("cascade", "gate", "judge"))
    intro = "Single-sample scores come first; the gate's and the best of k stand apart. The judge never gated."
    page = out / "index.html"
    write_text(page, render_page(f"Evaluation: {name}", intro, sections, footer))
    return page


def _tiles(out: Path, record: Mapping[str, Any]) -> list[ClipTile]:
    """Frame, generated clip and truth of one patient, as far as the folder holds them."""
    stem = out / "clips" / record["patient"]
    generated, frame, truth = Path(f"{stem}_counterfactual.avi"), Path(f"{stem}_frame.png"), Path(f"{stem}_truth.avi")
    if not generated.is_file():
        return []
    tiles = (
        [ClipTile(record["patient"], f"own EF {record['own_ef']:.0f}", load_image(frame))] if frame.is_file() else []
    )
    caption = f"asked {record['target_ef']:.0f} · gate {record['gate_ef']:.0f} · judge {record['judge_ef']:.0f}"
    status: Any = "accepted" if record["accepted"] else "refused"
    tiles.append(ClipTile(f"EF {record['target_ef']:.0f}", caption, load_video(generated), status))
    if truth.is_file():
        tiles.append(ClipTile(f"EF {record['target_ef']:.0f}", "true counterfactual", load_video(truth), "truth"))
    return tiles
