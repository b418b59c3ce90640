"""How often a training run logs, validates and saves, and where its log goes."""

import importlib.util
from typing import Literal

from echosynth.config import StrictModel
from echosynth.errors import MissingDependencyError


class LogSchedule(StrictModel):
    """How often a run logs, validates and saves, in optimiser steps.

    Attributes:
        log_every: lines of the log.
        validate_every: validation loss and preview; 0 never.
        save_every: checkpoints.
        validation_batches: fixed batches that the validation loss is the mean of.
        keep_best: finish with the weights that had the least validation loss instead of the last ones, where data are
            few and a network may learn them by heart.
        trackers: other places for the lines of the log: "tensorboard" writes beside it, "wandb" sends them away.
    """

    log_every: int = 20
    validate_every: int = 500
    save_every: int = 500
    validation_batches: int = 8
    keep_best: bool = False
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = ()


def check_trackers(schedule: LogSchedule) -> None:
    """Raise MissingDependencyError if a tracker's package is missing: Accelerate would leave it out in silence."""
    for name in schedule.trackers:
        if importlib.util.find_spec(name) is None:
            raise MissingDependencyError(f"{name} is not installed; install it with: pip install 'echosynth[trackers]'")
