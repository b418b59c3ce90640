"""`echosynth train CONFIG`: train a cascade or a regressor; the config's `kind` says which. Running it again resumes.

With several processes (`torchrun` or `accelerate launch`, `-m echosynth train ...`) only the first one talks.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from echosynth.config import load_config
from echosynth.errors import ConfigError, EchosynthError
from echosynth.storage.provenance import save_resolved
from echosynth.storage.run_folder import release

if TYPE_CHECKING:
    from echosynth.training.cascade import CascadeConfig
    from echosynth.training.regressor import RegressorConfig

KINDS = ("cascade", "regressor")


class _Kind(BaseModel):
    """The one key that is read before the right model is known."""

    model_config = ConfigDict(extra="allow")
    kind: str


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


def load_training_config(path: Path, overrides: Sequence[str] = ()) -> "CascadeConfig | RegressorConfig":
    """Read a training config strictly, by its `kind`.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong.
    """
    from echosynth.training.cascade import CascadeConfig
    from echosynth.training.regressor import RegressorConfig

    kind = load_config(path, _Kind, overrides).kind
    if kind == "cascade":
        return load_config(path, CascadeConfig, overrides)
    if kind == "regressor":
        return load_config(path, RegressorConfig, overrides)
    raise ConfigError(f"{path}: key 'kind': must be one of {', '.join(KINDS)} to be trained, got {kind!r}")


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Train what is not finished."""
    from echosynth.augmentation.loaded import silence_diffusers
    from echosynth.training.cascade import CascadeConfig, train_cascade
    from echosynth.training.engine.run import check_trackers, choose_precision
    from echosynth.training.regressor import check_fit, train_regressor

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
