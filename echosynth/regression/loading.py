"""Open a regressor by name, after its hashes were checked."""

import json
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
from echosynth.storage.model_store import ModelRef, resolve

SYSTEMS = (R2Plus1D, FrameTransformer, EchoE3Net, CoReEcho, MCSDR, FrameAware)
REGRESSORS: dict[str, type[EFRegressor]] = {system.__name__: system for system in SYSTEMS}
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
    try:
        name = json.loads((folder / "config.json").read_text())["_class_name"]
        if name not in REGRESSORS:
            raise CheckpointError(f"{folder} holds a {name}, not one of {', '.join(REGRESSORS)}")
        network = REGRESSORS[name].from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder} cannot be loaded as a regressor: {str(error).splitlines()[0]}") from error
    return network.to(device).eval()  # type: ignore[arg-type]
