"""The figures and the page of an evaluation."""

from pathlib import Path

from echosynth.evaluation.records import Sample
from echosynth.evaluation.result import EvaluationResult
from echosynth.evaluation.runner import CLIPS
from echosynth.report.figures import bland_altman, ef_scatter, write_figure
from echosynth.report.page import ClipTile, Figure, PageSection, render_page
from echosynth.report.tables import evaluation_tables
from echosynth.storage.atomic import write_text
from echosynth.video.readers import load_image, load_video


def write_evaluation_page(out: Path, name: str, result: EvaluationResult) -> Path:
    """Write `scatter.png`, `bland_altman.png` and `index.html`; return the page's path.

    Args:
        out: the run's folder, which holds the clips to show.
        name: of the run.
        result: of `evaluate`.

    Raises:
        OutputError: the disk refused.
    """
    single = [sample for sample in result.samples if sample.attempt == 0 and not sample.factual]
    target, measured = [sample.target_ef for sample in single], [sample.judge_ef for sample in single]
    n = len(single)
    title = f"Counterfactual, single sample, n = {n}"
    scatter = write_figure(out / "scatter.png", ef_scatter(target, measured, title))
    difference = write_figure(out / "bland_altman.png", bland_altman(target, measured, title))
    figures = [
        Figure(scatter, "EF asked for and EF measured.", f"Scatter of measured against asked EF of {n} clips"),
        Figure(difference, "Difference against mean.", f"Bland-Altman plot of {n} clips"),
    ]
    sections = [PageSection("Scores", tables=evaluation_tables(result.to_dict()), figures=figures)]
    rows = [tiles for sample in single if (tiles := _tiles(out / CLIPS, sample))]
    if rows:
        text = "The first patients of the test, not selected: the frame, the generated clip and the truth."
        sections.append(PageSection("Clips", text, rows))
    footer = " · ".join(f"{role} {model} {weights}" for role, (model, weights) in result.models.items())
    intro = "Single-sample scores come first. Accepted clips and the best of k are scored apart. The judge never gated."
    page = out / "index.html"
    write_text(page, render_page(f"Evaluation: {name}", intro, sections, footer))
    return page


def _tiles(clips: Path, sample: Sample) -> list[ClipTile]:
    """Frame, generated clip and truth of one patient, as far as the folder holds them."""
    stem = clips / sample.patient
    generated, frame, truth = Path(f"{stem}_counterfactual.avi"), Path(f"{stem}_frame.png"), Path(f"{stem}_truth.avi")
    if not generated.is_file():
        return []
    title = f"EF {sample.target_ef:.0f}"
    tiles = [ClipTile(sample.patient, f"own EF {sample.own_ef:.0f}", load_image(frame))] if frame.is_file() else []
    caption = f"asked {sample.target_ef:.0f} · gate {sample.gate_ef:.0f} · judge {sample.judge_ef:.0f}"
    tiles.append(ClipTile(title, caption, load_video(generated), "accepted" if sample.accepted else "refused"))
    if truth.is_file():
        tiles.append(ClipTile(title, "true counterfactual", load_video(truth), "truth"))
    return tiles
