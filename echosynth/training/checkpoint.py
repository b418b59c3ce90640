"""Checkpoints that are complete or absent.

A checkpoint is a folder: `model.safetensors`, `ema.safetensors`, `optimizer.pt` (loaded with weights_only),
`state.json`. It is written under a temporary name, every file synced to disk, and renamed; older ones are removed
only afterwards. A kill at any moment leaves the last complete one.
"""

import json
import os
import pickle
import shutil
from pathlib import Path

import torch
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from echosynth.errors import CheckpointError

KEEP = 2
LONGEST_REASON = 200  # characters: torch names every weight that is missing


def load_weights(model: nn.Module, folder: Path, may_lack: str = "", parts: tuple[str, ...] = ()) -> None:
    """Give a fresh network the weights of a finished one, e.g. to fine-tune it.

    Args:
        model: changed in place.
        folder: as a training run or `save_pretrained` left it.
        may_lack: parts whose name begins like this stay fresh where the folder does not have them.
        parts: take only what has a name that begins like one of these; everything else stays fresh.

    Raises:
        CheckpointError: the folder holds no weights, weights of another shape, or none of one of the parts.
    """
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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, ema: EMAModel, optimizer: torch.optim.Optimizer, fingerprint: str
) -> Path:
    """Write the state after `step` steps; keep the newest two checkpoints.

    Args:
        folder: holds all checkpoints of the run.
        step: steps done.
        model: the bare network.
        ema: its moving average.
        optimizer: its optimiser.
        fingerprint: hash of the config; `load_checkpoint` refuses another one.
    """
    target = folder / f"step-{step:08d}"
    part = folder / f".{target.name}.tmp"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    names = [name for name, _ in model.named_parameters()]
    averaged = dict(zip(names, (p.contiguous() for p in ema.shadow_params), strict=True))
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, part / "model.safetensors")
    save_file(averaged, part / "ema.safetensors")
    torch.save(optimizer.state_dict(), part / "optimizer.pt")
    state = {"step": step, "fingerprint": fingerprint, "ema_steps": ema.optimization_step}
    (part / "state.json").write_text(json.dumps(state))
    for path in part.iterdir():
        _sync(path)
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    _sync(folder)
    for old in sorted(folder.glob("step-*"))[:-KEEP]:
        shutil.rmtree(old)
    return target


def load_checkpoint(
    folder: Path, model: nn.Module, ema: EMAModel, optimizer: torch.optim.Optimizer, fingerprint: str
) -> int:
    """Restore the newest checkpoint in place; returns the steps done, 0 if there is none.

    Raises:
        CheckpointError: it was made with another config, or cannot be read.
    """
    found = sorted(folder.glob("step-*")) if folder.is_dir() else []
    if not found:
        return 0
    newest = found[-1]
    try:
        state = json.loads((newest / "state.json").read_text())
        if state["fingerprint"] != fingerprint:
            raise CheckpointError(
                f"{newest} was trained with another config; choose another --out, or remove it to start again"
            )
        model.load_state_dict(load_file(newest / "model.safetensors"))
        averaged = load_file(newest / "ema.safetensors")
        optimizer.load_state_dict(torch.load(newest / "optimizer.pt", weights_only=True))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"checkpoint {newest} cannot be read ({reason}); remove it to fall back") from error
    device = next(model.parameters()).device
    for (name, _), shadow in zip(model.named_parameters(), ema.shadow_params, strict=True):
        shadow.copy_(averaged[name].to(device))
    ema.optimization_step = state["ema_steps"]
    return int(state["step"])
