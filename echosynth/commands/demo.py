"""`echosynth demo`: a real A4C frame and two phantom patients, each at EF 25, 45 and 65, on one page."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_device, add_json, add_models, config_from_options

INTRO = "One frame in, the clip that this heart would show at EF 25, 45 and 65 % out. Each was measured twice."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder of the run (default runs/demo)")
    parser.add_argument("--seed", type=int, default=0, help="root seed (default 0)")
    parser.add_argument("--max-attempts", type=int, default=4, help="attempts per clip (default 4)")
    add_models(parser)
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make the demo's clips and page; return the object of `--json`, with the keys of `generate`."""
    from echosynth.commands.console import TerminalProgress, configure_logging, print_table
    from echosynth.evaluation.demo import DemoConfig, demo
    from echosynth.report.gallery import sample_table, write_gallery

    options = {name: getattr(args, name) for name in DemoConfig.model_fields}
    result = demo(config_from_options(DemoConfig, **options), args.out, TerminalProgress(configure_logging()))
    page = write_gallery(result.generated, "echosynth demo", INTRO, result.truths, result.notes)
    if not args.json:
        print_table(sample_table(result.generated))
        print(f"\nopen {page.resolve()}")
    return result.to_dict() | {"page": str(page)}
