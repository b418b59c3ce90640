"""Configuration: what is wrong is named in one line; what is right survives a round trip."""

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field, ValidationError

from echosynth.config import StrictModel, load_config
from echosynth.errors import ConfigError, OutputError
from echosynth.storage.provenance import save_resolved


class Optimizer(StrictModel):
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)


class Stage(StrictModel):
    kind: Literal["base", "spatial"] = "base"
    num_inference_steps: int = Field(16, ge=1)


class DiffusionTask(StrictModel):
    type: Literal["diffusion"] = "diffusion"
    sigma_data: float = 0.5


class RegressionTask(StrictModel):
    type: Literal["regression"] = "regression"
    backbone: str = "r2plus1d"


class Training(StrictModel):
    steps: int
    optimizer: Optimizer = Optimizer()
    stages: list[Stage] = Field(default_factory=list)
    task: Annotated[DiffusionTask | RegressionTask, Field(discriminator="type")] = DiffusionTask()
    named: dict[str, Stage] = Field(default_factory=dict)
    early: Stage | None = None


def write(folder: Path, text: str) -> Path:
    path = folder / "train.yaml"
    path.write_text(text)
    return path


def fail(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text), Training, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_values_and_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "steps: 10\nstages:\n- kind: spatial\n"), Training)
    assert config == Training(steps=10, stages=[Stage(kind="spatial")])
    with pytest.raises(ValidationError):
        config.steps = 11


def test_overrides_are_yaml_typed_and_reach_into_lists(tmp_path: Path) -> None:
    path = write(tmp_path, "steps: 10\nstages: [{}, {}]\n")
    overrides = ["steps=20", "optimizer.lr=1e-3", "optimizer.betas=[0.5, 0.9]", "stages.1.num_inference_steps=4"]
    config = load_config(path, Training, [*overrides, "early.kind=spatial"])
    assert config.steps == 20
    assert config.optimizer == Optimizer(lr=1e-3, betas=(0.5, 0.9))
    assert [stage.num_inference_steps for stage in config.stages] == [16, 4]
    assert config.early == Stage(kind="spatial")


def test_an_override_leaves_what_an_alias_shares_alone(tmp_path: Path) -> None:
    path = write(tmp_path, "steps: 10\nstages: [&one {kind: spatial}, *one]\n")
    config = load_config(path, Training, ["stages.1.num_inference_steps=4"])
    assert [stage.num_inference_steps for stage in config.stages] == [16, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: 1\noptimiser: {}\n", "unknown key 'optimiser'; did you mean 'optimizer'?"),
        ("step: 1\n", "unknown key 'step'; did you mean 'steps'? (and 1 more)"),
        ("steps: 1\noptimizer: {learning: 1}\n", "unknown key 'optimizer.learning'; valid keys: betas, lr"),
        ("steps: 1\nstages: [{}, {kinds: base}]\n", "'stages.1.kinds'; did you mean 'stages.1.kind'?"),
        ("steps: 1\ntask: {type: regression, backbon: x}\n", "'task.backbon'; did you mean 'task.backbone'?"),
        ("steps: 1\nnamed: {sr1: {knd: base}}\n", "'named.sr1.knd'; did you mean 'named.sr1.kind'?"),
        ("steps: 1\nearly: {knd: base}\n", "'early.knd'; did you mean 'early.kind'?"),
        ("{}", "key 'steps' is missing"),
        ("steps: many\n", "key 'steps': Input should be a valid integer"),
        ("steps: 1\nstages: [{num_inference_steps: 0}]\n", "'stages.0.num_inference_steps': Input should be greater"),
        ("steps: [1\n", "line 2: not valid YAML"),
        ("steps: 1\nsteps: 2\n", "line 2: not valid YAML: key 'steps' is given twice"),
        ("- steps\n", "the top level must be"),
        ("", "key 'steps' is missing"),
    ],
)
def test_a_fault_is_one_line_with_file_key_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    message = fail(tmp_path, text)
    assert words in message
    assert str(tmp_path / "train.yaml") in message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.rl=1", "with --set optimizer.rl: unknown key 'optimizer.rl'; did you mean 'optimizer.lr'?"),
        ("steps", "expected key=value"),
        ("steps.x=1", "'steps' is a single value"),
        ("stages.3.kind=base", "'stages' is a list of 1; no item '3'"),
        ("steps=[1", "--set steps, line 1: not valid YAML"),
    ],
)
def test_a_faulty_override_is_named(tmp_path: Path, override: str, words: str) -> None:
    assert words in fail(tmp_path, "steps: 1\nstages: [{}]\n", override)


def test_a_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path, "steps: 1")
    with pytest.raises(ConfigError, match=r"no configuration file .*trian.yaml; did you mean .*train.yaml"):
        load_config(tmp_path / "trian.yaml", Training)


def test_merge_keys_are_not_taken_for_duplicates(tmp_path: Path) -> None:
    text = "steps: 1\nnamed:\n  a: &a {kind: spatial, num_inference_steps: 3}\n  b: {<<: *a, kind: base}\n"
    assert load_config(write(tmp_path, text), Training).named["b"] == Stage(kind="base", num_inference_steps=3)


def test_the_resolved_config_loads_again_and_a_resumed_run_keeps_its_history(tmp_path: Path) -> None:
    config = Training(steps=5, optimizer=Optimizer(lr=1e-5), task=RegressionTask(), early=Stage())
    for starts in (1, 2):
        save_resolved(config, tmp_path / "run")
        provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
        assert len(provenance) == starts
    assert load_config(tmp_path / "run" / "config.yaml", Training) == config
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["optimizer"]["betas"] == [0.9, 0.999]
    assert provenance[0]["versions"]["torch"]
    assert {"time", "git_commit", "python", "platform", "echosynth", "command"} <= set(provenance[0])
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.yaml", "provenance.json"]


def test_a_folder_of_another_run_is_left_alone(tmp_path: Path) -> None:
    save_resolved(Training(steps=5), tmp_path)
    with pytest.raises(OutputError, match="another configuration"):
        save_resolved(Training(steps=6), tmp_path)
    assert load_config(tmp_path / "config.yaml", Training).steps == 5
    with pytest.raises(OutputError, match="cannot make the run folder"):
        save_resolved(Training(steps=5), tmp_path / "config.yaml" / "run")
