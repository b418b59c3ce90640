"""`echosynth bench`: its objects, its tables, and refusals in one line."""

from pathlib import Path

import pytest

from echosynth.config import load_config
from echosynth.training.regressor import RegressorConfig
from tests.command_line import Run

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke"


def test_every_pass_is_counted(echosynth: Run) -> None:
    result = echosynth("bench", "generate", "--repeat", "1", "--json").json
    assert [stage["name"] for stage in result["stages"]] == ["base", "sr1", "sr2"]
    for stage in result["stages"]:
        assert stage["passes"] == 2
        assert min(stage["parameters"], stage["tflop"], stage["seconds"], stage["peak_mb"]) > 0
    assert result["total"]["tflop"] == pytest.approx(sum(stage["tflop"] for stage in result["stages"]))
    assert result["reference"]["tflop"] == 1181
    assert "--repeat: must be at least 1, got 0" in echosynth("bench", "--repeat", "0").refusal()
    assert "no model" in echosynth("bench", "--model", "none_of_ours").refusal()


@pytest.mark.heavy
def test_training_is_estimated(echosynth: Run) -> None:
    words = ("bench", "--estimate", SMOKE / "cascade_tiny.yaml")
    one = echosynth(*words, "--json").json
    two = echosynth(*words, "--gpus", "2", "--tflops", "50", "--json").json
    assert [stage["name"] for stage in one["stages"]] == ["frame", "base", "sr1", "sr2"]
    assert one["total"]["passes"] == 2 + 2 * 2 + 2 + 1 + 1  # both steps of the base with both guidances
    assert min(stage["memory_gb"] for stage in one["stages"]) > 0
    assert two["total"]["hours"] == pytest.approx(one["total"]["hours"])
    rows = [line.split() for line in echosynth(*words).out.splitlines()]
    assert [row[0] for row in rows[:6]] == ["stage", "frame", "base", "sr1", "sr2", "total"]
    assert "--gpus: must be above zero, got 0" in echosynth(*words, "--gpus", "0").refusal()
    assert all(stage["cpu_hours"] > 0 for stage in one["stages"])
    assert one["total"]["cpu_hours"] == pytest.approx(sum(stage["cpu_hours"] for stage in one["stages"]))
    assert "kind" in echosynth("bench", "--estimate", SMOKE / "evaluation.yaml").refusal()


@pytest.mark.heavy
def test_the_training_of_a_regressor_is_estimated(echosynth: Run) -> None:
    words = ("bench", "--estimate", SMOKE / "judge_tiny.yaml", "--json")
    (row,) = echosynth(*words).json["stages"]
    settings = load_config(SMOKE / "judge_tiny.yaml", RegressorConfig)
    network = settings.build()
    assert row["parameters"] == sum(p.numel() for p in network.parameters())
    forward = row["clip_tflop"] / row["passes"] * settings.optim.batch_size
    assert 2.5 * forward < row["step_tflop"] <= 3 * forward  # its input has no gradient
    assert row["cpu_hours"] > 0


@pytest.mark.heavy
def test_regressors_are_as_large_as_was_published(echosynth: Run) -> None:
    found = echosynth("bench", "regressors", "--repeat", "1", "--json").json["regressors"]
    rows = {row["name"]: row for row in found}
    assert rows["EchoNet-Dynamic, R(2+1)D-18"]["parameters"] == pytest.approx(31.3e6, rel=0.02)
    for row in found:
        for figure, value in (row["published"] or {}).items():
            assert value is None or row[figure] == pytest.approx(value, rel=0.02), (row["name"], figure)


@pytest.mark.slow
def test_rates_of_data_have_names(echosynth: Run) -> None:
    rates = {row["name"]: row["clips_per_s"] for row in echosynth("bench", "data", "--json").json["rates"]}
    assert len(rates) == 5
    assert all(rate > 0 for rate in rates.values())
