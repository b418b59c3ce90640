"""The verb `train`: one folder for one run, which may be lengthened in place; parts that keep their weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from echosynth.errors import ConfigError, OutputError
from echosynth.training.cascade import CascadeConfig
from echosynth.training.regressor import RegressorConfig
from echosynth.training.train import train
from tests.training_runs import OPTIM, PACE, make_config, read_log, weights

SIZES = {"fps": 16, "frames": 8, "size": 16, "widths": [8] * 4, "blocks": [1] * 4, "stem_width": 8}


@pytest.fixture
def raw(tmp_path: Path) -> dict[str, Any]:
    return make_config(tmp_path / "sets")


def regressor(raw: dict[str, Any], **changes: Any) -> RegressorConfig:
    fields = {"kind": "regressor", "name": "tiny", "network": "R2Plus1D", "arguments": SIZES, "optim": OPTIM}
    clips = {"data": raw["data"], "validation": raw["validation"], "pace": PACE}
    return RegressorConfig.model_validate(fields | clips | changes)


def guide_of(raw: dict[str, Any], steps: int, **changes: Any) -> CascadeConfig:
    """A cascade of which the guide alone is trained, at a rate that does not depend on the number of steps."""
    optim = OPTIM | {"steps": steps, "decay_share": 0.0} | changes
    return CascadeConfig.model_validate(raw | {"only": ["ef_guide"], "ef_guide": raw["ef_guide"] | {"optim": optim}})


@pytest.mark.heavy
def test_a_run_that_is_lengthened_in_place_becomes_the_longer_run(raw: dict[str, Any], tmp_path: Path) -> None:
    assert train(guide_of(raw, 5), tmp_path / "run").model is None
    short = weights(tmp_path / "run", "ef_guide")
    train(guide_of(raw, 7), tmp_path / "run")  # on from the checkpoint after step 4
    train(guide_of(raw, 7), tmp_path / "whole")
    long, whole = (weights(tmp_path / name, "ef_guide") for name in ("run", "whole"))
    assert all(torch.equal(long[key], whole[key]) for key in whole)
    assert not all(torch.equal(long[key], short[key]) for key in short)
    one, two = (read_log(tmp_path / name / "ef_guide" / "log.jsonl") for name in ("run", "whole"))
    assert [line["step"] for line in one] == [line["step"] for line in two] == list(range(1, 8))


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"lr": 2e-3}, "ef_guide.optim.lr was 0.001, now 0.002"),
        ({"steps": 5}, "ef_guide.optim.steps was 6, now 5"),
    ],
)
def test_another_run_is_refused_by_the_key_that_differs(
    raw: dict[str, Any], tmp_path: Path, change: dict[str, Any], key: str
) -> None:
    train(guide_of(raw, 6), tmp_path / "run")
    before = weights(tmp_path / "run", "ef_guide")
    with pytest.raises(OutputError, match=key):
        train(guide_of(raw, **({"steps": 6} | change)), tmp_path / "run")
    after = weights(tmp_path / "run", "ef_guide")
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.heavy
def test_what_does_not_decide_the_weights_may_change(raw: dict[str, Any], tmp_path: Path) -> None:
    train(guide_of(raw, 2), tmp_path / "run")
    other = raw | {"pace": PACE | {"log_every": 3}, "data": raw["data"] | {"workers": 5}}
    train(guide_of(other, 2), tmp_path / "run")


@pytest.mark.heavy
def test_a_folder_of_an_earlier_version_goes_on(raw: dict[str, Any], tmp_path: Path) -> None:
    """Its config.yaml has the flat keys of a stage, and names no command."""
    config = guide_of(raw, 2)
    train(config, tmp_path / "run")
    old = config.model_copy(update={"only": None}).model_dump(mode="json")
    for stage in old["stages"].values():
        stage |= stage.pop("sampling") | stage.pop("noise")
        del stage["frozen"]
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(old))
    (tmp_path / "run" / "run.json").unlink()
    train(config, tmp_path / "run")
    assert "sampling" in yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["stages"]["base"]


@pytest.mark.heavy
def test_the_scores_of_a_regressor_are_those_of_its_last_step(raw: dict[str, Any], tmp_path: Path) -> None:
    seen = []
    for steps in (2, 2, 20):
        result = train(regressor(raw, optim=OPTIM | {"steps": steps, "lr": 3e-3}), tmp_path / "run")
        seen.append(json.loads((tmp_path / "run" / "tiny" / "scores.json").read_text())["ceiling"]["mae"])
        assert result.to_dict() == {
            "run": str(tmp_path / "run"),
            "kind": "regressor",
            "model": str(tmp_path / "run" / "tiny" / "model"),
            "seconds": round(result.seconds, 2),
        }
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.heavy
def test_a_frozen_part_keeps_its_weights_and_asks_for_no_clips(raw: dict[str, Any], tmp_path: Path) -> None:
    train(guide_of(raw, 2), tmp_path / "before")
    init = tmp_path / "before" / "ef_guide" / "model"
    frozen = {"widths": [32, 32], "blocks": [1, 1], "init": str(init), "frozen": True}
    nowhere = raw["data"] | {"root": str(tmp_path / "nowhere")}
    config = raw | {"only": ["ef_guide"], "ef_guide": frozen, "data": nowhere}
    for _ in range(2):
        train(CascadeConfig.model_validate(config), tmp_path / "run")
    given = load_file(init / "diffusion_pytorch_model.safetensors")
    kept = weights(tmp_path / "run", "ef_guide")
    assert all(torch.equal(kept[name], value) for name, value in given.items())
    assert not (tmp_path / "nowhere").exists()
    assert not (tmp_path / "run" / "ef_guide" / "log.jsonl").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("change", [{"fps": "x"}, {"frames": "8"}, {"size": 5}, {"fps": 7}])
def test_arguments_that_fit_no_clips_are_refused_before_a_folder_is_made(
    raw: dict[str, Any], tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"^tiny: "):
        train(regressor(raw, arguments=SIZES | change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.heavy
def test_the_old_name_of_a_regressors_transforms_is_read(raw: dict[str, Any]) -> None:
    assert regressor(raw, augmentation={"noise": 0.05}) == regressor(raw, transforms={"noise": 0.05})
