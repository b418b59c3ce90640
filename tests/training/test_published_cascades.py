"""The published cascades at full size: sizes on the meta device, and two real steps of each at reduced width."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from echosynth.benchmark.training_cost import estimate_cascade
from echosynth.config import load_config
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.phantom.plan import SimulateConfig
from echosynth.phantom.simulate import simulate
from echosynth.training.cascade import CascadeConfig, train_cascade

pytestmark = pytest.mark.heavy

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "diffusion" / "reynaud2023"
PUBLISHED = {"1scm": (18.2, 254, [(112, 16, 8)]), "2scm": (45.9, 380, [(56, 16, 8), (112, 64, 32)])}
PUBLISHED |= {"4scm": (93.1, 632, [(56, 16, 8), (56, 32, 16), (56, 64, 32), (112, 64, 32)])}


@pytest.mark.parametrize("name", PUBLISHED)
def test_chain_passes_and_weights_are_those_of_the_paper(name: str) -> None:
    weights, passes, chain = PUBLISHED[name]
    config = load_config(FOLDER / f"{name}.yaml", CascadeConfig)
    assert [(stage.size, stage.frames, stage.fps) for stage in config.stages.values()] == chain
    stages = estimate_cascade(config, gpus=8)
    assert sum(stage.passes for stage in stages) == passes
    assert sum(stage.parameters for stage in stages) / 1e6 == pytest.approx(weights, rel=0.15)
    assert all(stage.memory_gb < 80 for stage in stages)  # of an A100 or H100


def test_work_is_what_one_counts_by_hand(tmp_path: Path) -> None:
    """Without attention, work is that of the convolutions and linear layers at their positions; twice it backwards."""
    config = load_config(FOLDER / "1scm.yaml", CascadeConfig)
    base = config.stages["base"]
    unet = {"widths": [32], "blocks": [1], "space_attention": [False], "time_attention": [False], "emb_dim": 32}
    plain = base.unet.model_copy(update=unet)
    optim = base.optim.model_copy(update={"checkpointing": False})
    unguided = replace(base.sampling, guidance_scale=1.0)
    small = base.model_copy(update={"unet": plain, "optim": optim, "sampling": unguided})
    (stage,) = estimate_cascade(config.model_copy(update={"stages": {"base": small}}), gpus=4, tflops=50)
    pixels, wide = 112 * 112, 32
    block = 2 * wide * wide * (9 + 3)
    frames = 16 * pixels * (2 * 2 * 9 * wide + 2 * block)  # first and last convolution, a block down and one up
    frame = pixels * (2 * 9 * wide + 2 * 9 * wide * wide)
    assert stage.passes == 127
    assert stage.clip_tflop * 1e12 / 127 == pytest.approx(frames + frame, rel=0.01)
    assert stage.step_tflop * 1e12 == pytest.approx(3 * 32 * (frames + frame), rel=0.02)  # no gradient of the input
    assert stage.hours == pytest.approx(60000 * stage.step_tflop / (50 * 4) / 3600)


def test_checkpointing_trades_memory_for_work() -> None:
    config = load_config(FOLDER / "1scm.yaml", CascadeConfig)
    base = config.stages["base"]
    without = base.model_copy(update={"optim": base.optim.model_copy(update={"checkpointing": False})})
    (lean,) = estimate_cascade(config)
    (rich,) = estimate_cascade(config.model_copy(update={"stages": {"base": without}}))
    assert lean.memory_gb < rich.memory_gb / 2
    assert 1.2 < lean.step_tflop / rich.step_tflop < 1.4


def reduce(stage: Mapping[str, Any]) -> dict[str, Any]:
    """A published stage, thin and on coarse patches, for a processor."""
    patch = 2 if stage["size"] == 56 else 4
    unet = stage["unet"] | {"widths": [32] * 3, "blocks": [1] * 3, "emb_dim": 32, "patch": patch}
    unet["frame_patch"] *= patch
    optim = stage["optim"] | {"steps": 2, "batch_size": 2, "micro_batch": 1, "mixed_precision": "no"}
    window, crop = (None if stage["kind"] == "base" else 8), (48 if stage["crop"] else None)
    sampling = stage["sampling"] | {"num_inference_steps": 2}
    return dict(stage) | {"unet": unet, "optim": optim, "window": window, "crop": crop, "sampling": sampling}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    simulate(SimulateConfig(patients=2, seed=0, frames=64, fps=32), folder / "set")
    return folder


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_trains_and_makes_a_clip(name: str, phantoms: Path, tmp_path: Path) -> None:
    raw = load_config(FOLDER / f"{name}.yaml", CascadeConfig).model_dump()
    raw["stages"] = {key: reduce(stage) for key, stage in raw["stages"].items()}
    where = {"root": phantoms / "set", "cache": phantoms / "decoded", "split": "TRAIN"}
    raw |= {"data": raw["data"] | where, "validation": raw["validation"] | where}
    raw["pace"] |= {"validation_batches": 1}
    pipeline = train_cascade(CascadeConfig.model_validate(raw), tmp_path / "run")
    assert pipeline is not None
    logs = [path.read_text() for path in (tmp_path / "run").glob("*/log.jsonl")]
    assert len(logs) == len(raw["stages"])
    assert all('"loss"' in log and "NaN" not in log for log in logs)
    made = EchoCascadePipeline.from_pretrained(pipeline)
    made.set_progress_bar_config(disable=True)
    clip = made(torch.zeros(1, 1, 112, 112), 40.0, generator=torch.Generator().manual_seed(0))
    size, frames, fps = PUBLISHED[name][2][-1]
    assert clip.clips.shape == (1, frames, size, size)
    assert clip.fps == fps
    assert clip.clips.std() > 0
