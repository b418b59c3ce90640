"""`echosynth adapt FOLDER --out DIR`: readers tuned to a scanner from clips of it that nobody has labelled."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_json, config_from_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    add = parser.add_argument
    add("source", type=Path, metavar="FOLDER", help="clips of one scanner: a dataset, or a folder of files")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the run; the same command continues it")
    add("--regressor", action="extend", nargs="+", help="bundled readers to tune (default: the panel and the judge)")
    add("--clips", type=int, default=200, metavar="N", help="measure at most so many (default: %(default)s)")
    add("--candidates", type=int, default=1024, metavar="N", help="phantoms to choose from (default: %(default)s)")
    add("--patients", type=int, default=512, metavar="N", help="phantoms to learn from (default: %(default)s)")
    add("--steps", type=int, default=300, metavar="N", help="of every reader's training (default: %(default)s)")
    add("--workers", type=int, default=2, metavar="N", help="processes that render (default: %(default)s)")
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, match and train, telling progress on stderr."""
    from echosynth.commands.console import TerminalProgress, configure_logging, print_table
    from echosynth.report.tables import change_table
    from echosynth.training.adaptation.adapt import AdaptConfig, adapt

    config = config_from_options(
        AdaptConfig,
        source=args.source,
        clips=args.clips,
        candidates=args.candidates,
        patients=args.patients,
        steps=args.steps,
        workers=args.workers,
        **({"regressors": args.regressor} if args.regressor else {}),
    )
    result = adapt(config, args.out, TerminalProgress(configure_logging()))
    if not args.json:
        table = change_table(result.changes)
        print(table.title)
        print_table(table)
        for name, folder in result.models.items():
            print(f"{name}: echosynth measure CLIP --regressor {folder}")
    return result.to_dict()
