"""Every YAML file in configs/ is read strictly by its kind: a key or a value that no code knows fails here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.config import load_config
from echosynth.errors import ConfigError
from echosynth.evaluation.config import EvaluateConfig
from echosynth.evaluation.panel import PanelConfig
from echosynth.evaluation.uplift.config import UpliftConfig
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.storage.config_file import read_config
from echosynth.training.cascade import CascadeConfig
from echosynth.training.stage_config import StageConfig
from echosynth.training.train import KINDS, load_training_config

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
FILES = sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent.name != "accelerate")
OTHERS: dict[str, type[BaseModel]] = {"augmentation": AugmentConfig, "evaluation": EvaluateConfig, "panel": PanelConfig}
OTHERS |= {"uplift": UpliftConfig}
CASCADES = [path for path in FILES if read_config(path)["kind"] == "cascade"]


def load(path: Path, *overrides: str) -> BaseModel:
    kind = read_config(path)["kind"]
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


def patient_seeds(values: object) -> Iterator[range]:
    """The patient seeds of every set of phantoms that a config names, however deep it stands."""
    if isinstance(values, dict):
        if "first_seed" in values:
            count = values.get("patients", values.get("count"))
            assert isinstance(count, int)
            yield range(values["first_seed"], values["first_seed"] + count)
        for value in values.values():
            yield from patient_seeds(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from patient_seeds(value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONFIGS).as_posix())
def test_nothing_touches_the_patients_of_acceptance(path: Path) -> None:
    config = load(path).model_dump(mode="json")
    seeds = list(patient_seeds(config))
    # What is in a file must have been looked at; a dataset's patients are looked at when it is opened.
    assert len(seeds) >= (CONFIGS / path).read_text().count("source: phantom")
    assert seeds or "dataset" in str(config) or config["kind"] in ("augmentation", "panel", "uplift")
    assert all(seed.stop <= RESERVED_PATIENT_SEEDS for seed in seeds)


def test_seeds_are_found_wherever_they_stand() -> None:
    path = CONFIGS / "diffusion" / "phantom_small.yaml"
    for key in ("data", "validation", "stages.frame.data", "stages.frame.validation"):
        config = load(path, f"{key}.first_seed={RESERVED_PATIENT_SEEDS}").model_dump(mode="json")
        assert sum(seeds.stop > RESERVED_PATIENT_SEEDS for seeds in patient_seeds(config)) == 1, key


@pytest.mark.parametrize("kind", ["regressor", "cascade", "augmentation", "evaluation", "uplift"])
@pytest.mark.parametrize("name", ["../../../escaped", "/escaped", "a/b", "..", ".hidden", "", "a\\nb"])
def test_a_name_leads_out_of_no_folder(kind: str, name: str) -> None:
    path = next(path for path in FILES if read_config(path)["kind"] == kind)
    with pytest.raises(ConfigError, match=r"name.*should match pattern"):
        load(path, f'name="{name}"')


@pytest.mark.parametrize("path", CASCADES, ids=lambda path: path.relative_to(CONFIGS).as_posix())
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


FLAT = """
kind: base
frames: 4
fps: 8
size: 28
num_inference_steps: 2
guidance_scale: 1.3
steering_scale: 1.0
steering_low: 0.02
S_churn: 10
solver: heun
sigma_data: 0.13
sigma_min: 0.01
sigma_max: 5
P_mean: -0.5
lowres_sigma_max: 0.1
unet: {patch: 2, widths: [32], blocks: [1], space_attention: [true], time_attention: [true], frame_patch: 8}
"""
BLOCKS = """
kind: base
frames: 4
fps: 8
size: 28
sampling: {num_inference_steps: 2, guidance_scale: 1.3, ef_guidance_scale: 1.0, ef_guidance_low: 0.02, S_churn: 10,
  solver: heun, sigma_min: 0.01, sigma_max: 5}
noise: {sigma_data: 0.13, P_mean: -0.5, lowres_sigma_max: 0.1}
unet: {patch: 2, widths: [32], blocks: [1], space_attention: [true], time_attention: [true], frame_patch: 8}
"""


def read_stage(folder: Path, text: str, *overrides: str) -> StageConfig:
    path = folder / "stage.yaml"
    path.write_text(text)
    return load_config(path, StageConfig, overrides)


def test_the_flat_keys_of_earlier_versions_say_the_same(tmp_path: Path) -> None:
    old = read_stage(tmp_path, FLAT + "optim: {steps: 0}\ninit: somewhere\n")
    new = read_stage(tmp_path, BLOCKS + "frozen: true\ninit: somewhere\n")
    assert old == new
    assert new.sampling.ef_guidance_scale == 1.0
    assert new.spec("base").guidance_scale == 1.3
    assert read_stage(tmp_path, BLOCKS + "optim: {steps: 3}", "frozen=true", "init=somewhere") == new


@pytest.mark.parametrize(
    ("text", "override", "words"),
    [
        (BLOCKS, "P_mean=1", "'P_mean' is 'noise.P_mean' now, and that is given too"),
        (BLOCKS, "sampling.solvr=heun", "unknown key 'sampling.solvr'; did you mean 'sampling.solver'?"),
        (BLOCKS, "optim.steps=0", "optim.steps must be at least 1; a part that stays as it is has frozen: true"),
        (BLOCKS, "frozen=true", "frozen: it keeps the weights of an init"),
        (BLOCKS, "kind=base", "key 'optim' is missing"),
        (
            FLAT + "optim: {steps: 1}",
            "num_inference_steps=few",
            "key 'num_inference_steps': Input should be a valid integer",
        ),
    ],
)
def test_a_stage_that_says_it_wrongly_is_refused_in_one_line(
    tmp_path: Path, text: str, override: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_stage(tmp_path, text, override)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
