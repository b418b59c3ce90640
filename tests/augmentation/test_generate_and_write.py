"""From plan to dataset on tiny models: seeds, resume, refused clips, and what the readers see."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.attempts import Attempt, make_attempts
from echosynth.augmentation.augment import augment
from echosynth.augmentation.augment_config import AugmentConfig
from echosynth.augmentation.clip_folder import ClipFolder
from echosynth.augmentation.manifest import Manifest, ManifestEntry
from echosynth.augmentation.models import RunModels
from echosynth.augmentation.plan import PlannedSample, plan_targets
from echosynth.augmentation.sampling import Sampling, Start
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.data.echonet_writer import EchoNetWriter
from echosynth.errors import ConfigError, DatasetError
from echosynth.video.clip import EchoClip
from tests.models import CASCADE, GATE, JUDGE

FRAME = np.random.default_rng(0).integers(0, 255, (112, 112), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(bundle: Path) -> RunModels:
    return RunModels(bundle / CASCADE, bundle / GATE, bundle / JUDGE)


def make(
    models: RunModels, plan: list[PlannedSample], done: list[ManifestEntry] | None = None, **sampling: Any
) -> list[Attempt]:
    """Every attempt that a plan still needs; nothing is written."""
    made: list[Attempt] = []
    for sample in plan:
        before = [entry for entry in done or [] if entry.sample_id == sample.sample_id]
        made += make_attempts(sample, Start(FRAME), models, Sampling(**sampling), ClipFolder(Path("run")), before)
    return made


@pytest.mark.heavy
def test_a_clip_depends_on_its_name_alone(models: RunModels) -> None:
    torch.manual_seed(1)
    together = make(models, plan_targets(["a", "b"], [30, 60]), max_attempts=1)
    torch.manual_seed(2)
    alone = make(models, plan_targets(["b"], [60]), max_attempts=1)
    assert np.array_equal(together[3].clip.pixels, alone[0].clip.pixels)
    assert not np.array_equal(together[1].clip.pixels, alone[0].clip.pixels)


@pytest.mark.heavy
def test_attempts_go_on_until_accepted_or_used_up(models: RunModels) -> None:
    plan = plan_targets(["a"], [30])
    refused = make(models, plan, max_attempts=3, tolerance=Tolerance(0.0))
    assert [a.entry.attempt for a in refused] == [0, 1, 2]
    assert [a.last for a in refused] == [False, False, True]
    assert len({a.entry.seed for a in refused}) == 3
    best = min(refused, key=lambda a: a.entry.distance)
    assert [a for a in refused if a.best][-1] is best
    accepted = make(models, plan, max_attempts=3, tolerance=Tolerance(100.0))
    assert len(accepted) == 1
    assert accepted[0].entry.accepted


@pytest.mark.heavy
def test_resume_continues_at_the_next_attempt_with_the_same_clips(models: RunModels) -> None:
    plan = plan_targets(["a"], [30, 60])
    whole = make(models, plan, max_attempts=2, tolerance=Tolerance(0.0))
    for cut in range(1, 4):
        rest = make(models, plan, [a.entry for a in whole[:cut]], max_attempts=2, tolerance=Tolerance(0.0))
        assert [a.entry.seed for a in rest] == [a.entry.seed for a in whole[cut:]]
        assert all(np.array_equal(r.clip.pixels, w.clip.pixels) for r, w in zip(rest, whole[cut:], strict=True))
        assert [a.best for a in rest] == [a.best for a in whole[cut:]]


@pytest.mark.heavy
def test_the_judge_has_no_say_and_must_not_be_the_gate(bundle: Path, models: RunModels) -> None:
    plan = plan_targets(["a"], [30, 60])
    with_judge = make(models, plan, max_attempts=2)
    without = make(RunModels(bundle / CASCADE, bundle / GATE), plan, max_attempts=2)
    assert [a.entry.accepted for a in with_judge] == [a.entry.accepted for a in without]
    assert [a.entry.judge_ef for a in without] == [None] * len(without)
    with pytest.raises(ConfigError, match="judge must not be the gate"):
        RunModels(bundle / CASCADE, bundle / GATE, bundle / GATE)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with EchoNetWriter(tmp_path / "source", synthetic=False) as writer:
        for k, (ef, split) in enumerate([(35, "TRAIN"), (55, "TRAIN"), (60, "TEST"), (30, "VAL")]):
            pixels = rng.integers(0, 255, (6, 112, 112), dtype=np.uint8)
            writer.add(f"real{k}", EchoClip(pixels, 32.0, float(ef), 100.0, 50.0), split)
    return tmp_path / "source"


@pytest.fixture
def configure(bundle: Path, source: Path) -> Callable[..., AugmentConfig]:
    """A config for the tiny models: bins of 20 from 20 to 80, of which the source fills 1, 1 and 0 of 2."""
    small = {"per_bin": 2, "bin_width": 20.0, "low": 20.0, "high": 80.0, "max_attempts": 1}

    def config(**changes: Any) -> AugmentConfig:
        models = {"model": str(bundle / CASCADE), "gate": str(bundle / GATE)}
        return AugmentConfig(name="test", **{"source": source, **small, **models, **changes})

    return config


@pytest.mark.heavy
def test_the_dataset_holds_the_accepted_clips_and_the_manifest_all(
    configure: Callable[..., AugmentConfig], tmp_path: Path
) -> None:
    none = augment(configure(tolerance=0.0), tmp_path / "none")
    refused = Manifest(tmp_path / "none" / "manifest.jsonl").entries
    assert (none.planned, none.accepted, none.refused, none.attempts) == (4, 0, 4, 4)
    middle = sorted(entry.distance for entry in refused)[1] + 1e-6  # two of four are within it
    result = augment(configure(tolerance=middle), tmp_path / "run")
    entries = Manifest(tmp_path / "run" / "manifest.jsonl").entries
    dataset = EchoNetDataset(result.dataset)
    accepted = [entry for entry in entries if entry.accepted]
    assert (result.planned, result.accepted, result.refused, result.attempts) == (4, 2, 2, 4)
    assert [row.file_name for row in dataset.rows] == [entry.sample_id for entry in accepted]
    assert [row.ef for row in dataset.rows] == [entry.target_ef for entry in accepted] == list(result.synthetic_ef)
    assert result.real_ef == (35.0, 55.0)
    assert {row.split for row in dataset.rows} == {"TRAIN"}
    assert {entry.source for entry in entries} <= {"real0", "real1"}
    assert all((tmp_path / "run" / str(entry.file)).is_file() for entry in accepted)
    assert dataset.clip(0).pixels.shape == (16, 112, 112)
    assert "SYNTHETIC" in (result.dataset / "README.md").read_text()
    assert json.loads(json.dumps(result.to_dict())) == {
        "run": str(tmp_path / "run"),
        "dataset": str(tmp_path / "run" / "dataset"),
        "planned": 4,
        "accepted": 2,
        "refused": 2,
        "attempts": 4,
        "seconds": result.seconds,
        "parts_left": 0,
    }


@pytest.mark.heavy
def test_a_killed_augmentation_loses_and_doubles_nothing(
    configure: Callable[..., AugmentConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(tolerance=100.0)
    augment(config, tmp_path / "whole")
    write, lines = Manifest.append, 0

    def write_two_lines(manifest: Manifest, entry: ManifestEntry) -> None:
        nonlocal lines
        write(manifest, entry)
        lines += 1
        if lines == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "append", write_two_lines)
        with pytest.raises(KeyboardInterrupt):
            augment(config, tmp_path / "killed")
    manifest = tmp_path / "killed" / "manifest.jsonl"
    assert not manifest.exists(), "it comes when all is finished"
    last = sorted((tmp_path / "killed" / ".parts").glob("?????.jsonl"))[-1]
    last.write_bytes(last.read_bytes()[:-20])  # killed within the second line, its clip already written
    augment(config, tmp_path / "killed")
    whole, killed = (EchoNetDataset(tmp_path / name / "dataset") for name in ("whole", "killed"))
    assert [r.file_name for r in killed.rows] == [r.file_name for r in whole.rows]
    for k in range(len(whole)):
        assert np.array_equal(whole.clip(k).pixels, killed.clip(k).pixels)
    ids = [e.sample_id for e in Manifest(manifest).entries]
    assert len(ids) == len(set(ids)) == 4


def test_frames_are_taken_from_train_only(configure: Callable[..., AugmentConfig], tmp_path: Path) -> None:
    with EchoNetWriter(tmp_path / "held_out") as writer:
        writer.add("x", EchoClip(np.zeros((3, 112, 112), np.uint8), 32.0, 50.0, 100.0, 50.0), "TEST")
    with pytest.raises(DatasetError):
        augment(configure(source=tmp_path / "held_out"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
