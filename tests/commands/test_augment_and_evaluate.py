"""`augment` and `evaluate` with the smoke configs on tiny models."""

import json
from pathlib import Path

import pytest

from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.evaluation.cases import phantom_case, render_pair
from tests.command_line import Run

pytestmark = pytest.mark.heavy

SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke"


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantoms")
    with EchoNetWriter(root) as writer:
        for k, ef in enumerate((30.0, 55.0, 62.0)):
            _, clip = render_pair(3_000_100 + k, ef, ef, 16, 32.0, 0.0)
            writer.add(f"p{k}", clip.replace(edv=100.0, esv=100.0 - ef), "TRAIN" if k < 2 else "TEST")
    return root


def test_augment_reads_back_and_continues(echosynth: Run, phantoms: Path, tmp_path: Path) -> None:
    words = ("augment", SMOKE / "augmentation.yaml", "--set", f"source={phantoms}", "--set", "tolerance=100")
    done = echosynth(*words, "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    dataset = EchoNetDataset(tmp_path / "run" / "dataset")
    assert len(dataset) == done.json["accepted"] == done.json["planned"] == 4
    assert dataset.clip(0).ef == dataset.rows[0].ef
    assert (tmp_path / "run" / "histogram.png").is_file()
    assert echosynth(*words, "--out", tmp_path / "run", "--json").json == done.json
    assert echosynth(*words, "--set", "seed=9", "--out", tmp_path / "run").code == 2


def test_augment_tells_of_shards_status_merge_and_cost(echosynth: Run, phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("augment", SMOKE / "augmentation.yaml", "--set", f"source={phantoms}", "--set", "tolerance=100")
    cost = echosynth(*words, "--estimate", "--json").json
    assert (cost["clips"], cost["parts"], cost["acceptance"]) == (4, 4, None)
    assert cost["attempts"] == 8, "of a cascade whose acceptance nobody knows, every attempt may be needed"
    assert cost["seconds"] > 0
    assert cost["hours"]["1"] >= cost["hours"]["4"] == cost["hours"]["64"]
    assert not out.exists()
    first = echosynth(*words, "--out", out, "--shard", "1/2")
    assert first.out == f"this shard is finished; 2 parts of {out} are left to others\n"
    status = echosynth("augment", "status", out)
    assert "2 of 4 planned clips are finished, 2 accepted" in status.out
    assert "2 of 4 parts are unfinished, 0 of them in work" in status.out
    assert echosynth("augment", "status", out, "--json").json["unfinished"] == [1, 3]
    assert "2 of 4 parts" in echosynth("augment", "merge", out).refusal()
    assert echosynth(*words, "--out", out, "--shard", "2/2", "--json").json["accepted"] == 4
    assert "4 of 4 planned clips accepted" in echosynth("augment", "merge", out).out
    for wrong in (("status", tmp_path), ("merge", tmp_path / "none"), (SMOKE / "augmentation.yaml", out)):
        echosynth("augment", *wrong).refusal()
    for wrong in (("--shard", "3/2"), ("--shard", "x"), ("--shard", "1/2", "--engine", "ray")):
        echosynth(*words, "--out", tmp_path / "other", *wrong).refusal()
    assert not (tmp_path / "other").exists()


def test_evaluate_scores_and_continues(echosynth: Run, tmp_path: Path) -> None:
    words = ("evaluate", SMOKE / "evaluation.yaml", "--out", tmp_path / "run", "--json")
    done = echosynth(*words)
    assert done.code == 0, done.err
    result = done.json
    assert result["counterfactual"]["n"] == result["ceiling"]["n"] == result["similarity"]["n"] == 4
    assert result["factual"]["n"] == 2
    assert result["best_of_k"]["counterfactual"]["k"] == 2
    assert {"r2", "mae", "rmse", "bias_by_decile", "ci"} <= set(result["counterfactual"])
    assert list(result["frechet"]) == ["fd[judge:judge_frame_transformer;n=2]"]
    samples, parts = tmp_path / "run" / "samples.jsonl", tmp_path / "run" / ".parts"
    lines = samples.read_bytes()
    samples.unlink()
    for finished in parts.glob("*.json"):
        finished.unlink()
    journal = parts / "00001.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])  # killed within a line
    (parts / "00003.jsonl").unlink()
    again = echosynth(*words).json
    ignore = {"seconds_per_clip"}
    assert {k: v for k, v in again.items() if k not in ignore} == {k: v for k, v in result.items() if k not in ignore}
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text()) == again
    assert len(samples.read_bytes().splitlines()) == len(lines.splitlines())
    assert all((tmp_path / "run" / name).is_file() for name in ("scatter.png", "bland_altman.png", "index.html"))


def test_evaluate_takes_a_dataset(echosynth: Run, phantoms: Path, tmp_path: Path) -> None:
    words = (
        "evaluate",
        SMOKE / "evaluation.yaml",
        "--set",
        f"test={{kind: dataset, root: {phantoms}, split: TRAIN}}",
    )
    done = echosynth(*words, "--set", "best_of_k=1", "--out", tmp_path / "run", "--json")
    assert done.code == 0, done.err
    assert done.json["ceiling"]["n"] == done.json["counterfactual"]["n"] == 2
    assert done.json["similarity"] == {"n": 0}


def test_the_true_counterfactual_starts_at_the_frames_phase() -> None:
    case = phantom_case(2_000_000, 4, 32.0)
    frame, truth = render_pair(5, 40.0, 40.0, 4, 32.0, 0.3)
    assert (frame == truth.pixels[0]).all()
    assert case.truth.ef == case.target_ef != case.own_ef
