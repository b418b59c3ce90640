"""What a process runs on, which one it is of those that were launched together, and how loud its libraries are."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers.utils import logging as diffusers_logging

from echosynth.errors import ConfigError


def choose_device(asked: str) -> str:
    """Return "cpu" or "cuda"; "auto" takes the GPU if there is one.

    Raises:
        ConfigError: CUDA was asked for and there is none.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: no CUDA device was found; use --device cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


@dataclass(frozen=True)
class Place:
    """Which process this is of those that one launch (`accelerate launch`, `torchrun`) started.

    Attributes:
        index: 0 for the first, which talks for all.
        count: processes of the launch, on all machines.
        local_index: the same among those of this machine.
        local_count: processes on this machine.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0
    local_count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process talks for all."""
        return self.index == 0


def process_place() -> Place:
    """Return the place that the launcher wrote into the environment; alone if there was none.

    Raises:
        ConfigError: the environment names no place.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    try:
        index, count, local_index, local_count = (int(os.environ.get(name, k % 2)) for k, name in enumerate(names))
    except ValueError:
        index = count = local_index = local_count = -1
    if not (0 <= index < count and 0 <= local_index < local_count):
        given = ", ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
        raise ConfigError(f"the environment names no process ({given}); launch with accelerate or torchrun")
    return Place(index, count, local_index, local_count)


def settle(place: Place) -> None:
    """Take a GPU, or a share of the processors, of its own for a process that was launched with others."""
    if torch.cuda.is_available():
        torch.cuda.set_device(place.local_index % torch.cuda.device_count())
    elif place.local_count > 1:  # launchers give each process one thread, however many processors there are
        torch.set_num_threads(max(1, _processors() // place.local_count))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread in the block: the last bits of a convolution depend on how many share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quiet_diffusers() -> Iterator[None]:
    """Keep diffusers' own bars and hints off the terminal while something is loaded or saved; its errors stay."""
    verbosity, bars = diffusers_logging.get_verbosity(), diffusers_logging.is_progress_bar_enabled()
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")
            yield
    finally:
        diffusers_logging.set_verbosity(verbosity)
        if bars:
            diffusers_logging.enable_progress_bar()
