"""Configuration: what is wrong is named in one line; what is right survives a round trip."""

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field, ValidationError

from echosynth.config import StrictModel, load_config
from echosynth.errors import ConfigError
from echosynth.storage.run_folder import RunFolder


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


def write_two(folder: Path, below: str, above: str) -> Path:
    (folder / "base").mkdir()
    (folder / "base" / "plain.yaml").write_text(below)
    return write(folder, "extends: base/plain.yaml\n" + above)


def test_a_file_that_extends_another_says_only_what_differs(tmp_path: Path) -> None:
    below = "steps: 1\nstages: [{}, {}]\noptimizer: {lr: 1e-3, betas: [0.5, 0.9]}\nearly: {kind: spatial}\n"
    above = "stages: [{kind: spatial}]\noptimizer: {lr: 1e-5}\nearly: null\nnamed: {sr1: {}}\n"
    path = write_two(tmp_path, below, above)
    said = Training(
        steps=1, stages=[Stage(kind="spatial")], optimizer=Optimizer(lr=1e-5, betas=(0.5, 0.9)), named={"sr1": Stage()}
    )
    assert load_config(path, Training) == said
    assert load_config(path, Training, ["optimizer.lr=2e-5"]).optimizer == Optimizer(lr=2e-5, betas=(0.5, 0.9))


def test_later_files_win_and_a_replaced_mapping_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("steps: 1\noptimizer: {lr: 1e-3, betas: [0.5, 0.9]}\n")
    (tmp_path / "two.yaml").write_text("extends: one.yaml\nsteps: 2\n")
    (tmp_path / "three.yaml").write_text("task: {type: regression, backbone: x}\noptimizer: {lr: 1e-4}\n")
    path = write(tmp_path, "extends: [two.yaml, three.yaml]\ntask: !replace {type: diffusion, sigma_data: 0.25}\n")
    config = load_config(path, Training)
    assert config.steps == 2
    assert config.optimizer == Optimizer(lr=1e-4, betas=(0.5, 0.9))
    assert config.task == DiffusionTask(sigma_data=0.25)
    merged = path.read_text().replace("!replace ", "")
    assert "three.yaml (extended by" in fail(tmp_path, merged)
    assert "unknown key 'task.backbone'" in fail(tmp_path, merged)


def test_what_two_files_share_by_an_alias_is_changed_for_one_key_alone(tmp_path: Path) -> None:
    path = write_two(tmp_path, "steps: 1\nnamed: {a: &a {kind: spatial}, b: *a}\n", "named: {b: {kind: base}}\n")
    config = load_config(path, Training, ["named.b.num_inference_steps=4"])
    assert config.named == {"a": Stage(kind="spatial"), "b": Stage(num_inference_steps=4)}


@pytest.mark.parametrize(
    ("below", "above", "words"),
    [
        ("steps: 1\noptimizer: {rl: 1}\n", "", "plain.yaml (extended by {above}): unknown key 'optimizer.rl'; did you"),
        ("steps: x\nstages: [{kind: top}]\n", "steps: 1\n", "plain.yaml (extended by {above}): key 'stages.0.kind'"),
        ("steps: x\n", "steps: y\n", "{above}: key 'steps': Input should be"),
        ("early: {}\n", "early: {knd: base}\n", "{above}: unknown key 'early.knd'"),
        ("early: {}\n", "", "{above}: key 'steps' is missing"),
        ("extends: ../train.yaml\n", "", "{above}: extends itself: {above} -> "),
        ("extends: plian.yaml\n", "", "plain.yaml: key 'extends': no configuration file"),
        ("extends: [1]\n", "", "plain.yaml: key 'extends': names a file, or a list of files, got [1]"),
        ("steps: [1\n", "", "plain.yaml, line 2: not valid YAML"),
        ("- 1\n", "", "plain.yaml: the top level must be"),
    ],
)
def test_the_file_that_says_what_is_wrong_is_named(tmp_path: Path, below: str, above: str, words: str) -> None:
    path = write_two(tmp_path, below, above)
    with pytest.raises(ConfigError) as caught:
        load_config(path, Training)
    assert words.replace("{above}", str(path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_resolved_config_does_not_extend(tmp_path: Path) -> None:
    config = load_config(write_two(tmp_path, "steps: 1\n", "early: {}\n"), Training)
    with RunFolder.open(tmp_path / "run", "train", config):
        pass
    assert "extends" not in (tmp_path / "run" / "config.yaml").read_text()
    assert load_config(tmp_path / "run" / "config.yaml", Training) == config


def test_the_resolved_config_loads_again_and_a_resumed_run_keeps_its_history(tmp_path: Path) -> None:
    config = Training(steps=5, optimizer=Optimizer(lr=1e-5), task=RegressionTask(), early=Stage())
    for starts in (1, 2):
        with RunFolder.open(tmp_path / "run", "train", config):
            provenance = json.loads((tmp_path / "run" / "provenance.json").read_text())
            assert len(provenance) == starts
    assert load_config(tmp_path / "run" / "config.yaml", Training) == config
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["optimizer"]["betas"] == [0.9, 0.999]
    assert provenance[0]["versions"]["torch"]
    assert {"time", "git_commit", "python", "platform", "echosynth", "command"} <= set(provenance[0])
