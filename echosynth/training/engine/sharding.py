"""Weights that are sharded over processes (FSDP): whole ones from the parts, and parts from whole ones.

Whatever is not sharded goes through unchanged, so the same code serves one process and many.
"""

from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor


def gather(value: Any) -> Any:
    """The whole of a tensor, or of the tensors in nested dictionaries and lists; every process must ask for it."""
    if isinstance(value, dict):
        return {key: gather(item) for key, item in value.items()}
    if isinstance(value, list):
        return [gather(item) for item in value]
    return value.full_tensor() if isinstance(value, DTensor) else value


def shard_like(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A whole tensor, which every process has, on the device and in the parts of another one."""
    value = value.to(other.device)
    return distribute_tensor(value, other.device_mesh, other.placements) if isinstance(other, DTensor) else value
