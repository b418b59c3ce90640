"""`echosynth simulate OUT`: phantom patients as a dataset in EchoNet format, with exact labels and counterfactuals."""

import argparse
import os
from pathlib import Path
from typing import Any, get_args

from echosynth.commands.options import add_json
from echosynth.phantom.kinds import EFDistribution, Heart, Quality, Rhythm, ViewFamily

_NOT_CONFIG = ("out", "workers", "json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder of the dataset; the same command continues it")
    add("--patients", type=int, required=True, metavar="N", help="how many patients")
    add("--seed", type=int, default=0, metavar="S", help="patients have the seeds S, S+1, ... (default 0)")
    add(
        "--counterfactual",
        type=float,
        action="extend",
        nargs="+",
        default=[],
        metavar="EF",
        help="render every patient at these EFs too, per cent",
    )
    add("--ef-distribution", choices=get_args(EFDistribution), default="echonet", help="of the factual EF")
    add("--frames", type=int, help="of a clip (default: drawn like EchoNet-Dynamic's, 175 on average)")
    add("--fps", type=float, help="Hz (default: drawn like EchoNet-Dynamic's, 51 on average)")
    add("--size", type=int, default=112, help="side of the picture, pixels (default 112)")
    add("--lossless", action="store_true", help="FFV1 instead of EchoNet-Dynamic's motion JPEG")
    add("--quality", choices=get_args(Quality), help="of the pictures (default: all levels)")
    add(
        "--views",
        choices=get_args(ViewFamily),
        default="echonet",
        help="kind of scanner and hand (default echonet)",
    )
    add(
        "--hearts",
        choices=get_args(Heart),
        default="any",
        help="kind of hearts; apical, septal, lateral: that wall is dead, EF up to 70; global: all weak, EF up to 45 "
        "(default any)",
    )
    add("--rhythm", choices=get_args(Rhythm), default="sinus", help="default sinus")
    add("--remodel", action="store_true", help="weak ventricles are large, as in populations")
    add("--masks", action="store_true", help="also label every pixel: cavity, myocardium, left atrium")
    add(
        "--motion",
        action="store_true",
        help="also write every pixel's displacement and every frame's volume",
    )
    add(
        "--no-bulk-motion",
        dest="bulk_motion",
        action="store_false",
        help="hearts that move only as far as they contract: no swinging, rocking, breath and hand",
    )
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes; changes nothing but the time")
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Simulate, telling progress on stderr."""
    from echosynth.commands.console import TerminalProgress, configure_logging
    from echosynth.commands.options import config_from_options
    from echosynth.errors import ConfigError
    from echosynth.phantom.plan import SimulateConfig
    from echosynth.phantom.simulate import simulate

    values = {name: value for name, value in vars(args).items() if name not in _NOT_CONFIG}
    config = config_from_options(SimulateConfig, **values)
    if args.workers < 1:
        raise ConfigError(f"--workers: must be at least 1, got {args.workers}")
    result = simulate(config, args.out, args.workers, TerminalProgress(configure_logging()))
    splits = ", ".join(f"{name} {count}" for name, count in result.splits.items())
    print(f"{result.clips} clips of {result.patients} phantom patients in {result.run} ({splits})")
    return result.to_dict()
