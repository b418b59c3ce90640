"""Weights, counted work and latency of every regressor, beside what was published.

Work is of one window, counted by torch (2 operations per multiply-add); published figures that count a multiply-add
once are doubled. Latency is the fastest of a few windows, one at a time.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from echosynth.benchmark.settings import RegressorBenchmarkConfig
from echosynth.regression.base import EFRegressor
from echosynth.regression.loading import REGRESSORS, load_regressor
from echosynth.runtime import choose_device
from echosynth.storage.model_store import list_models

PUBLISHED: dict[str, dict[str, Any]] = {
    # torchvision's network with one output, at EchoNet-Dynamic's 32 frames of 112x112
    "EchoNet-Dynamic, R(2+1)D-18": {
        "network": "R2Plus1D",
        "arguments": {
            "size": 112,
            "widths": (64, 128, 256, 512),
            "blocks": (2, 2, 2, 2),
            "stem_width": 45,
        },
        "parameters": 31.3e6,
        "gflop": 4 * 40.519,  # torchvision states multiply-adds for 16 frames, of three channels
    },
    "CoReEcho, UniFormer-S": {"network": "CoReEcho", "arguments": {}, "parameters": 21.46e6, "gflop": 2 * 19.56},
    "Echo-E3Net": {"network": "EchoE3Net", "arguments": {}, "parameters": 1.55e6, "gflop": 8.05},
    "Echo-E3Net, version 1": {
        "network": "EchoE3Net",
        "arguments": {"widths": (16, 32, 80, 144), "dim": 144, "hidden": 1760, "epicardium": True},
        "parameters": 6.8e6,
        "gflop": 8.49,
    },
    "MCSDR": {"network": "MCSDR", "arguments": {}, "parameters": None, "gflop": None},
    "MCSDR, its score head": {
        "network": "MCSDR",
        "arguments": {},
        "part": "score",
        "parameters": 0.94e6,
        "gflop": None,
    },
    "frame-aware, ResNet-50": {"network": "FrameAware", "arguments": {}, "parameters": None, "gflop": None},
}


@dataclass(frozen=True)
class RegressorCost:
    """What a regressor costs.

    Attributes:
        name: of the model, or of the publication.
        parameters: weights.
        gflop: work of one window, 1e9 operations; None for a part, whose weights alone are counted.
        seconds: of one window.
        published: {"parameters", "gflop"} as published; None for models that are bundled or were added.
    """

    name: str
    parameters: int
    gflop: float | None
    seconds: float | None
    published: dict[str, float | None] | None


@dataclass(frozen=True)
class RegressorBenchmark:
    """Result of `benchmark_regressors`: the published sizes, then the models that are bundled or were added."""

    regressors: list[RegressorCost]

    def to_dict(self) -> dict[str, Any]:
        """The object of `bench regressors --json`."""
        return asdict(self)


def benchmark_regressors(config: RegressorBenchmarkConfig) -> RegressorBenchmark:
    """Count and time every regressor.

    Raises:
        CheckpointError: a model at hand is damaged.
        ConfigError: the device is not there.
    """
    device = choose_device(config.device)
    rows = [_measure_published(name, device, config.repeat) for name in PUBLISHED]
    for name in (entry.name for entry in list_models() if entry.kind == "regressor"):
        rows.append(_measure(name, load_regressor(name, device), config.repeat, None))
    return RegressorBenchmark(rows)


def _measure_published(name: str, device: str, repeat: int) -> RegressorCost:
    known = PUBLISHED[name]
    torch.manual_seed(0)
    model = REGRESSORS[known["network"]](**known["arguments"]).to(device).eval()
    published = {key: known[key] for key in ("parameters", "gflop")}
    if "part" not in known:
        return _measure(name, model, repeat, published)
    count = sum(p.numel() for p in model.get_submodule(known["part"]).parameters())
    return RegressorCost(name, count, None, None, published)


def _measure(name: str, model: EFRegressor, repeat: int, published: dict[str, float | None] | None) -> RegressorCost:
    contract = model.contract
    window = torch.rand(1, 1, contract.frames, contract.size, contract.size, device=model.device)
    # Fused attention is not known to the counter.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(window)
    seconds = []
    with torch.no_grad():
        for _ in range(repeat):
            began = time.perf_counter()
            model(window).cpu()  # a GPU answers before it has finished
            seconds.append(time.perf_counter() - began)
    parameters = sum(p.numel() for p in model.parameters())
    return RegressorCost(name, parameters, counter.get_total_flops() / 1e9, min(seconds), published)
