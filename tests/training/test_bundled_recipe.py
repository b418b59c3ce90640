"""The recipe of the bundled cascade is a chain of configs: each starts from what the one before it makes."""

import json
from pathlib import Path

import pytest

from echosynth.training.cascade import CascadeConfig
from echosynth.training.train import load_training_config

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = ROOT / "checkpoints" / "phantom_fast"
STEPS = ("phantom_small", "phantom_fast", "phantom_fast_high_noise")
NOT_LEARNT = {"quality", "edv", "esv"}  # conditions that the base did not learn and that were left out of its weights


def load(name: str, folder: str = "diffusion") -> CascadeConfig:
    config = load_training_config(ROOT / "configs" / folder / f"{name}.yaml")
    assert isinstance(config, CascadeConfig)
    return config


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("folder", ["diffusion", "cpu"])
def test_its_networks_are_those_of_the_published_weights(name: str, folder: str) -> None:
    config = load(name, folder)
    for stage_name, stage in config.stages.items():
        published = json.loads((WEIGHTS / f"{stage_name}_unet" / "config.json").read_text())
        network = stage.unet.model_dump()
        if stage_name == "base":
            network["scalars"] = [scalar for scalar in network["scalars"] if scalar not in NOT_LEARNT]
        assert network == {key: published[key] for key in network}
        scheduler = json.loads((WEIGHTS / f"{stage_name}_scheduler" / "scheduler_config.json").read_text())
        assert scheduler["sigma_data"] == stage.noise.sigma_data
    assert config.ef_guide is not None
    assert config.tissue_tracker is not None
    for part, keys in ((config.ef_guide, ["patch"]), (config.tissue_tracker, ["patch", "reach"])):
        folder_name = "ef_guide" if part is config.ef_guide else "tissue_tracker"
        published = json.loads((WEIGHTS / folder_name / "config.json").read_text())
        network = part.model_dump(include={"widths", "blocks", *keys})
        assert network == {key: published[key] for key in network}


@pytest.mark.parametrize("name", STEPS[1:])
def test_its_stages_are_sampled_as_the_published_ones(name: str) -> None:
    config = load(name)
    published = json.loads((WEIGHTS / "model_index.json").read_text())
    specs = [stage.spec(stage_name).to_dict() for stage_name, stage in config.stages.items()]
    for spec, other in zip(specs, published["stages"], strict=True):
        known = {key.replace("steering_", "ef_guidance_"): value for key, value in other.items()}
        assert spec == {key: known[key] for key in spec}
    assert config.ef_calibration == published["ef_calibration"]


@pytest.mark.parametrize("folder", ["diffusion", "cpu"])
def test_each_step_trains_some_parts_and_takes_the_others_from_the_step_before(folder: str) -> None:
    trained = []
    for before, name in zip((None, *STEPS), STEPS, strict=False):
        parts = {part_name: part.config for part_name, part in load(name, folder).parts.items()}
        trained.append({part for part, config in parts.items() if not config.frozen})
        for part, config in parts.items():
            if before is None:
                assert config.init is None
            else:
                made_by = "phantom_small" if part not in trained[-2] and part not in trained[1] else before
                assert str(config.init) == f"runs/{made_by}/{part}/model"
    assert trained == [set(load(STEPS[0]).parts), {"base", "ef_guide"}, {"base"}]


def test_a_clip_takes_eight_passes_at_most() -> None:
    makers = [stage.sampling for stage in load(STEPS[-1]).stages.values() if stage.kind != "frame"]
    steps = sum(how.num_inference_steps * (2 if how.correction else 1) for how in makers)
    assert steps + 3 <= 8  # the guide's readings, the tracker
