"""Checkpoints that are complete or absent.

A checkpoint is a folder: `model.safetensors`, `ema.safetensors`, `optimizer.pt` (loaded with weights_only),
`state.json`. It is made whole (storage/atomic.py); older ones are removed only afterwards. A kill at any moment leaves
the last complete one.
"""

import json
import pickle
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from echosynth.errors import CheckpointError
from echosynth.storage.atomic import replace_folder
from echosynth.storage.model_store import find_model
from echosynth.training.engine.sharding import gather, shard_like
from echosynth.training.engine.state import TrainState

KEEP = 2
# What reading a damaged checkpoint may raise: in the file, or where what it holds is given to network and optimiser.
DAMAGE = (
    *(OSError, EOFError, SafetensorError, pickle.UnpicklingError),
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError),
)
LONGEST_REASON = 200  # characters: torch names every weight that is missing


def load_weights(model: nn.Module, folder: Path, may_lack: str = "", parts: tuple[str, ...] = ()) -> None:
    """Give a fresh network the weights of a finished one, e.g. to fine-tune it.

    Args:
        model: changed in place.
        folder: as a training run or `save_pretrained` left it; or the name of a bundled or added model.
        may_lack: parts whose name begins like this stay fresh where the folder does not have them.
        parts: take only what has a name that begins like one of these; everything else stays fresh.

    Raises:
        CheckpointError: the folder holds no weights, weights of another shape, or none of one of the parts.
    """
    try:
        folder = find_model(folder)
    except CheckpointError as error:
        raise CheckpointError(f"cannot start from {folder}: {error}") from None
    try:
        found = load_file(folder / "diffusion_pytorch_model.safetensors")
        own = model.state_dict()
        if parts:
            idle = [part for part in parts if not any(k.startswith(part) for k in found)]
            if idle:
                raise CheckpointError(f"cannot start from {folder}: no weights there begin with {', '.join(idle)}")
            fresh = {k: v for k, v in own.items() if not k.startswith(parts)}
            found = {k: v for k, v in found.items() if k.startswith(parts)}
        else:
            fresh = {k: v for k, v in own.items() if may_lack and k.startswith(may_lack) and k not in found}
        model.load_state_dict(found | fresh)
    except (OSError, RuntimeError, SafetensorError) as error:
        # torch's first line only says that there are errors; the first of them follows
        reason = next((line.strip() for line in str(error).splitlines() if "in loading state_dict" not in line), "")
        reason = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."
        raise CheckpointError(f"cannot start from {folder}: {reason}") from error


def save_checkpoint(folder: Path, step: int, state: TrainState, fingerprint: str, write: bool = True) -> Path:
    """Write the state after `step` steps; keep the newest two checkpoints.

    Where weights are sharded over processes, every process must call it.

    Args:
        folder: holds all checkpoints of the run.
        step: steps done.
        state: to be saved.
        fingerprint: hash of the config; `load_checkpoint` refuses another one.
        write: whether this process is the one that writes.

    Raises:
        OutputError: the system refused (disk full, no permission); the older checkpoints stay.
    """
    target = folder / f"step-{step:08d}"
    weights, moments = gather(dict(state.model.state_dict())), gather(state.optimizer.state_dict())
    shadows = gather(list(state.ema.shadow_params))
    if not write:
        return target
    names = [name for name, _ in state.model.named_parameters()]
    averaged = dict(zip(names, (p.contiguous() for p in shadows), strict=True))
    counters: dict[str, Any] = {"step": step, "fingerprint": fingerprint, "ema_steps": state.ema.optimization_step}
    if state.scaler is not None:
        counters["scaler"] = state.scaler.state_dict()
    with replace_folder(target) as part:
        save_file({k: v.contiguous() for k, v in weights.items()}, part / "model.safetensors")
        save_file(averaged, part / "ema.safetensors")
        _save(moments, part / "optimizer.pt")
        (part / "state.json").write_text(json.dumps(counters))
    for old in sorted(folder.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old)
    return target


def load_checkpoint(folder: Path, state: TrainState, fingerprint: str) -> int:
    """Restore the newest checkpoint in place; returns the steps done, 0 if there is none.

    Raises:
        CheckpointError: it was made with another config, or cannot be read.
    """
    folders = sorted(folder.glob("step-*")) if folder.is_dir() else []
    if not folders:
        return 0
    newest = folders[-1]
    try:
        counters = _read_counters(newest / "state.json")
        if counters["fingerprint"] != fingerprint:
            raise CheckpointError(
                f"{newest} was trained with another config; choose another --out, or remove it to start again"
            )
        found = load_file(newest / "model.safetensors")
        own = state.model.state_dict()
        state.model.load_state_dict({k: shard_like(v, own[k]) if k in own else v for k, v in found.items()})
        averaged = load_file(newest / "ema.safetensors")
        for (name, _), shadow in zip(state.model.named_parameters(), state.ema.shadow_params, strict=True):
            shadow.copy_(shard_like(averaged[name], shadow))
        moments = torch.load(newest / "optimizer.pt", weights_only=True)
        state.optimizer.load_state_dict(_shard_moments(moments, state.optimizer))
        if state.scaler is not None:
            state.scaler.load_state_dict(counters["scaler"])
    except DAMAGE as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"checkpoint {newest} cannot be read ({reason}); remove it to fall back") from error
    state.ema.optimization_step = counters["ema_steps"]
    return int(counters["step"])


def _read_counters(path: Path) -> dict[str, Any]:
    """Read state.json.

    Raises:
        ValueError: it lacks a key, or a value is of the wrong type.
    """
    counters = json.loads(path.read_text())
    kinds = {"step": int, "fingerprint": str, "ema_steps": int}
    found = counters if isinstance(counters, dict) else {}
    wrong = [key for key, kind in kinds.items() if not isinstance(found.get(key), kind)]
    if wrong:
        raise ValueError(f"{path.name} lacks {wrong[0]}, or it is of a wrong type")
    return dict(found)


class _Sink:
    """A file for `torch.save`, which makes a RuntimeError of whatever the disk says: what it said is kept."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write, or after the first refusal do as if."""
        try:
            if self.error is None:
                self.file.write(data)
        except OSError as error:
            self.error = error
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Nothing: closing the file writes what is left, and may be refused."""


def _save(state: Any, path: Path) -> None:
    """`torch.save`, but the errors of the system stay what they are.

    Raises:
        OSError: the system refused.
    """
    with path.open("wb") as file:
        sink = _Sink(file)
        torch.save(state, sink)  # type: ignore[arg-type]
        if sink.error is not None:
            raise sink.error


def _shard_moments(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's state with its moments in the parts of their weights; counters of steps are not sharded."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    kept = {
        index: {k: shard_like(v, weights[index]) if v.shape == weights[index].shape else v for k, v in one.items()}
        for index, one in state["state"].items()
    }
    return state | {"state": kept}
