"""Publishing weights: what stands in the card is what the run folders say."""

import argparse
import json
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from echosynth.regression.loading import load_regressor
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.report.model_card import read_card
from tests.models import make_tiny_regressor

pytestmark = pytest.mark.heavy
ROOT = Path(__file__).resolve().parents[1]
PUBLISH: Any = runpy.run_path(str(ROOT / "scripts" / "publish_model.py"))["publish"]
SCORES = {"ceiling": {"n": 8, "r2": 0.9, "mae": 4, "rmse": 5, "bias": 0, "slope": 1, "pearson_r": 0.95, "ci": {}}}


def make_run(folder: Path, first_seed: int, patients: int, steps: int, seconds: float) -> Path:
    """What a training leaves: its config, and a log that says the seconds of a step since the line before."""
    data = {"source": "phantom", "patients": patients, "first_seed": first_seed, "efs": [10.0, 85.0], "views": "wide"}
    (folder / "tiny").mkdir(parents=True)
    config = {"kind": "regressor", "name": "tiny", "network": "R2Plus1D", "seed": 3, "data": data}
    (folder / "config.yaml").write_text("# A tiny regressor.\n" + yaml.safe_dump(config))
    half = steps // 2
    lines = [
        {"step": half, "loss": 2.0, "seconds": seconds},
        {"step": half, "validation": 0.123456},
        {"step": steps, "loss": 1.0, "seconds": 3 * seconds},
        {"step": steps, "validation": 0.1},
    ]
    (folder / "tiny" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def arguments(tmp_path: Path) -> argparse.Namespace:
    run = make_run(tmp_path / "run", 0, 64, 200, 18.0)
    (tmp_path / "scores.json").write_text(json.dumps(SCORES))
    return argparse.Namespace(
        name="tiny",
        folder=make_tiny_regressor(tmp_path, "model", R2Plus1D),
        config=run / "config.yaml",
        logs=[run],
        scores=tmp_path / "scores.json",
        hardware="2 CPU cores",
        goes_on=False,
        note="It began small.",
    )


def test_a_published_model_loads_and_its_card_says_what_the_run_says(
    tmp_path: Path, arguments: argparse.Namespace
) -> None:
    target = PUBLISH(arguments, tmp_path / "checkpoints")
    card = read_card(target)
    assert card.training[0].note == "It began small."
    (session,) = card.training
    assert [(run.name, run.steps, run.validation) for run in session.runs] == [
        ("run/tiny", 200, {100: 0.1235, 200: 0.1})
    ]
    assert (session.patients, session.ef, session.hardware) == (64, (10.0, 85.0), "2 CPU cores")
    assert session.hours == pytest.approx((100 * 18 + 100 * 54) / 3600)
    assert (card.patient_seeds, card.training_seed) == ((0, 63), 3)
    assert card.description == "EF of an A4C clip. A tiny regressor."
    assert str(tmp_path) not in (target / "config.json").read_text(), "nothing says where it was trained"
    masters, copies = load_regressor(arguments.folder).state_dict(), load_regressor(target).state_dict()
    assert all(
        torch.equal(copies[name], value.half().float()) for name, value in masters.items() if value.is_floating_point()
    )


def test_continued_training_keeps_the_history(tmp_path: Path, arguments: argparse.Namespace) -> None:
    PUBLISH(arguments, tmp_path / "checkpoints")
    more = make_run(tmp_path / "more", 64, 100, 20, 1.0)
    again = argparse.Namespace(**vars(arguments) | {"logs": [more], "goes_on": True})
    card = read_card(PUBLISH(again, tmp_path / "checkpoints"))
    assert [run.name for session in card.training for run in session.runs] == ["run/tiny", "more/tiny"]
    assert card.patient_seeds == (0, 163)
