"""`echosynth augment CONFIG`: plan, generate, gate and write a synthetic dataset; the same command again continues."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_config, add_device, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_config(parser, "augmentation/fill_histogram")
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Augment and return the object of `--json`."""
    from echosynth.augmentation.augment import AugmentConfig, augment
    from echosynth.commands.console import TerminalProgress, configure_logging
    from echosynth.config import load_config
    from echosynth.report.figures import ef_histogram, write_figure

    config = load_config(args.config, AugmentConfig, args.set)
    if args.device != "auto":
        config = config.model_copy(update={"device": args.device})
    out = args.out or Path("runs") / config.name
    result = augment(config, out, TerminalProgress(configure_logging()))
    histogram = out / "histogram.png"
    write_figure(histogram, ef_histogram(result.real_ef, result.real_ef + result.synthetic_ef))
    if not args.json:
        print(f"{result.accepted} of {result.planned} planned clips accepted in {result.attempts} attempts")
        print(f"dataset: {result.dataset}   histogram: {histogram}")
    return result.to_dict()
