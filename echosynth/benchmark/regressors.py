"""`echosynth bench regressors`: weights, counted work and latency of every regressor, beside what was published.

Work is of one window, counted by torch (2 operations per multiply-add); published figures
that count a multiply-add once are doubled. Latency is the fastest of a few windows, one at a time.
"""

import time
from typing import Any

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


def measure_regressors(device: str, repeat: int = 3) -> list[dict[str, Any]]:
    """One row per regressor: the published sizes, then those that are bundled or were added.

    Returns:
        [{"name", "parameters", "gflop", "seconds", "published": {"parameters", "gflop"}}]; of a part of one the
        weights alone.
    """
    import torch

    from echosynth.regression.loading import REGRESSORS, load_regressor
    from echosynth.storage.model_store import list_models

    rows = []
    for name, known in PUBLISHED.items():
        torch.manual_seed(0)
        model = REGRESSORS[known["network"]](**known["arguments"]).to(device).eval()  # type: ignore[arg-type]
        published = {key: known[key] for key in ("parameters", "gflop")}
        if "part" in known:
            count = sum(p.numel() for p in model.get_submodule(known["part"]).parameters())
            rows.append({"name": name, "parameters": count, "gflop": None, "seconds": None, "published": published})
            continue
        rows.append({"name": name, **_measure(model, repeat), "published": published})
    for name in (entry.name for entry in list_models() if entry.kind == "regressor"):
        rows.append({"name": name, **_measure(load_regressor(name, device), repeat), "published": None})
    return rows


def _measure(model: Any, repeat: int) -> dict[str, Any]:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

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
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "gflop": counter.get_total_flops() / 1e9,
        "seconds": min(seconds),
    }
