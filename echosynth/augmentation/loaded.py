"""The way to models before `storage.model_store.resolve`; it goes when nobody uses it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from echosynth.diffusion.loading import DEFAULT_CASCADE, load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.errors import ConfigError
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE, load_regressor
from echosynth.runtime import choose_device, silence_diffusers
from echosynth.storage.model_store import find_model, weights_hash

__all__ = ["DEFAULT_CASCADE", "DEFAULT_GATE", "DEFAULT_JUDGE", "choose_device", "identify", "open_cascade"]
__all__ += ["open_regressor", "refuse_judge_as_gate", "silence_diffusers"]


ModelT = TypeVar("ModelT")


@dataclass(frozen=True, eq=False)
class LoadedModel(Generic[ModelT]):
    """A model with its name and the hash of its weights."""

    name: str
    weights: str
    model: ModelT


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
