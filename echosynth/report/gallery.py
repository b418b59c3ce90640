"""The clips of a run -> a table, a contact sheet and one page to look at."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from echosynth.augmentation.conditioning import ConditioningFrame
from echosynth.augmentation.session import FinishedSample, GenerateResult
from echosynth.report.page import ClipTile, PageSection, render_page
from echosynth.report.sheet import contact_sheet
from echosynth.report.tables import Table, format_number
from echosynth.storage.atomic import write_text
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_png

MOST_CLIPS = 48  # a page with more than this many moving pictures is slow to open
PAGE, SHEET = "index.html", "contact_sheet.png"


@dataclass(frozen=True, eq=False)
class _Shown:
    """One clip of the gallery, read from disk."""

    frame: ConditioningFrame
    sample: FinishedSample
    clip: EchoClip
    truth: EchoClip | None


def sample_table(result: GenerateResult, title: str = "Asked and measured EF (%)") -> Table:
    """Return the target, the gate's and the judge's EF of every clip."""
    rows = [
        [
            clip.sample.source,
            f"{clip.sample.target_ef:g}",
            f"{clip.entry.gate_ef:.1f}",
            format_number(clip.entry.judge_ef, 1),
            "accepted" if clip.entry.accepted else "refused",
            str(clip.attempts),
            f"{clip.seconds:.1f}",
        ]
        for clip in result.clips
    ]
    columns = ["source", "asked", "gate", "judge", "verdict", "attempts", "seconds"]
    return Table(title, columns, rows, "The gate accepts or refuses; the judge only measures.", text_columns=(0, 4))


def write_gallery(
    result: GenerateResult,
    title: str = "Generated echocardiograms",
    intro: str = "",
    truths: Mapping[str, EchoClip] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write `contact_sheet.png` and `index.html` into the run's folder and return the page's path.

    Args:
        result: the run; at most `MOST_CLIPS` of its clips are shown.
        title: of the page.
        intro: one or two sentences.
        truths: sample id -> the true counterfactual, where a simulator knows it.
        notes: frame's name -> a sentence about it.

    Raises:
        OutputError: the disk refused.
    """
    page, sheet = result.run / PAGE, result.run / SHEET
    if page.is_file() and sheet.is_file() and page.stat().st_mtime_ns > result.manifest.stat().st_mtime_ns:
        return page  # nothing was made since
    shown = list(_read_clips(result, truths or {}))
    left_out = len(result.clips) - len(shown)
    text = f"{left_out} more clips are in the folder clips/." if left_out > 0 else ""
    sections = [PageSection("Results", text, tables=[sample_table(result)])]
    for frame in result.frames:
        mine = [one for one in shown if one.frame is frame]
        if mine:
            note = (notes or {}).get(frame.name, f"Frame {frame.frame} of {frame.source}.")
            sections.append(PageSection(frame.name, note, _tile_rows(frame, mine)))
    rows = [row for one in shown for row in _sheet_rows(one)]
    write_png(sheet, contact_sheet([clip for clip, _ in rows], [label for _, label in rows]), synthetic=True)
    write_text(page, render_page(title, intro, sections, _footer(result)))
    return page


def _read_clips(result: GenerateResult, truths: Mapping[str, EchoClip]) -> Iterator[_Shown]:
    for sample in result.clips[:MOST_CLIPS]:
        frame = result.frames[sample.sample.source_index]
        yield _Shown(frame, sample, result.load(sample), truths.get(sample.sample.sample_id))


def _tile_rows(frame: ConditioningFrame, shown: list[_Shown]) -> list[list[ClipTile]]:
    """The clips of one frame in a row, and below them their truths if these are known."""
    own = "" if frame.ef is None else f"own EF {frame.ef:.0f}"
    generated = [ClipTile("conditioning frame", own, frame.pixels, "frame")]
    true_row = [ClipTile("", "the same patient as simulated", frame.pixels, "frame")]
    for one in shown:
        entry = one.sample.entry
        judge = format_number(entry.judge_ef, 0)
        caption = f"asked {entry.target_ef:g} · gate {entry.gate_ef:.0f} · judge {judge}"
        name = f"EF {entry.target_ef:g}"
        generated.append(ClipTile(name, caption, one.clip, "accepted" if entry.accepted else "refused"))
        if one.truth is not None:
            true_row.append(ClipTile(f"{name}, truth", "rendered by the phantom", one.truth, "truth"))
    return [generated, true_row] if len(true_row) > 1 else [generated]


def _sheet_rows(one: _Shown) -> list[tuple[EchoClip, str]]:
    """A clip with its label, then its truth with one if it is known."""
    entry = one.sample.entry
    head = f"{one.frame.name[:14]}\nEF {entry.target_ef:g}"
    rows = [(one.clip, f"{head}\ngate {entry.gate_ef:.0f}\njudge {format_number(entry.judge_ef, 0)}")]
    return rows if one.truth is None else [*rows, (one.truth, f"{head}\nTRUTH")]


def _footer(result: GenerateResult) -> str:
    entry = result.clips[0].entry
    return (
        f"echosynth {entry.versions['echosynth']} · cascade {entry.model} {entry.model_hash} · gate {entry.gate} "
        f"{entry.gate_hash} · judge {entry.judge} {entry.judge_hash} · seed {result.seed}"
    )
