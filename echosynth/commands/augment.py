"""`echosynth augment CONFIG`: plan, generate, gate and write a synthetic dataset; the same command again continues."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_config, add_device, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_config(parser, "augmentation/fill_histogram")
    parser.add_argument(
        "--shard",
        metavar="K/N",
        help="make the K-th of N shares of the plan alone, beside others on machines that share the disk "
        "(default: in a Slurm job array, the task's)",
    )
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Augment and return the object of `--json`."""
    from echosynth.augmentation.augment import AugmentConfig, augment
    from echosynth.commands.console import TerminalProgress, configure_logging
    from echosynth.config import load_config
    from echosynth.report.figures import ef_histogram, write_figure
    from echosynth.runtime import process_place
    from echosynth.storage.shard import Shard

    config = load_config(args.config, AugmentConfig, args.set)
    if args.device != "auto":
        config = config.model_copy(update={"device": args.device})
    out = args.out or Path("runs") / config.name
    shard = Shard.parse(args.shard) if args.shard else Shard.of_slurm_array()
    result = augment(config, out, TerminalProgress(configure_logging()), shard)
    if not process_place().is_first:
        return 0
    if result.parts_left:
        if not args.json:
            print(f"shard {shard} is finished; {result.parts_left} parts of {out} are left to other shards")
        return result.to_dict()
    histogram = out / "histogram.png"
    write_figure(histogram, ef_histogram(result.real_ef, result.real_ef + result.synthetic_ef))
    if not args.json:
        print(f"{result.accepted} of {result.planned} planned clips accepted in {result.attempts} attempts")
        print(f"dataset: {result.dataset}   histogram: {histogram}")
    return result.to_dict()
