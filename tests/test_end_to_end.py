"""The whole chain through the front door, on models that were trained for two steps:

phantom -> training -> cascade and regressors -> generate -> gate -> dataset -> training data again -> evaluation
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from echosynth.cli import main
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.training.clips.dataset_source import DatasetSource, DatasetSourceConfig

pytestmark = pytest.mark.heavy

SMOKE = Path(__file__).resolve().parents[1] / "configs" / "smoke"
CASCADE, GATE, JUDGE = (
    "runs/cascade_tiny/pipeline",
    "runs/regressor_tiny/regressor_tiny/model",
    "runs/judge_tiny/judge_tiny/model",
)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in an empty folder; returns the object that it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> dict[str, Any]:
        code = main([*words, "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err[-2000:]
        return json.loads(printed.out)

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield run
    torch.set_num_threads(before)


def test_from_phantoms_to_an_evaluated_dataset(call: Any, tmp_path: Path) -> None:
    made = call("simulate", "runs/smoke/phantoms", "--patients", "4", "--frames", "16", "--fps", "32", "--workers", "1")
    assert made["clips"] == 4
    assert made["splits"]["TRAIN"] >= 2

    for name in ("cascade_tiny", "regressor_tiny", "judge_tiny"):
        trained = call("train", str(SMOKE / f"{name}.yaml"))
        assert Path(trained["model"]).is_dir()
        assert (tmp_path / "runs" / name / "config.yaml").is_file()
        again = call("train", str(SMOKE / f"{name}.yaml"))  # nothing is left to do
        assert again["model"] == trained["model"]
    assert len(json.loads((tmp_path / "runs" / "cascade_tiny" / "provenance.json").read_text())) == 2

    models = ("--model", CASCADE, "--gate", GATE, "--judge", JUDGE)
    generated = call(
        *("generate", "runs/smoke/phantoms", "--limit", "1", "--ef", "30", "60", "--out", "runs/clips"),
        *("--max-attempts", "1", "--tolerance", "90", *models),
    )
    assert [clip["target_ef"] for clip in generated["clips"]] == [30, 60]
    assert all(clip["accepted"] and clip["judge_ef"] is not None for clip in generated["clips"])

    measured = call("measure", "runs/smoke/phantoms", "--regressor", JUDGE)
    assert len(measured["clips"]) == 4

    augmentation = ("augment", str(SMOKE / "augmentation.yaml"), "--set", f"model={CASCADE}", "--set", f"gate={GATE}")
    call(*augmentation, "--set", "tolerance=90", "--out", "runs/augmented")
    dataset = EchoNetDataset(tmp_path / "runs" / "augmented" / "dataset")
    assert {row.split for row in dataset.rows} == {"TRAIN"}
    source = DatasetSource(DatasetSourceConfig(root=dataset.root, num_frames=16))
    drawn = source.draw(2, torch.Generator().manual_seed(0))
    assert drawn.clips[0].shape == (16, 112, 112)
    assert drawn.frames[0].shape == (112, 112)
    assert bool(((drawn.known["ef"] > 0) & (drawn.known["ef"] < 100)).all())
    assert drawn.known["edv"].isnan().all(), "the volumes of a generated heart are unknown"
    phantoms = DatasetSource(DatasetSourceConfig(root=Path("runs/smoke/phantoms"), num_frames=16))
    known = phantoms.draw(2, torch.Generator().manual_seed(0)).known
    torch.testing.assert_close(100 * (1 - known["esv"] / known["edv"]), known["ef"], atol=0.1, rtol=0)
    assert known["quality"].isnan().all()
    assert bool(drawn.shown.all())

    overrides = [f"--set={key}={value}" for key, value in (("cascade", CASCADE), ("gate", GATE), ("judge", JUDGE))]
    scores = call("evaluate", str(SMOKE / "evaluation.yaml"), "--out", "runs/evaluation", *overrides)
    assert {"n", "counterfactual", "factual", "ceiling", "best_of_k", "similarity", "frechet"} <= scores.keys()
    assert scores["n"] == 6  # four targets, and two patients at their own EF
