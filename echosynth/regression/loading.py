"""Open a regressor by name, after its hashes were checked."""

from pathlib import Path

import torch

from echosynth.errors import CheckpointError
from echosynth.regression.base import EFRegressor
from echosynth.regression.coreecho import CoReEcho
from echosynth.regression.echo_e3net import EchoE3Net
from echosynth.regression.frame_aware import FrameAware
from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.regression.mcsdr import MCSDR
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.runtime import quiet_diffusers
from echosynth.storage.model_files import LOADING_FAULTS, first_line, read_json_object
from echosynth.storage.model_ref import ModelRef, resolve

SYSTEMS = (R2Plus1D, FrameTransformer, EchoE3Net, CoReEcho, MCSDR, FrameAware)
REGRESSORS: dict[str, type[EFRegressor]] = {system.__name__: system for system in SYSTEMS}
HIGHEST = {"fps": 1000, "frames": 4096, "size": 1024}  # of what it is shown: Hz, frames, pixels
DEFAULT_GATE = "echo_e3net_small"
DEFAULT_JUDGE = "judge_frame_transformer"


def load_regressor(model: str | Path | ModelRef, device: str = "cpu") -> EFRegressor:
    """Load a bundled or added regressor, or one from a folder that training or `save_pretrained` wrote.

    Args:
        model: name, folder, or what `resolve` returned; the last is not hashed again.
        device: where it runs.

    Raises:
        CheckpointError: it is unknown, incomplete, no regressor, or its hashes are not the published ones.
    """
    folder = resolve(model, "regressor").folder
    config = read_json_object(folder / "config.json")
    name = config.get("_class_name")
    if not isinstance(name, str) or name not in REGRESSORS:
        raise CheckpointError(f"{folder} holds a {name}, not one of {', '.join(REGRESSORS)}")
    for key, highest in HIGHEST.items():  # or a config of some bytes makes windows of gigabytes
        value = config.get(key)
        if not isinstance(value, int | float) or not 0 < value <= highest:
            raise CheckpointError(
                f"{folder / 'config.json'}: {key} must be above 0 and at most {highest}, got {value!r}"
            )
    try:
        with quiet_diffusers():
            network = REGRESSORS[name].from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
            )
    except LOADING_FAULTS as error:
        raise CheckpointError(f"{folder} cannot be loaded as a regressor: {first_line(error)}") from error
    return network.to(device).eval()
