"""`echosynth inspect PATH`: what a dataset holds, what is wrong with it, and a contact sheet of its clips."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from echosynth.data.dataset import ClipDataset
    from echosynth.data.inspection import Inspection

SHOWN = 6
BAR = 40  # characters of the longest bar of the histogram


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, help="dataset folder (EchoNet, CAMUS, HMC-QU), folder of files, or one file")
    parser.add_argument("--view", choices=("A4C", "A2C", "PSAX"), help="of a dataset that has several (default: A4C)")
    parser.add_argument("--decode", action="store_true", help="read every video too, to find damaged ones")
    parser.add_argument(
        "--sheet", type=Path, default=Path("inspect.png"), help="contact sheet to write (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Inspect and return the object of `--json`."""
    from echosynth.data.inspection import inspect_dataset
    from echosynth.data.layouts import open_dataset
    from echosynth.progress import Reporter

    dataset = open_dataset(args.path, args.view, complete=False)
    decode = args.decode or len(dataset.entries) <= SHOWN  # the sheet reads that many anyhow
    with Reporter(len(dataset.entries) if args.decode else 0, "reading videos") as reporter:
        inspection = inspect_dataset(dataset, decode, lambda done: reporter.step())
    sheet, unreadable = write_sheet(dataset, args.sheet)
    inspection.problems.extend(problem for problem in unreadable if problem not in inspection.problems)
    if not args.json:
        print(describe(inspection))
        print(f"contact sheet: {sheet}" if sheet else "no clip could be read for a contact sheet")
    return inspection.to_dict() | {"sheet": None if sheet is None else str(sheet)}


def write_sheet(dataset: "ClipDataset", path: Path) -> tuple[Path | None, list[str]]:
    """Draw up to six clips spread over the dataset; None if none of those looked at can be read, and why not."""
    import numpy as np

    from echosynth.errors import SourceError
    from echosynth.report.sheet import contact_sheet
    from echosynth.video.writers import write_png

    rows, labels, unreadable = [], [], []
    for index in np.unique(np.linspace(0, len(dataset.entries) - 1, SHOWN).round().astype(int)).tolist():
        entry = dataset.entries[index]
        try:
            rows.append(dataset.clip(index))
        except SourceError as error:
            unreadable.append(str(error))
            continue
        ef = "EF ?" if entry.ef is None else f"EF {entry.ef:.0f}"
        labels.append(f"{Path(entry.name).name[:16]}\n{ef}\n{entry.split or entry.view}")
    if not rows:
        return None, unreadable
    write_png(path, contact_sheet(rows, labels, note=f"{dataset.layout}: {dataset.root}"))
    return path, unreadable


def describe(found: "Inspection") -> str:
    """The inspection as text."""

    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{name or 'no split'} {count}" for name, count in counts.items())

    lines = [
        f"{found.path}: {found.layout}",
        f"clips     {found.clips} of {found.patients} patients ({listed(found.views)})",
        f"splits    {listed(found.splits)}",
    ]
    if found.frames:
        lines.append("frames    {min:g} to {max:g}, median {median:g}".format(**found.frames))
    if found.fps:
        rates = list(found.fps.items())
        more = f", {len(rates) - 6} more" if len(rates) > 6 else ""
        lines.append("Hz        " + ", ".join(f"{rate} ({count})" for rate, count in rates[:6]) + more)
    if found.ef:
        lines.append("EF (%)    {mean:.1f} +- {sd:.1f}, {min:.1f} to {max:.1f}, of {n:g} clips".format(**found.ef))
        most = max(found.ef_histogram)
        for tens, count in enumerate(found.ef_histogram):
            bar = "#" * round(BAR * count / most)
            lines.append(f"  {10 * tens:3d}-{10 * tens + 10:<3d} {count:6d} {bar}".rstrip())
    if found.decoded:
        lines.append(f"decoded   {found.decoded} of {found.clips} videos")
    lines.append("problems  " + ("none found" if not found.problems else str(len(found.problems))))
    return "\n".join([*lines, *(f"  - {problem}" for problem in found.problems)])
