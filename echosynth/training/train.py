"""The verb `train`: a config says by its `kind` whether a cascade or a regressor is trained.

result = train(load_training_config("configs/diffusion/phantom_small.yaml"), Path("runs/phantom_small"))
"""

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from echosynth.config import load_config
from echosynth.errors import ConfigError
from echosynth.progress import SILENT, Progress
from echosynth.storage.config_file import read_config
from echosynth.storage.run_folder import RunFolder
from echosynth.training.cascade import CascadeConfig, train_cascade
from echosynth.training.engine.optim import choose_precision
from echosynth.training.engine.schedule import check_trackers
from echosynth.training.regressor import RegressorConfig, check_fit, train_regressor

KINDS: dict[str, type[CascadeConfig] | type[RegressorConfig]] = {"cascade": CascadeConfig, "regressor": RegressorConfig}
MAY_CHANGE = ("pace", "*.workers")
MAY_RISE = ("optim.steps", "*.optim.steps")


@dataclass(frozen=True)
class TrainResult:
    """What a training has made.

    Attributes:
        run: the run's folder.
        kind: "cascade" or "regressor".
        model: folder of the finished model; None while some parts of a cascade are not trained.
        seconds: that this start took.
    """

    run: Path
    kind: str
    model: Path | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The `--json` object."""
        model = None if self.model is None else str(self.model)
        return {"run": str(self.run), "kind": self.kind, "model": model, "seconds": round(self.seconds, 2)}


def load_training_config(path: str | Path, overrides: Sequence[str] = ()) -> CascadeConfig | RegressorConfig:
    """Read a training config strictly, by its `kind`.

    Args:
        path: YAML file.
        overrides: "a.b=1" each.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong.
    """
    values = read_config(path)
    if "kind" not in values:
        raise ConfigError(f"{path}: key 'kind' is missing")
    kind = values["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{path}: key 'kind': must be one of {', '.join(KINDS)} to be trained, got {kind!r}")
    return load_config(path, KINDS[kind], overrides)


def train(
    config: CascadeConfig | RegressorConfig, out: str | Path | None = None, progress: Progress = SILENT
) -> TrainResult:
    """Train what is not finished in a folder; the same call continues a training that was interrupted.

    `optim.steps` may be raised: what was finished with fewer steps learns on from its last checkpoint. All processes of
    a launch (torchrun, `accelerate launch`) call this together; the main one alone logs and shows progress.

    Args:
        config: what to train.
        out: the run's folder; None for runs/<name of the config>.
        progress: counts clips that are rendered or decoded, and steps.

    Raises:
        ConfigError: the config cannot be trained, or not on this machine.
        CheckpointError: an `init` holds no weights or weights of another shape, or a checkpoint is of another config.
        DatasetError: a dataset cannot be read, or has no clips that can be used.
        MissingDependencyError: a tracker of the log is not installed.
        OutputError: the folder holds another run, another process works in it, or the system refused to write.
    """
    began = time.monotonic()
    check_machine(config)
    out = Path("runs") / config.name if out is None else Path(out)
    is_main = PartialState(cpu=not torch.cuda.is_available()).is_main_process
    if not is_main:
        logging.getLogger("echosynth.training").setLevel(logging.WARNING)
        progress = SILENT
    # `only` says what to do now, not what the run is: the parts of a cascade may be trained one by one, on as many
    # machines at once as there are parts; each holds its own.
    one_by_one = isinstance(config, CascadeConfig) and config.only is not None
    kept = config.model_copy(update={"only": None}) if one_by_one else config
    run = RunFolder.open(out, "train", kept, may_change=MAY_CHANGE, may_rise=MAY_RISE, shared=one_by_one)
    with run if is_main else nullcontext():
        model: Path | None
        if isinstance(config, CascadeConfig):
            model = train_cascade(config, out, progress)
        else:
            model = train_regressor(config, out, progress)
    return TrainResult(out, config.kind, model, time.monotonic() - began)


def check_machine(config: CascadeConfig | RegressorConfig) -> None:
    """Check what can be checked before a folder is made and clips are rendered or decoded.

    Raises:
        ConfigError: a regressor cannot be built or its clips not be cut, or this machine lacks a precision.
        MissingDependencyError: a tracker of the log is not installed.
    """
    check_trackers(config.pace)
    if isinstance(config, CascadeConfig):
        for name, part in config.parts.items():
            choose_precision(name, part.config.optim)
    else:
        choose_precision(config.name, config.optim)
        check_fit(config, config.build().contract)
