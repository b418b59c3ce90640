"""`echosynth train CONFIG`: train a cascade or a regressor; the config's `kind` says which. Running it again resumes.

With several processes (`torchrun` or `accelerate launch`, `-m echosynth train ...`) only the main one talks.
"""

import argparse
from typing import Any

from echosynth.commands.options import add_config, add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    add_config(parser, "diffusion/phantom_small")
    parser.add_argument("--resume", action="store_true", help="accepted for clarity; a run always resumes")
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Train what is not finished, telling progress on stderr."""
    from accelerate import PartialState

    from echosynth.commands.console import TerminalProgress, configure_logging
    from echosynth.training.train import load_training_config, train

    progress = TerminalProgress(configure_logging())
    result = train(load_training_config(args.config, args.set), args.out, progress)
    if not PartialState().is_main_process:
        return 0
    print(f"trained: {result.model}" if result.model else f"{result.run}: some parts are not trained yet")
    return result.to_dict()
