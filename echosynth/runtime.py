"""What a process runs on, and how loud the libraries below it are."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

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
