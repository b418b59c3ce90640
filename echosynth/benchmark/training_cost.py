"""What training a cascade will take, before anything is bought: work, memory and hours of every stage.

Networks are built on the meta device, which has shapes but no memory, and torch's counter watches one forward and
backward pass of one sample as it is trained (window, crop). Work and what the backward pass keeps are therefore
counted; hours follow from a rate that the caller says, and memory leaves out what the allocator wastes.
"""

from contextlib import nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from echosynth.benchmark.settings import TrainingCostConfig
from echosynth.config import load_config
from echosynth.diffusion.blocks import SpaceTimeBlock
from echosynth.diffusion.cascade import FIRST_KINDS
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.unet3d import UNet3D
from echosynth.training.cascade import CascadeConfig
from echosynth.training.stage_config import StageConfig

STATE_BYTES = 20  # per weight, float32: itself, its gradient, two moments of Adam, its moving average


@dataclass(frozen=True)
class StageEstimate:
    """One stage.

    Attributes:
        name: of the stage.
        parameters: weights.
        passes: network evaluations that a generated clip takes, guidance included; a stage that draws frames takes
            its own for fictional patients alone.
        clip_tflop: their work.
        step_tflop: work of one optimiser step, forward and backward.
        memory_gb: on one GPU: weights with what the optimiser keeps of them, and the activations of one piece.
        hours: of all steps, on all GPUs together.
    """

    name: str
    parameters: int
    passes: int
    clip_tflop: float
    step_tflop: float
    memory_gb: float
    hours: float


@dataclass(frozen=True)
class TrainingCost:
    """Result of `estimate_training`: the stages, and the GPUs and their 1e12 operations a second that hours rest on."""

    stages: list[StageEstimate]
    gpus: int
    tflops: float

    def to_dict(self) -> dict[str, Any]:
        """The object of `bench --estimate --json`; of the total's memory, that of the largest stage."""
        total: dict[str, Any] = {
            key: sum(getattr(stage, key) for stage in self.stages)
            for key in ("parameters", "passes", "clip_tflop", "hours")
        }
        total |= {"step_tflop": None, "memory_gb": max(stage.memory_gb for stage in self.stages)}
        return asdict(self) | {"total": total}


def estimate_training(config: TrainingCostConfig) -> TrainingCost:
    """Estimate what training the cascade of a config will take, without a GPU and without data.

    Raises:
        ConfigError: the config is not one of a cascade.
    """
    cascade = load_config(config.config, CascadeConfig)
    return TrainingCost(estimate_cascade(cascade, config.gpus, config.tflops), config.gpus, config.tflops)


def estimate_cascade(config: CascadeConfig, gpus: int = 1, tflops: float = 100.0) -> list[StageEstimate]:
    """Estimate every stage; the guide and the tracker are small beside them and left out.

    Args:
        config: the cascade.
        gpus: that share a batch.
        tflops: what one of them achieves, 1e12 operations a second, 2 operations per multiply-add.
    """
    pipeline = _build(config)
    passes = pipeline.passes(fictional=True)
    made = []
    for name, stage in config.stages.items():
        network, optim = getattr(pipeline, f"{name}_unet"), stage.optim
        work, kept = _train_one(network, stage)
        step = work * optim.batch_size
        piece = optim.micro_batch or -(-optim.batch_size // gpus)
        half = 1.0 if optim.mixed_precision == "no" else 0.5
        parameters = sum(p.numel() for p in network.parameters())
        made.append(
            StageEstimate(
                name,
                parameters,
                passes[name],
                passes[name] * _generate_one(network, stage) / 1e12,
                step / 1e12,
                (parameters * STATE_BYTES + half * kept * piece) / 1e9,
                optim.steps * step / (tflops * 1e12 * gpus) / 3600,
            )
        )
    return made


def _build(config: CascadeConfig) -> EchoCascadePipeline:
    """The cascade on the meta device, with fresh weights whatever it is to start from."""
    fresh = {"init": None}
    guide, tracker, base = config.ef_guide, config.tissue_tracker, config.stages["base"]
    with torch.device("meta"):
        return EchoCascadePipeline.from_stages(
            [stage.spec(name) for name, stage in config.stages.items()],
            {name: stage.model_copy(update=fresh).network() for name, stage in config.stages.items()},
            {name: stage.scheduler() for name, stage in config.stages.items()},
            ef_guide=None if guide is None else guide.model_copy(update=fresh).network(base.size),
            tissue_tracker=None if tracker is None else tracker.model_copy(update=fresh).network(),
        )


def evaluate_stage(network: UNet3D, stage: StageConfig, frames: int, size: int, device: str = "meta") -> torch.Tensor:
    """One evaluation of one empty clip."""
    frame_side = size * (stage.unet.frame_patch or stage.unet.patch) // stage.unet.patch
    with torch.device(device):
        x, one = torch.zeros(1, 1, frames, size, size), torch.zeros(1)
        lowres = {} if stage.kind in FIRST_KINDS else {"lowres": x, "lowres_sigma": one}
        scalars = dict.fromkeys(stage.unet.scalars, one)
        frame = torch.zeros(1, 1, frame_side, frame_side)
    # The fused kernels are not counted on every device; plain matrix products, of as much work, are.
    with sdpa_kernel(SDPBackend.MATH) if device == "meta" else nullcontext():
        return network(x, one, scalars, frame, one.bool(), **lowres)


def _generate_one(network: UNet3D, stage: StageConfig) -> int:
    """Operations of one evaluation of a whole clip."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        evaluate_stage(network, stage, stage.frames, stage.size)
    return counter.get_total_flops()


def _train_one(network: UNet3D, stage: StageConfig) -> tuple[int, int]:
    """Operations of a forward and backward pass of one sample, and bytes that it keeps at its peak, in float32."""
    frames, size = stage.window or stage.frames, stage.crop or stage.size
    kept, largest = _count_kept(network, stage, frames, size)
    if stage.optim.checkpointing:
        network.enable_gradient_checkpointing()
        kept, _ = _count_kept(network, stage, frames, size)
        kept += largest  # blocks are computed again one at a time
    with FlopCounterMode(display=False) as counter:
        evaluate_stage(network, stage, frames, size).sum().backward()
    network.zero_grad()
    return counter.get_total_flops(), kept


def _count_kept(network: UNet3D, stage: StageConfig, frames: int, size: int) -> tuple[int, int]:
    """Bytes that a forward pass keeps for the backward one, weights left out: in all, and by its largest block."""
    kept: dict[int, int] = {}
    seen: list[int] = [0, 0]  # bytes before the running block, and of the largest so far

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    def enter(*_: Any) -> None:
        seen[0] = sum(kept.values())

    def leave(*_: Any) -> None:
        seen[1] = max(seen[1], sum(kept.values()) - seen[0])

    blocks = [module for module in network.modules() if isinstance(module, SpaceTimeBlock)]
    handles = [b.register_forward_pre_hook(enter) for b in blocks] + [b.register_forward_hook(leave) for b in blocks]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        evaluate_stage(network, stage, frames, size)
    for handle in handles:
        handle.remove()
    for weight in network.parameters():
        kept.pop(weight.untyped_storage()._cdata, None)
    return sum(kept.values()), seen[1]
