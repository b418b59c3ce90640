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
from echosynth.storage.model_store import CARD_FILE, find_model, verify

SYSTEMS = (R2Plus1D, FrameTransformer, EchoE3Net, CoReEcho, MCSDR, FrameAware)
REGRESSORS: dict[str, type[EFRegressor]] = {system.__name__: system for system in SYSTEMS}
DEFAULT_GATE = "echo_e3net_small"
DEFAULT_JUDGE = "judge_frame_transformer"


def _kind(folder: Path) -> str | None:
    card = folder / CARD_FILE
    return json.loads(card.read_text()).get("kind") if card.is_file() else None


def load_regressor(name_or_dir: str, device: str = "cpu") -> EFRegressor:
    """Load a bundled or added regressor, or one from a folder that training wrote.

    Raises:
        CheckpointError: it is unknown, incomplete, or its hashes are not the published ones.
    """
    folder = find_model(name_or_dir)
    verify(folder)
    try:
        if _kind(folder) == "encoder":
            raise CheckpointError(f"{folder} holds an encoder that reads no EF; name it as 'init' of a training config")
        if _kind(folder) == "cascade":
            raise CheckpointError(f"{folder} holds a cascade, which makes clips and reads no EF")
        name = json.loads((folder / "config.json").read_text())["_class_name"]
        if name not in REGRESSORS:
            raise CheckpointError(f"{folder} holds a {name}, not one of {', '.join(REGRESSORS)}")
        model = REGRESSORS[name].from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder} cannot be loaded as a regressor: {str(error).splitlines()[0]}") from error
    return model.to(device).eval()  # type: ignore[arg-type]
