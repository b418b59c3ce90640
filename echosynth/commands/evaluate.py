"""`echosynth evaluate CONFIG`: how well a cascade follows the EF that it is asked for, as JSON, figures and a page."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_config, add_device, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_config(parser, "evaluation/phantom_test")
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Evaluate and return the object of `--json`."""
    from echosynth.commands.console import TerminalProgress, configure_logging, print_table
    from echosynth.config import load_config
    from echosynth.evaluation.config import EvaluateConfig
    from echosynth.evaluation.runner import SCORES, evaluate
    from echosynth.report.evaluation_page import write_evaluation_page
    from echosynth.report.tables import evaluation_tables
    from echosynth.runtime import process_place

    config = load_config(args.config, EvaluateConfig, args.set)
    if args.device != "auto":
        config = config.model_copy(update={"device": args.device})
    out = args.out or Path("runs") / config.name
    result = evaluate(config, out, TerminalProgress(configure_logging()))
    if not process_place().is_first:
        return 0
    page = write_evaluation_page(out, config.name, result)
    content = result.to_dict()
    if not args.json:
        for table in evaluation_tables(content):
            print(f"\n{table.title}")
            print_table(table)
        print(f"\nscores: {out / SCORES}   page: {page}")
    return content
