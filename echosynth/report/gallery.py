"""Finished samples -> a table, a contact sheet and one page to look at."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from echosynth.augmentation.session import MANIFEST, FinishedSample, GenerationJob, load_clip
from echosynth.report.page import ClipTile, PageSection, render_page
from echosynth.report.sheet import contact_sheet
from echosynth.report.tables import Table
from echosynth.storage.atomic import write_text
from echosynth.video.clip import EchoClip
from echosynth.video.files import write_png

MOST_CLIPS = 48  # a page with more than this many moving pictures is slow to open


def sample_table(products: Sequence[FinishedSample], title: str = "Asked and measured EF (%)") -> Table:
    """Return asked, gate's and judge's EF of every sample."""
    rows = [
        [
            f"{p.sample.source}",
            f"{p.sample.target_ef:g}",
            f"{p.entry.gate_ef:.1f}",
            "–" if p.entry.judge_ef is None else f"{p.entry.judge_ef:.1f}",
            "accepted" if p.entry.accepted else "refused",
            str(p.attempts),
            f"{p.seconds:.1f}",
        ]
        for p in products
    ]
    columns = ["source", "asked", "gate", "judge", "verdict", "attempts", "seconds"]
    return Table(title, columns, rows, "The gate accepts or refuses; the judge only measures.")


def write_gallery(
    job: GenerationJob,
    products: Sequence[FinishedSample],
    title: str,
    intro: str,
    truths: Mapping[str, EchoClip] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write `contact_sheet.png` and `index.html` into the run's folder and return the page's path.

    Args:
        job: the run.
        products: its samples.
        title: of the page.
        intro: one or two sentences.
        truths: sample id -> the true counterfactual, where a simulator knows it.
        notes: frame's name -> a sentence about it.

    Raises:
        OutputError: the disk refused.
    """
    page, sheet, manifest = (job.out / name for name in ("index.html", "contact_sheet.png", MANIFEST))
    if page.is_file() and sheet.is_file() and page.stat().st_mtime_ns > manifest.stat().st_mtime_ns:
        return page  # nothing was made since
    truths, notes = truths or {}, notes or {}
    sections: list[PageSection] = []
    rows: list[EchoClip] = []
    labels: list[str] = []
    shown = 0
    for index, frame in enumerate(job.frames):
        mine = [p for p in products if p.sample.source_index == index]
        if shown >= MOST_CLIPS:
            break
        own = "" if frame.ef is None else f"own EF {frame.ef:.0f}"
        generated = [ClipTile("conditioning frame", own, frame.pixels, "frame")]
        true_row = [ClipTile("", "the same patient as simulated", frame.pixels, "frame")]
        for product in mine[: MOST_CLIPS - shown]:
            clip, entry = load_clip(job.out, product.sample), product.entry
            judge = "–" if entry.judge_ef is None else f"{entry.judge_ef:.0f}"
            caption = f"asked {entry.target_ef:g} · gate {entry.gate_ef:.0f} · judge {judge}"
            name = f"EF {entry.target_ef:g}"
            generated.append(ClipTile(name, caption, clip, "accepted" if entry.accepted else "refused"))
            rows.append(clip)
            labels.append(f"{frame.name[:14]}\n{name}\ngate {entry.gate_ef:.0f}\njudge {judge}")
            if product.sample.sample_id in truths:
                truth = truths[product.sample.sample_id]
                true_row.append(ClipTile(f"EF {entry.target_ef:g}, truth", "rendered by the phantom", truth, "truth"))
                rows.append(truth)
                labels.append(f"{frame.name[:14]}\n{name}\nTRUTH")
        shown += len(mine)
        tiles = [generated, true_row] if len(true_row) > 1 else [generated]
        sections.append(
            PageSection(frame.name, notes.get(frame.name, f"Frame {frame.frame} of {frame.source}."), tiles)
        )
    left_out = len(products) - min(shown, MOST_CLIPS)
    text = f"{left_out} more clips are in the folder clips/." if left_out > 0 else ""
    sections.insert(0, PageSection("Results", text, tables=[sample_table(products)]))
    first = products[0].entry
    footer = (
        f"echosynth {first.versions['echosynth']} · cascade {first.model} {first.model_hash} · gate {first.gate} "
        f"{first.gate_hash} · judge {first.judge} {first.judge_hash} · seed {job.sampling.seed}"
    )
    write_png(sheet, contact_sheet(rows, labels), synthetic=True)
    write_text(page, render_page(title, intro, sections, footer))
    return page
