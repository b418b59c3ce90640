"""`echosynth inspect PATH`: what a dataset holds, what is wrong with it, and a contact sheet of its clips."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echosynth.commands.options import add_json, config_from_options

if TYPE_CHECKING:
    from echosynth.data.inspection import Inspection

BAR = 40  # characters of the longest bar of the histogram
MOST_RATES = 6  # frame rates that are listed one by one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("path", type=Path, help="dataset folder (EchoNet, CAMUS, HMC-QU), folder of files, or one file")
    parser.add_argument("--view", choices=("A4C", "A2C", "PSAX"), help="of a dataset that has several (default: A4C)")
    parser.add_argument("--decode", action="store_true", help="read every video too, to find damaged ones")
    parser.add_argument(
        "--sheet", type=Path, default=Path("inspect.png"), help="contact sheet to write (default: %(default)s)"
    )
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Inspect and return the object of `--json`."""
    from echosynth.commands.console import TerminalProgress, configure_logging
    from echosynth.data.inspection import InspectConfig, inspect_dataset

    config = config_from_options(InspectConfig, path=args.path, view=args.view, decode=args.decode)
    found = inspect_dataset(config, TerminalProgress(configure_logging()))
    if found.examples:
        write_sheet(args.sheet, found)
    if not args.json:
        print_inspection(found)
        print(f"contact sheet: {args.sheet}" if found.examples else "no clip could be read for a contact sheet")
    return found.to_dict() | {"sheet": str(args.sheet) if found.examples else None}


def write_sheet(path: Path, found: "Inspection") -> None:
    """Draw the example clips.

    Raises:
        OutputError: the disk refused.
    """
    from echosynth.report.sheet import contact_sheet
    from echosynth.video.writers import write_png

    labels = []
    for entry in (example.entry for example in found.examples):
        ef = "EF ?" if entry.ef is None else f"EF {entry.ef:.0f}"
        labels.append(f"{Path(entry.name).name[:16]}\n{ef}\n{entry.split or entry.view}")
    clips = [example.clip for example in found.examples]
    write_png(path, contact_sheet(clips, labels, note=f"{found.layout}: {found.path}"))


def print_inspection(found: "Inspection") -> None:
    """Print the facts, the histogram of EF and the problems."""
    from echosynth.commands.console import print_table
    from echosynth.report.tables import Table

    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{name or 'no split'} {count}" for name, count in counts.items())

    facts = [
        ["layout", found.layout],
        ["clips", f"{found.clips} of {found.patients} patients ({listed(found.views)})"],
        ["splits", listed(found.splits)],
    ]
    if found.frames:
        facts.append(["frames", "{min:g} to {max:g}, median {median:g}".format(**found.frames)])
    if found.fps:
        rates = [f"{rate} ({count})" for rate, count in found.fps.items()]
        rest = [f"{len(rates) - MOST_RATES} more"] if len(rates) > MOST_RATES else []
        facts.append(["Hz", ", ".join(rates[:MOST_RATES] + rest)])
    if found.ef:
        facts.append(["EF (%)", "{mean:.1f} ± {sd:.1f}, {min:.1f} to {max:.1f}, of {n:g} clips".format(**found.ef)])
    if found.decoded:
        facts.append(["decoded", f"{found.decoded} of {found.clips} videos"])
    facts.append(["problems", str(len(found.problems)) if found.problems else "none found"])
    print_table(Table("", ["dataset", found.path], facts, text_columns=(0, 1)))
    if found.ef:
        bins = enumerate(found.ef_histogram)
        most = max(found.ef_histogram)
        rows = [[f"{10 * k}-{10 * k + 10}", str(count), "#" * round(BAR * count / most)] for k, count in bins]
        print()
        print_table(Table("", ["EF (%)", "clips", ""], rows, text_columns=(0, 2)))
    for problem in found.problems:
        print(f"- {problem}")
