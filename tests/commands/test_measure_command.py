"""`echosynth measure` on tiny models: EF and interval, panels, beats, windows, files, warnings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echosynth.data.clip_files import load_clip_file
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.evaluation import measure as measuring
from echosynth.evaluation.cases import render_pair
from echosynth.regression.loading import DEFAULT_GATE, DEFAULT_JUDGE
from echosynth.regression.phases import Beat
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.video.clip import EchoClip
from echosynth.video.writers import write_avi
from tests.command_line import Run
from tests.models import make_tiny_regressor

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients whose EF is known."""
    root = tmp_path_factory.mktemp("phantoms")
    with EchoNetWriter(root) as writer:
        for k, ef in enumerate((30.0, 55.0, 62.0)):
            _, clip = render_pair(3_000_200 + k, ef, ef, 24, 32.0, 0.0)
            writer.add(f"p{k}", clip.replace(edv=100.0, esv=100.0 - ef), "TEST")
    return root


def by_regressor(clips: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for clip in clips:
        groups.setdefault(clip["regressor"], []).append(clip)
    return groups


def test_one_split_alone_is_measured(echosynth: Run, phantoms: Path) -> None:
    words = ("measure", phantoms, "--regressor", DEFAULT_GATE)
    assert len(echosynth(*words, "--split", "test", "--json").json["clips"]) == 3
    assert "no clip in the split VAL" in echosynth(*words, "--split", "VAL").refusal()


def test_ef_and_interval(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    table = tmp_path / "ef.csv"
    done = echosynth("measure", phantom_video, "--regressor", DEFAULT_GATE, "--csv", table, "--json")
    assert done.code == 0, done.err
    (clip,) = done.json["clips"]
    assert clip["regressor"] == DEFAULT_GATE
    assert clip["low"] <= clip["ef"] <= clip["high"]
    assert "scores" not in done.json
    head, row = table.read_text().splitlines()
    assert dict(zip(head.split(","), row.split(","), strict=True))["ef"] == str(clip["ef"])
    shown = echosynth("measure", phantom_video, "--regressor", DEFAULT_GATE).out.splitlines()
    assert shown[0].split() == ["file", "regressor", "ef", "low", "high", "true_ef"]
    assert shown[1].split()[1:] == [DEFAULT_GATE, *(f"{clip[name]:.1f}" for name in ("ef", "low", "high")), "–"]


def test_a_panel_reads_a_dataset_with_truth(echosynth: Run, phantoms: Path, tmp_path: Path) -> None:
    words = ("measure", phantoms, "--regressor", DEFAULT_GATE, "--regressor", DEFAULT_JUDGE)
    done = echosynth(*words, "--plots", tmp_path / "plots", "--json")
    assert done.code == 0, done.err
    groups = by_regressor(done.json["clips"])
    assert [len(clips) for clips in groups.values()] == [3, 3, 3]
    for gate, judge, panel in zip(*groups.values(), strict=True):
        assert panel["ef"] == pytest.approx((gate["ef"] + judge["ef"]) / 2)
        assert panel["spread"] == pytest.approx(abs(gate["ef"] - judge["ef"]))
        assert panel["agreed"] == (max(gate["low"], judge["low"]) <= min(gate["high"], judge["high"]))
    scores = done.json["scores"]["panel"]
    assert sum(band["n"] for band in scores["bands"]) == 3
    assert set(scores["auroc"]) == {"35", "40", "45", "50"}
    kinds = {path.name.split("_", 1)[1] for path in (tmp_path / "plots").glob("judge_*.png")}
    assert kinds == {f"frame_transformer_{kind}.png" for kind in ("scatter", "bland_altman", "embedding")}
    assert len(list((tmp_path / "plots").glob("*.png"))) == 3 + 3 + 2  # a panel has no embedding
    shown = echosynth(*words).out
    assert any(line.split()[:2] == ["panel", "3"] for line in shown.splitlines())
    assert f"{done.json['scores'][DEFAULT_GATE]['mae']:.2f}" in shown


def test_two_regressors_of_one_network_name_never_share_a_name(echosynth: Run, phantoms: Path, tmp_path: Path) -> None:
    own = make_tiny_regressor(tmp_path / "own", DEFAULT_GATE, R2Plus1D, seed=9)
    alone = [
        [clip["ef"] for clip in echosynth("measure", phantoms, "--regressor", name, "--json").json["clips"]]
        for name in (own, DEFAULT_GATE)
    ]
    assert alone[0] != alone[1]
    words = ("measure", phantoms, "--regressor", own, DEFAULT_GATE, own)
    done = echosynth(*words, "--plots", tmp_path / "plots", "--embeddings", tmp_path / "e.npz", "--json")
    assert done.code == 0, done.err
    groups = by_regressor(done.json["clips"])
    first, second, panel = groups
    assert (second, panel) == (DEFAULT_GATE, "panel")
    assert first.startswith(f"{DEFAULT_GATE}@")
    assert [[clip["ef"] for clip in groups[name]] for name in (first, second)] == alone
    assert {name: scores["n"] for name, scores in done.json["scores"].items()} == {first: 3, second: 3, panel: 3}
    kept = np.load(tmp_path / "e.npz")
    assert set(kept) == {"files", first, second}
    assert len(kept["files"]) == len(kept[first]) == len(kept[second]) == 3
    assert not np.array_equal(kept[first], kept[second])
    scatters = [path.name.removesuffix("_scatter.png") for path in (tmp_path / "plots").glob("*_scatter.png")]
    assert sorted(scatters) == sorted([first, second, panel])
    explained = echosynth("explain", phantoms, *words[2:], "--out", tmp_path / "why", "--json").json["explained"]
    assert [entry["regressor"] for entry in explained] == [first, second]
    assert len({entry["figure"] for entry in explained}) == 2


def test_beat_by_beat_and_kept_embeddings(
    echosynth: Run, phantom_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = [Beat(0.1, 0.3), Beat(0.9, 1.1)]  # a network of random weights finds none
    monkeypatch.setattr(measuring, "find_beats", lambda model, clip: beats)
    words = ("measure", phantom_video, "--regressor", DEFAULT_GATE, "--beats")
    done = echosynth(*words, "--embeddings", tmp_path / "e.npz", "--json")
    assert done.code == 0, done.err
    (clip,) = done.json["clips"]
    assert [(beat["ed"], beat["es"]) for beat in clip["beats"]] == [(0.1, 0.3), (0.9, 1.1)]
    assert clip["ef"] == pytest.approx(np.mean([beat["ef"] for beat in clip["beats"]]))
    kept = np.load(tmp_path / "e.npz")
    assert kept["files"].tolist() == [clip["file"]]
    assert kept[DEFAULT_GATE].shape[0] == 1
    assert "beat by beat: " in echosynth(*words).out
    beats.clear()
    assert echosynth(*words, "--json").json["clips"][0]["beats"] == []
    assert "none is whole" in echosynth(*words).out


def test_as_many_windows_as_were_asked_for(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    frames = np.concatenate([load_clip_file(phantom_video).pixels] * 8)
    write_avi(tmp_path / "long.avi", EchoClip(frames, 32.0))
    words = ("measure", tmp_path / "long.avi", "--regressor", DEFAULT_GATE, "--json")
    for count in (1, 3):
        assert len(echosynth(*words, "--windows", count).json["clips"][0]["windows"]) == count
    every, usual = (echosynth(*words, *more).json["clips"][0]["windows"] for more in (("--windows", "all"), ()))
    assert len(every) > len(usual)
    for wrong in ("0", "-1", "some", "1.5"):
        refused = echosynth(*words, f"--windows={wrong}")
        assert refused.code == 2
        assert "--windows must be" in refused.err
    assert "leave one of them out" in echosynth(*words, "--windows", 3, "--beats").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fps", "0"), "--fps must be above 0 and at most 1000 Hz, got 0"),
        (("--plots", "plots"), "--plots needs clips whose EF is known"),
        (("--regressor", "nobody"), "no model 'nobody'"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    echosynth: Run, phantom_video: Path, words: tuple[str, ...], message: str
) -> None:
    refused = echosynth("measure", phantom_video, *words)
    assert refused.code == 2
    assert message in refused.err.strip().splitlines()[-1]
    assert not Path("plots").exists()


def test_clips_that_cannot_meet_the_contract_are_warned_of(echosynth: Run, phantom_video: Path, tmp_path: Path) -> None:
    words = (phantom_video, "--regressor", DEFAULT_GATE)
    assert "warning" not in echosynth("measure", *words, "--fps", 16).err
    done = echosynth("measure", *words, "--fps", 4, "--json")
    assert done.code == 0, done.err
    assert [warning.split()[0] for warning in done.json["clips"][0]["warnings"]] == ["slower"]
    assert done.err.count("warning: ") == 1
    assert f"{DEFAULT_GATE} read 1 clip slower than" in done.err
    assert phantom_video.name in done.err
    explained = echosynth("explain", *words, "--fps", 4, "--out", tmp_path / "why", "--json")
    assert explained.json["explained"][0]["warnings"] == done.json["clips"][0]["warnings"]
    assert "slower than" in explained.err
