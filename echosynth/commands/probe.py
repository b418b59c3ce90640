"""`echosynth probe DATASET --fact infarction`: what embeddings know of a fact, frozen and fine-tuned."""

import argparse
from pathlib import Path
from typing import Any

from echosynth.commands.options import add_device, add_json, config_from_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("dataset", type=Path, help="dataset folder, e.g. HMC-QU")
    parser.add_argument(
        "--fact", default="infarction", help='what is predicted: "yes" or "no" in its tables (default: %(default)s)'
    )
    parser.add_argument("--view", choices=("A4C", "A2C", "PSAX"), help="of a dataset that has several (default: A4C)")
    parser.add_argument(
        "--regressor", action="extend", nargs="+", help="names or folders (default: the bundled gate and judge)"
    )
    parser.add_argument("--folds", type=int, default=5, help="parts of the cross-validation (default: %(default)s)")
    parser.add_argument(
        "--fine-tune",
        type=int,
        default=0,
        metavar="STEPS",
        help="then train the whole network, per part (default: 0)",
    )
    add_device(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Embed, cross-validate, and return the object of `--json`."""
    from echosynth.commands.console import TerminalProgress, configure_logging, print_table
    from echosynth.evaluation.probe import ProbeConfig, probe
    from echosynth.report.tables import probe_table

    config = config_from_options(
        ProbeConfig,
        dataset=args.dataset,
        fact=args.fact,
        view=args.view,
        folds=args.folds,
        fine_tune=args.fine_tune,
        device=args.device,
        **({"regressors": args.regressor} if args.regressor else {}),
    )
    result = probe(config, TerminalProgress(configure_logging()))
    if not args.json:
        table = probe_table(result.to_dict())
        print(table.title)
        print_table(table)
    return result.to_dict()
