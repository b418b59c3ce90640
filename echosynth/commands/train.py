"""`echosynth train CONFIG`: train a cascade or a regressor; the config's `kind` says which. Running it again resumes.

With several processes (`torchrun` or `accelerate launch`, `-m echosynth train ...`) only the first one talks.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from echosynth.errors import EchosynthError
from echosynth.storage.provenance import save_resolved
from echosynth.storage.run_folder import release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="YAML file, e.g. configs/diffusion/phantom_small.yaml"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key, e.g. optim.lr=1e-4; repeatable",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder (default runs/<name of the config>)")
    parser.add_argument("--resume", action="store_true", help="accepted for clarity; a run always resumes")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Train what is not finished."""
    from echosynth.augmentation.loaded import silence_diffusers
    from echosynth.training.cascade import CascadeConfig, train_cascade
    from echosynth.training.engine.run import check_trackers, choose_precision
    from echosynth.training.regressor import check_fit, train_regressor
    from echosynth.training.train import load_training_config

    silence_diffusers()
    config = load_training_config(args.config, args.set)
    if not isinstance(config, CascadeConfig):
        check_fit(config, config.build().contract)  # before the folder is claimed: what is mended may use it
    check_trackers(config.pace)
    for name, part in (config.parts if isinstance(config, CascadeConfig) else {config.name: config}).items():
        choose_precision(name, part.optim)  # before clips are rendered or decoded
    out: Path = args.out or Path("runs") / config.name
    main = int(os.environ.get("RANK", "0")) == 0
    began = time.monotonic()

    def report(line: str) -> None:
        if main:
            print(line, file=sys.stderr, flush=True)

    if main:
        # `only` says what to do now, not what the run is: the stages of one cascade may be trained one by one.
        save_resolved(config.model_copy(update={"only": None}) if isinstance(config, CascadeConfig) else config, out)
    model: Path | None
    try:
        if isinstance(config, CascadeConfig):
            model = train_cascade(config, out, report)
        else:
            model = train_regressor(config, out, report)
    except EchosynthError:
        if main:
            release(out)
        raise
    if not main:
        return 0
    print(f"trained: {model}" if model else f"{out}: some stages are not trained yet")
    return {
        "run": str(out),
        "kind": config.kind,
        "model": str(model) if model else None,
        "seconds": round(time.monotonic() - began, 2),
    }
