"""The smallest things to train, and what a run leaves in its folder."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from echosynth.training.engine.loop import Batch
from tests.fake_set import write_fake_set

UNET = {"patch": 2, "widths": [32, 32], "blocks": [1, 1], "emb_dim": 32, "frame_patch": 4}
UNET |= {"space_attention": [False, False], "time_attention": [False, True]}
OPTIM = {"steps": 6, "batch_size": 4, "lr": 1e-3, "warmup_steps": 2, "mixed_precision": "no"}
PACE = {"log_every": 1, "validate_every": 3, "save_every": 2, "validation_batches": 1}


class Line:
    """Fit a line to points."""

    def make_batch(self, size: int, generator: torch.Generator) -> Batch:
        x = torch.randn(size, 3, generator=generator)
        return {"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]])}

    def compute_loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        return ((model(batch["x"]) - batch["y"]) ** 2).mean()


def make_config(root: Path) -> dict[str, Any]:
    sets = [write_fake_set(root, first_seed=seed).model_dump(mode="json") for seed in (0, 1000)]
    shared = {"num_inference_steps": 2, "sigma_data": 0.2, "optim": OPTIM}
    stages = {
        "base": {"kind": "base", "frames": 4, "fps": 8, "size": 16, "unet": UNET} | shared,
        "sr1": {"kind": "both", "frames": 16, "fps": 32, "size": 32, "window": 8, "crop": 16} | shared,
    }
    stages["sr1"] |= {"unet": UNET | {"patch": 4}, "lowres_sigma_max": 0.1, "tracked": True}
    guide = {"widths": [32, 32], "blocks": [1, 1], "optim": OPTIM}
    tracker = guide | {"window": 8}
    parts = {"stages": stages, "tissue_tracker": tracker, "ef_guide": guide}
    return {"kind": "cascade", "name": "tiny", "data": sets[0], "validation": sets[1], "pace": PACE} | parts


def read_log(path: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def weights(out: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(next((out / name / "model").glob("*.safetensors")))
