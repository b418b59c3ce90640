"""`echosynth augment CONFIG`: plan, generate, gate and write a synthetic dataset; the same command again continues.

`augment status OUT` says how far a run is, `augment merge OUT` completes one whose shards are finished.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echosynth.commands.options import add_config, add_device, add_json
from echosynth.errors import ConfigError

if TYPE_CHECKING:
    from echosynth.augmentation.augment import AugmentResult, AugmentStatus
    from echosynth.augmentation.augment_config import AugmentConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_config(parser, "augmentation/fill_histogram")
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        metavar="OUT",
        help="with the word status or merge in place of CONFIG: the run to tell of, or to complete",
    )
    parser.add_argument(
        "--shard",
        metavar="K/N",
        help="make the K-th of N shares of the plan alone, beside others on machines that share the disk "
        "(default: in a Slurm job array, the task's)",
    )
    parser.add_argument(
        "--format",
        choices=("echonet", "webdataset"),
        help="a folder of videos in EchoNet format, or tars of a thousand clips (default: as the config says)",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this process and those that were launched with it (default), or a Ray cluster's: the one that "
        "RAY_ADDRESS names, else this machine",
    )
    parser.add_argument(
        "--estimate", action="store_true", help="instead: attempts, hours, bytes and files it will take"
    )
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Augment and return the object of `--json`."""
    from echosynth.augmentation.augment import augment, augmentation_status, merge_augmentation
    from echosynth.augmentation.augment_config import AugmentConfig
    from echosynth.commands.console import TerminalProgress, configure_logging
    from echosynth.config import load_config
    from echosynth.runtime import process_place
    from echosynth.storage.shard import Shard

    if args.folder and args.config.name == "status":
        return tell_status(augmentation_status(args.folder), args.json)
    if args.folder and args.config.name == "merge":
        return tell(merge_augmentation(args.folder), args.json)
    if args.folder:
        raise ConfigError(f"{args.folder}: a folder follows 'augment status' or 'augment merge'; else give it by --out")
    config = load_config(args.config, AugmentConfig, args.set)
    changes = {"device": args.device} if args.device != "auto" else {}
    changes |= {"format": args.format} if args.format else {}
    config = AugmentConfig(**{**config.model_dump(), **changes})
    if args.estimate:
        return tell_estimate(config, args.json)
    out = args.out or Path("runs") / config.name
    if args.shard is not None and args.engine == "ray":
        raise ConfigError("--shard shares the plan among machines, which Ray does itself: leave it out")
    shard = Shard.parse(args.shard) if args.shard is not None else Shard.of_slurm_array()
    result = augment(config, out, shard, args.engine, TerminalProgress(configure_logging()))
    return tell(result, args.json) if process_place().is_first else 0


def tell(result: "AugmentResult", as_json: bool) -> dict[str, Any]:
    """Draw the histogram of a complete run, print what was made, and return it."""
    from echosynth.report.figures import ef_histogram, write_figure

    if result.parts_left:
        if not as_json:
            print(f"this shard is finished; {result.parts_left} parts of {result.run} are left to others")
        return result.to_dict()
    histogram = result.run / "histogram.png"
    write_figure(histogram, ef_histogram(result.real_ef, result.real_ef + result.synthetic_ef))
    if not as_json:
        print(f"{result.accepted} of {result.planned} planned clips accepted in {result.attempts} attempts")
        print(f"dataset: {result.dataset}   histogram: {histogram}")
    return result.to_dict()


def tell_estimate(config: "AugmentConfig", as_json: bool) -> dict[str, Any]:
    """Print what a run will take, and return it."""
    from echosynth.benchmark.augment_cost import estimate_augmentation

    cost = estimate_augmentation(config)
    if not as_json:
        rate = "not known, taken to be none" if cost.acceptance is None else f"{100 * cost.acceptance:.0f} %"
        hours = ", ".join(f"{hours:.3g} h on {n}" for n, hours in cost.hours.items())
        print(f"{cost.clips} clips planned in {cost.parts} parts; accepted attempts: {rate}")
        print(f"expected: {cost.attempts:.0f} attempts, {cost.passes:.3g} network passes, {cost.accepted:.0f} clips")
        print(f"{cost.seconds:.2f} s an attempt on this {cost.device}: {hours} of them")
        print(f"{cost.gigabytes:.3g} GB in {cost.files} files")
    return cost.to_dict()


def tell_status(status: "AugmentStatus", as_json: bool) -> dict[str, Any]:
    """Print how far a run is, and return it."""
    if not as_json:
        counts, left = status.counts, len(status.unfinished)
        print(f"{counts.samples} of {status.planned} planned clips are finished, {counts.accepted} accepted")
        print(f"{counts.attempts} attempts in {counts.seconds / 3600:.2f} hours of all processes")
        print(f"{left} of {status.parts} parts are unfinished, {len(status.held)} of them in work")
    return status.to_dict()
