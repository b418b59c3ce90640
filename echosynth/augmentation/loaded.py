"""Names -> loaded models with the hashes that go into manifests. Bytes are verified by the loaders."""

import warnings

import torch
from diffusers.utils import logging as diffusers_logging

from echosynth.augmentation.generate import LoadedModel
from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import ConfigError
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE, load_regressor
from echosynth.storage.model_store import find_model, weights_hash

__all__ = ["DEFAULT_CASCADE", "DEFAULT_GATE", "DEFAULT_JUDGE", "choose_device", "identify", "open_cascade"]
__all__ += ["open_regressor", "refuse_judge_as_gate", "silence_diffusers"]


def choose_device(asked: str) -> str:
    """Return "cpu" or "cuda"; "auto" takes the GPU if there is one.

    Raises:
        ConfigError: CUDA was asked for and there is none.
    """
    if asked == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: no CUDA device was found; use --device cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if asked == "auto" else asked


def identify(name_or_dir: str) -> tuple[str, str]:
    """Return name and weights' hash of a model without loading it.

    Raises:
        CheckpointError: there is no such model, or it has no weights.
    """
    folder = find_model(name_or_dir).resolve()
    # Training leaves RUN/NAME/model and NAME/pipeline: the folder above says which one it is.
    name = folder.parent.name if folder.name in ("model", "pipeline") else folder.name
    return name, weights_hash(folder)


def refuse_judge_as_gate(gate: str, judge: str) -> None:
    """Raise ConfigError if two names mean the same weights: a score by the chooser is no score."""
    if identify(gate)[1] == identify(judge)[1]:
        raise ConfigError(f"the judge must not be the gate, and '{gate}' and '{judge}' are the same weights")


def open_cascade(name_or_dir: str, device: str) -> LoadedModel[EchoCascadePipeline]:
    """Load a cascade; see `load_cascade`."""
    silence_diffusers()
    return LoadedModel(*identify(name_or_dir), load_cascade(name_or_dir, device))


def open_regressor(name_or_dir: str, device: str) -> LoadedModel[EFRegressor]:
    """Load a regressor; see `load_regressor`."""
    silence_diffusers()
    return LoadedModel(*identify(name_or_dir), load_regressor(name_or_dir, device))


def silence_diffusers() -> None:
    """Keep diffusers' own bars and hints off the terminal; its errors stay."""
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")
