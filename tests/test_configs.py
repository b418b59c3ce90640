"""Every YAML file in configs/ is read strictly by its kind: a key or a value that no code knows fails here."""

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from echosynth.augmentation.augment import AugmentConfig
from echosynth.commands.evaluate import EvaluateConfig
from echosynth.commands.train import KINDS, load_training_config
from echosynth.config import load_config
from echosynth.errors import ConfigError
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.training.cascade import CascadeConfig

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "accelerate")
OTHERS: dict[str, type[BaseModel]] = {"augmentation": AugmentConfig, "evaluation": EvaluateConfig}


def load(path: Path, *overrides: str) -> BaseModel:
    kind = yaml.safe_load(path.read_text())["kind"]
    if kind in KINDS:
        return load_training_config(path, overrides)
    return load_config(path, OTHERS[kind], overrides)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONFIGS).as_posix())
def test_it_is_read_strictly(path: Path) -> None:
    config = load(path)
    assert path.stem in (config.name, config.name.removeprefix("smoke_"))
    with pytest.raises(ConfigError, match="unknown key 'surplus'"):
        load(path, "surplus=1")
    assert "Command:" in path.read_text() or path.parent.name == "smoke", "a config says how it is run"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONFIGS).as_posix())
def test_nothing_touches_the_patients_of_acceptance(path: Path) -> None:
    seeds = [
        source["first_seed"] + source.get("patients", source.get("count", 0))
        for source in yaml.safe_load(path.read_text()).values()
        if isinstance(source, dict) and "first_seed" in source
    ]
    assert all(seed <= RESERVED_PATIENT_SEEDS for seed in seeds)


@pytest.mark.parametrize("kind", ["regressor", "cascade", "augmentation", "evaluation"])
@pytest.mark.parametrize("name", ["../../../escaped", "/escaped", "a/b", "..", ".hidden", "", "a\\nb"])
def test_a_name_leads_out_of_no_folder(kind: str, name: str) -> None:
    path = next(path for path in FILES if yaml.safe_load(path.read_text())["kind"] == kind)
    with pytest.raises(ConfigError, match=r"name.*should match pattern"):
        load(path, f'name="{name}"')


@pytest.mark.parametrize("path", [f for f in FILES if "kind: cascade" in f.read_text()], ids=lambda path: path.stem)
def test_every_stage_of_a_cascade_can_be_built(path: Path) -> None:
    config = load_training_config(path)
    assert isinstance(config, CascadeConfig)
    for stage in config.stages.values():
        unit = stage.unet.patch * 2 ** (len(stage.unet.widths) - 1)
        assert (stage.crop or stage.size) % unit == stage.size % unit == 0
        assert stage.unet.frame_patch is None or stage.unet.frame_patch * stage.size == 112 * stage.unet.patch
        assert stage.spec("base").frames == stage.frames
        stage.scheduler()


def test_a_training_config_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of cascade, regressor"):
        load_training_config(CONFIGS / "smoke" / "evaluation.yaml")
