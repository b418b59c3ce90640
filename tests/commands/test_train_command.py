"""`echosynth train` and `simulate`: what cannot be done is refused in one line, before any work."""

from pathlib import Path

import pytest
import torch

from tests.command_line import Run

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke"


def test_training_configs_are_refused_in_one_line(echosynth: Run, tmp_path: Path) -> None:
    assert "no configuration file" in echosynth("train", "nothing.yaml").refusal()
    assert "one of cascade, regressor" in echosynth("train", SMOKE / "evaluation.yaml").refusal()
    cascade = ("train", SMOKE / "cascade_tiny.yaml")
    assert "unknown key" in echosynth(*cascade, "--set", "sede=1").refusal()
    (tmp_path / "bare.yaml").write_text("name: x\n")
    assert "'kind' is missing" in echosynth("train", "bare.yaml").refusal()
    if not torch.cuda.is_available():
        halved = echosynth(*cascade, "--set", "stages.sr1.optim.mixed_precision=fp16")
        assert "sr1: optim.mixed_precision fp16 needs a GPU" in halved.refusal()
    for root in ("nowhere", "elsewhere"):  # a refused run leaves its folder to the mended one
        said = echosynth(*cascade, "--out", "run", "--set", f"data.root={root}").refusal()
        assert f"no such file or folder: {root}" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("arguments.wrong=3", "no R2Plus1D can be built"),
        ("arguments.widths=[1,2]", "no R2Plus1D can be built"),
        ("arguments.fps=5", "does not divide data.fps"),
        ("arguments.fps=64", "does not divide data.fps"),
        ("arguments.frames=500", "500 frames at"),
        ("arguments.frames=0", "0 frames at"),
        ("arguments.size=30", "arguments.size 30 does not divide data's"),
        ("optim.batch_size=0", "at least 1"),
        ("optim.steps=0", "at least 1"),
        ("validation={source: phantom, patients: 0}", "validation.patients must be at least 1"),
        ("loss={contrast: {weight: 1}}", "is odd"),
        ("init=nowhere", "cannot start from nowhere: no model"),
    ],
)
def test_a_regressor_that_cannot_be_trained_is_refused_in_one_line(
    echosynth: Run, tmp_path: Path, change: str, message: str
) -> None:
    # Refused before a phantom is rendered. An odd batch is no fault but with a contrast.
    words = ("--set", "data={source: phantom}", "--set", "optim.batch_size=3", "--set", change)
    out = tmp_path / "run"
    assert message in echosynth("train", SMOKE / "regressor_tiny.yaml", "--out", out, *words).refusal()
    assert not out.exists()  # or the mended config would be another one than the folder's


def test_training_on_acceptance_patients_is_refused(echosynth: Run) -> None:
    phantoms = "data={source: phantom, patients: 2, first_seed: 8999999}"
    said = echosynth("train", SMOKE / "regressor_tiny.yaml", "--set", phantoms).refusal()
    assert "reserved for acceptance" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--patients", "0"], "--patients"),
        (["--patients", "1", "--counterfactual", "99"], "--counterfactual"),
        (["--patients", "1", "--workers", "0"], "--workers"),
        (["--patients", "1", "--frames", "5"], "more --frames"),
        (["--patients", "many"], "invalid int"),
    ],
)
def test_simulate_refuses_in_one_line(echosynth: Run, tmp_path: Path, words: list[str], message: str) -> None:
    assert message in echosynth("simulate", "out", *words).refusal()
    assert not (tmp_path / "out").exists()
