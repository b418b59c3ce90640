"""What processes of a training must know of one another beside gradients: batches that a layer or a loss spans."""

import logging

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.modules.batchnorm import _BatchNorm

logger = logging.getLogger(__name__)


def gather_batches(x: torch.Tensor) -> torch.Tensor:
    """Join the batches of all processes, in their order: (B, ...) -> (ranks B, ...).

    Gradients flow back to the process that a sample came from. As every process then computes the same loss and
    gradients are averaged over processes, a step equals that of one process with the whole batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return x
    return torch.cat(tuple(all_gather(x.contiguous())))


def synchronise_batch_norm(model: nn.Module, processes: int, device: torch.device) -> None:
    """Let batch normalisation take its statistics over the batches of all processes; CPUs cannot, which is said.

    Args:
        model: changed in place; its weights keep their names.
        processes: of the training.
        device: of the model.
    """
    if processes == 1 or not any(isinstance(layer, _BatchNorm) for layer in model.modules()):
        return
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    else:
        logger.warning(
            "batch normalisation takes its statistics in each of the %d CPU processes alone: a step is not that of one",
            processes,
        )
