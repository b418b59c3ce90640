"""`echosynth simulate OUT`: phantom patients as a dataset in EchoNet format, with exact labels and counterfactuals."""

import argparse
import os
import time
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the dataset; the same command continues it")
    parser.add_argument("--patients", type=int, required=True, metavar="N", help="how many patients")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="patients have the seeds S, S+1, ... (default 0)"
    )
    parser.add_argument(
        "--counterfactual",
        type=float,
        action="extend",
        nargs="+",
        default=[],
        metavar="EF",
        help="render every patient at these EFs too, per cent",
    )
    parser.add_argument(
        "--ef-distribution", choices=("echonet", "uniform"), default="echonet", help="of the factual EF"
    )
    parser.add_argument("--frames", type=int, help="of a clip (default: drawn like EchoNet-Dynamic's, 175 on average)")
    parser.add_argument("--fps", type=float, help="Hz (default: drawn like EchoNet-Dynamic's, 51 on average)")
    parser.add_argument("--size", type=int, default=112, help="side of the picture, pixels (default 112)")
    parser.add_argument("--lossless", action="store_true", help="FFV1 instead of EchoNet-Dynamic's motion JPEG")
    parser.add_argument(
        "--quality", choices=("excellent", "good", "medium", "poor"), help="of the pictures (default: all levels)"
    )
    parser.add_argument(
        "--views",
        choices=("echonet", "camus", "point-of-care", "wide"),
        default="echonet",
        help="kind of scanner and hand (default echonet)",
    )
    parser.add_argument(
        "--hearts",
        choices=("any", "normal", "dilated", "hypertrophic", "regional", "apical", "septal", "lateral", "global"),
        default="any",
        help="kind of hearts; apical, septal, lateral: that wall is dead, EF up to 70; global: all weak, EF up to 45 "
        "(default any)",
    )
    parser.add_argument(
        "--rhythm",
        choices=("sinus", "atrial fibrillation", "premature beats"),
        default="sinus",
        help="default sinus",
    )
    parser.add_argument("--remodel", action="store_true", help="weak ventricles are large, as in populations")
    parser.add_argument("--masks", action="store_true", help="also label every pixel: cavity, myocardium, left atrium")
    parser.add_argument(
        "--motion", action="store_true", help="also tell how every pixel's tissue has moved, and every frame's volume"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes; changes nothing but the time"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Simulate, telling progress on stderr."""
    from pydantic import ValidationError

    from echosynth.errors import ConfigError
    from echosynth.phantom.plan import SimulateConfig
    from echosynth.phantom.simulate import simulate
    from echosynth.progress import Reporter

    try:
        config = SimulateConfig(
            patients=args.patients,
            seed=args.seed,
            counterfactual=tuple(args.counterfactual),
            ef_distribution=args.ef_distribution,
            frames=args.frames,
            fps=args.fps,
            size=args.size,
            lossless=args.lossless,
            quality=args.quality,
            views=args.views,
            hearts=args.hearts,
            rhythm=args.rhythm,
            remodel=args.remodel,
            masks=args.masks,
            motion=args.motion,
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        message = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            raise ConfigError(message) from None
        option = "--" + str(fault["loc"][0]).replace("_", "-")
        raise ConfigError(f"{option}: {message}, got {fault['input']}") from None
    if args.workers < 1:
        raise ConfigError(f"--workers: must be at least 1, got {args.workers}")
    began = time.monotonic()
    total = args.patients * (1 + len(config.counterfactual))
    with Reporter(total, "rendering") as reporter:
        result = simulate(config, args.out, args.workers, lambda done, of: reporter.step())
    splits = ", ".join(f"{name} {count}" for name, count in result["splits"].items())
    print(f"{result['clips']} clips of {result['patients']} phantom patients in {result['run']} ({splits})")
    return result | {"seconds": round(time.monotonic() - began, 2)}
