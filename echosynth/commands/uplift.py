"""`echosynth uplift CONFIG`: does training with synthetic clips help? Arms and repetitions of regressors, compared."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_config, add_device, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_config(parser, "uplift/hospital")
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train, test, compare, and return the object of `--json`."""
    from echosynth.commands.console import TerminalProgress, configure_logging, print_table
    from echosynth.config import load_config
    from echosynth.evaluation.uplift.config import UpliftConfig
    from echosynth.evaluation.uplift.runner import SCORES, uplift
    from echosynth.report.uplift_page import uplift_tables, write_uplift_page

    config = load_config(args.config, UpliftConfig, args.set)
    if args.device != "auto":
        config = config.model_copy(update={"device": args.device})
    out = args.out or Path("runs") / config.name
    result = uplift(config, out, TerminalProgress(configure_logging()))
    page = write_uplift_page(out, config.name, result)
    if not args.json:
        for table in uplift_tables(result):
            print(f"\n{table.title}")
            print_table(table)
        print(f"\nscores: {out / SCORES}   page: {page}")
    return result.to_dict()
