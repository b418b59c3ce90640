"""`echosynth bench`: its objects, its tables, and refusals in one line."""

from pathlib import Path

import pytest

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
    assert "unknown key" in echosynth("bench", "--estimate", SMOKE / "judge_tiny.yaml").refusal()


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
