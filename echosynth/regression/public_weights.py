"""Read public weights of other projects; the names inside a file tell which project it is from.

    file                                  inside                                          becomes
    EchoNet-Dynamic, EchoNet-Synthetic    {"state_dict": module.stem..., "period": ...}   R2Plus1D
    judge of EchoDiffusion (Lightning)    {"state_dict": model.model.stem...}             R2Plus1D, pixels in [0, 1]
    CoReEcho                              {"model": UniFormer, "regressor": 0..6}         CoReEcho
    UniFormer (Kinetics-400)              patch_embed1..., whatever stands before it      an encoder to train from
    MCSDR                                 {"model_state_dict": the same}                  an encoder to train from

Their networks predict EF in per cent and ours (EF - 50) / 20, so the last layer is rescaled. Their three equal colour
channels become one where the layout allows it. MCSDR's head has another layout here (see mcsdr.py). Mean and standard
deviation of EchoNet-Dynamic's pixels are those that later projects published; its own code measures them in every run.
"""

import argparse
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from echosynth.errors import CheckpointError, ConfigError
from echosynth.regression.base import EF_MIDDLE, EF_UNIT, EFRegressor
from echosynth.regression.coreecho import CoReEcho
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.storage.added_models import added_folder
from echosynth.storage.checksums import write_sums
from echosynth.storage.model_files import CARD_FILE
from echosynth.storage.model_store import user_root

State = dict[str, torch.Tensor]
ECHONET_STATISTICS = (32.7, 49.9)  # mean and standard deviation of a pixel, mean over channels
ECHONET_RATE = 50.0  # Hz, of most of its videos
HIGHEST_RATE = 1000.0  # Hz
FIRST = "patch_embed1.proj.weight"
UNDER = ("state_dict", "model", "model_state_dict")  # keys that hold the weights in a training checkpoint
# Classes that training scripts save beside their weights; no other class is unpickled.
HARMLESS: list[Any] = [argparse.Namespace, np.dtype, np.ndarray, type(np.dtype(np.float64)), type(np.dtype(np.float32))]
HARMLESS += [np._core.multiarray.scalar, np._core.multiarray._reconstruct]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class PublicWeights:
    """Weights read from a file.

    Attributes:
        model: with its weights.
        kind: "regressor", or "encoder" if it does not read EF yet.
        source: project that the layout belongs to.
    """

    model: EFRegressor
    kind: str
    source: str


def read_public_weights(path: Path, fps: float | None = None) -> PublicWeights:
    """Read a weight file of another project.

    Args:
        path: a torch or safetensors file.
        fps: frame rate of the pictures that it was trained on, Hz; None for what its project uses.

    Raises:
        CheckpointError: it cannot be read without running code from it, or its layout is not one of those above.
        ConfigError: the frame rate is none.
    """
    if fps is not None and not 0 < fps <= HIGHEST_RATE:
        raise ConfigError(f"the frame rate must be above 0 and at most {HIGHEST_RATE:g} Hz, got {fps:g}", "fps")
    content = _load(path)
    state = next((content[key] for key in UNDER if key in content), content)
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} holds no weights")
    names = {k: v for k, v in state.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    try:
        if any(name.endswith(FIRST) for name in names):
            return _read_uniformer(names, content.get("regressor"), fps)
        if any(name.endswith("stem.0.weight") for name in names):
            return _read_r2plus1d(names, content, fps)
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error).splitlines()[-1].strip()
        raise CheckpointError(f"{path} looks like public weights but does not fit their layout: {reason}") from error
    first = next(iter(names), "nothing")
    raise CheckpointError(
        f"{path} has a layout that is not known here (it begins with {first}); see docs/explanation/regressors.md"
    )


def add_public_weights(path: Path, name: str, fps: float | None = None) -> Path:
    """Convert a weight file of another project, keep it as the user's model `name`, and return its folder.

    Args:
        path: a torch or safetensors file.
        name: what to call it.
        fps: see `read_public_weights`.

    Raises:
        CheckpointError: the file is not known as public weights, the name is no folder's, or is taken.
        OutputError: it cannot be written.
    """
    found = read_public_weights(path, fps)
    kind = type(found.model)
    card = {
        "name": name,
        "kind": found.kind,
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "license": "its source's",
        "source": found.source,
        "file": path.name,
    }
    with added_folder(name) as part:
        found.model.save_pretrained(part)
        (part / CARD_FILE).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        write_sums(part)
    return user_root() / name


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own words recommend to run the file's code
        raise CheckpointError(f"{path} cannot be read as weights: it is none, or would have to run code") from error
    except (EOFError, KeyError) as error:  # its first bytes are no pickle's
        raise CheckpointError(f"{path} cannot be read as weights: it is empty, or no torch file") from error
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} cannot be read as weights: {reason}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not named weights")
    return content


def _below(names: State, landmark: str) -> State:
    """All weights under the prefix that a well-known name has in this file, without the prefix."""
    prefix = next(name for name in names if name.endswith(landmark)).removesuffix(landmark)
    return {name.removeprefix(prefix): value.float() for name, value in names.items() if name.startswith(prefix)}


def _in_our_units(state: State, last: str) -> State:
    """Rescale a last layer that predicts per cent."""
    weight, bias = state[f"{last}.weight"] / EF_UNIT, (state[f"{last}.bias"] - EF_MIDDLE) / EF_UNIT
    return state | {f"{last}.weight": weight, f"{last}.bias": bias}


def _read_r2plus1d(names: State, content: dict[str, Any], fps: float | None) -> PublicWeights:
    state = _below(names, "stem.0.weight")
    if state["fc.weight"].shape[0] != 1:
        raise ValueError(f"it has {state['fc.weight'].shape[0]} outputs where EF is one number")
    state["stem.0.weight"] = state["stem.0.weight"].sum(1, keepdim=True)
    if any(name.startswith("model.") for name in names):
        source, statistics, rate, frames = "EchoDiffusion's judge", (0.0, 255.0), 32.0, 64
    else:
        source, statistics = "EchoNet R(2+1)D", ECHONET_STATISTICS
        rate, frames = ECHONET_RATE, int(content.get("frames", 32))
    period = int(content.get("period") or 2) if rate == ECHONET_RATE else 1
    if frames < 1 or period < 1:
        raise ValueError(f"it says that it was shown {frames} frames, one in {period}")
    model = R2Plus1D((fps or rate) / period, frames, 112, (64, 128, 256, 512), (2, 2, 2, 2), 45, statistics)
    model.load_state_dict(_in_our_units(state, "fc"))
    return PublicWeights(model.eval(), "regressor", source)


def _read_uniformer(names: State, regressor: Any, fps: float | None) -> PublicWeights:
    encoder = {f"encoder.{k}": v for k, v in _below(names, FIRST).items() if not k.startswith("head.")}
    model = CoReEcho((fps or ECHONET_RATE) / 4, statistics=ECHONET_STATISTICS)
    own = model.state_dict()
    if regressor is None:
        encoder = {k: v for k, v in encoder.items() if k in own}
        model.load_state_dict({k: v for k, v in own.items() if k.startswith("regressor.")} | encoder)
        return PublicWeights(model.eval(), "encoder", "UniFormer-S")
    head = {name.removeprefix("module."): value.float() for name, value in regressor.items()}
    head = _in_our_units(head, "6")
    model.load_state_dict(encoder | {f"regressor.{name}": value for name, value in head.items()})
    return PublicWeights(model.eval(), "regressor", "CoReEcho")
