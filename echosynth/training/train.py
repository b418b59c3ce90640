"""The verb `train`: a config says by its `kind` whether a cascade or a regressor is trained."""

from collections.abc import Sequence
from pathlib import Path

from echosynth.config import load_config
from echosynth.errors import ConfigError
from echosynth.storage.config_file import read_config
from echosynth.training.cascade import CascadeConfig
from echosynth.training.regressor import RegressorConfig

KINDS: dict[str, type[CascadeConfig] | type[RegressorConfig]] = {"cascade": CascadeConfig, "regressor": RegressorConfig}


def load_training_config(path: str | Path, overrides: Sequence[str] = ()) -> CascadeConfig | RegressorConfig:
    """Read a training config strictly, by its `kind`.

    Args:
        path: YAML file.
        overrides: "a.b=1" each.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong.
    """
    kind = read_config(path).get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{path}: key 'kind': must be one of {', '.join(KINDS)} to be trained, got {kind!r}")
    return load_config(path, KINDS[kind], overrides)
