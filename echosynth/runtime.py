"""What a process runs on, and how loud the libraries below it are."""

import warnings

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


def silence_diffusers() -> None:
    """Keep diffusers' own bars and hints off the terminal; its errors stay."""
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")
