"""`echosynth train` with weights sharded over CPU processes, which Accelerate itself only does for GPUs.

Run by torchrun from test_sharding.py, with the command line's words.
"""

import sys
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from echosynth.cli import main
from echosynth.diffusion.blocks import SpaceTimeBlock
from echosynth.training.engine import run


class ShardingAccelerator(Accelerator):
    """Shards what it prepares, block by block, as FSDP does."""

    @property
    def distributed_type(self) -> DistributedType:
        return DistributedType.FSDP

    def prepare(self, model: Any, optimizer: torch.optim.Optimizer) -> Any:  # type: ignore[override]
        names = {parameter: name for name, parameter in model.named_parameters()}
        mesh = init_device_mesh("cpu", (self.num_processes,))
        for block in [part for part in model.modules() if isinstance(part, SpaceTimeBlock)]:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        sharded = dict(model.named_parameters())
        for group in optimizer.param_groups:
            group["params"] = [sharded[names[parameter]] for parameter in group["params"]]
        return model, optimizer

    def clip_grad_norm_(self, parameters: Any, max_norm: float, norm_type: int = 2) -> Any:
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)

    def backward(self, loss: torch.Tensor, **_: Any) -> None:
        loss.backward()

    def reduce(self, tensor: torch.Tensor, reduction: str = "sum", scale: float = 1.0) -> torch.Tensor:
        torch.distributed.all_reduce(tensor)
        return tensor / self.num_processes


run.Accelerator = ShardingAccelerator  # type: ignore[misc]
sys.exit(main(sys.argv[1:]))
