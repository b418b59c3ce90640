"""From plan to dataset on tiny models: seeds, resume, refused clips, and what the readers see."""

import numpy as np
import pytest
import torch

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.attempts import LoadedModel, generate_samples
from echosynth.augmentation.augment import AugmentConfig, augment
from echosynth.augmentation.manifest import Manifest
from echosynth.augmentation.plan import plan_targets
from echosynth.augmentation.sampling import Sampling, Start
from echosynth.data.echonet_format import EchoNetDataset, EchoNetWriter
from echosynth.diffusion.loading import load_cascade
from echosynth.errors import ConfigError, DatasetError
from echosynth.regression.loading import load_regressor
from echosynth.video.clip import EchoClip
from tests.models import CASCADE, GATE, JUDGE, make_tiny_bundle


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = make_tiny_bundle(tmp_path_factory.mktemp("bundle"))
    gate, judge = (load_regressor(str(root / name)) for name in (GATE, JUDGE))
    return (
        LoadedModel(CASCADE, "c", load_cascade(str(root / CASCADE))),
        LoadedModel(GATE, "g", gate),
        LoadedModel(JUDGE, "j", judge),
    )


FRAME = np.random.default_rng(0).integers(0, 255, (112, 112), dtype=np.uint8)


def make(models, plan, done=(), **sampling):
    return list(generate_samples(*models, plan, lambda _: Start(FRAME), Sampling(**sampling), done))


def test_a_clip_depends_on_its_name_alone(models):
    torch.manual_seed(1)
    together = make(models, plan_targets(["a", "b"], [30, 60]), max_attempts=1)
    torch.manual_seed(2)
    alone = make(models, plan_targets(["b"], [60]), max_attempts=1)
    assert np.array_equal(together[3].clip.pixels, alone[0].clip.pixels)
    assert not np.array_equal(together[1].clip.pixels, alone[0].clip.pixels)


def test_attempts_go_on_until_accepted_or_used_up(models):
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


def test_resume_continues_at_the_next_attempt_with_the_same_clips(models):
    plan = plan_targets(["a"], [30, 60])
    whole = make(models, plan, max_attempts=2, tolerance=Tolerance(0.0))
    for cut in range(1, 4):
        rest = make(models, plan, [a.entry for a in whole[:cut]], max_attempts=2, tolerance=Tolerance(0.0))
        assert [a.entry.seed for a in rest] == [a.entry.seed for a in whole[cut:]]
        assert all(np.array_equal(r.clip.pixels, w.clip.pixels) for r, w in zip(rest, whole[cut:], strict=True))
        assert [a.best for a in rest] == [a.best for a in whole[cut:]]


def test_the_judge_has_no_say_and_must_not_be_the_gate(models):
    cascade, gate, _ = models
    plan = plan_targets(["a"], [30, 60])
    with_judge = make(models, plan, max_attempts=2)
    without = make((cascade, gate, None), plan, max_attempts=2)
    assert [a.entry.accepted for a in with_judge] == [a.entry.accepted for a in without]
    with pytest.raises(ConfigError):
        make((cascade, gate, gate), plan)


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    with EchoNetWriter(tmp_path / "source", synthetic=False) as writer:
        for k, (ef, split) in enumerate([(35, "TRAIN"), (55, "TRAIN"), (60, "TEST"), (30, "VAL")]):
            pixels = rng.integers(0, 255, (6, 112, 112), dtype=np.uint8)
            writer.add(f"real{k}", EchoClip(pixels, 32.0, float(ef), 100.0, 50.0), split)
    return tmp_path / "source"


def config_for(source, **changes):
    values = {"per_bin": 2, "bin_width": 20.0, "low": 20.0, "high": 80.0, "max_attempts": 1} | changes
    return AugmentConfig(kind="augmentation", name="test", source=source, **values)


def test_the_dataset_holds_the_accepted_clips_and_the_manifest_all(models, source, tmp_path):
    refused = augment(config_for(source, tolerance=0.0), tmp_path / "none", *models[:2])
    middle = sorted(a.entry.distance for a in refused)[1] + 1e-6
    assert len(EchoNetDataset(tmp_path / "none" / "dataset")) == 0
    config = config_for(source, tolerance=middle)  # two of four are within it
    attempts = list(augment(config, tmp_path / "run", *models[:2]))
    manifest = Manifest(tmp_path / "run" / "manifest.jsonl")
    dataset = EchoNetDataset(tmp_path / "run" / "dataset")
    accepted = [e for e in manifest.entries if e.accepted]
    assert len(manifest.entries) == len(attempts) == 4  # bins hold 1, 1 and 0 TRAIN clips
    assert len(accepted) == 2
    assert [row.file_name for row in dataset.rows] == [e.sample_id for e in accepted]
    assert [row.ef for row in dataset.rows] == [e.target_ef for e in accepted]
    assert {row.split for row in dataset.rows} == {"TRAIN"}
    assert {e.source for e in manifest.entries} <= {"real0", "real1"}
    assert dataset.clip(0).pixels.shape == (16, 112, 112)
    assert "SYNTHETIC" in (tmp_path / "run" / "dataset" / "README.md").read_text()


def test_a_killed_augmentation_loses_and_doubles_nothing(models, source, tmp_path):
    config = config_for(source, tolerance=100.0)
    list(augment(config, tmp_path / "whole", *models[:2]))
    run = augment(config, tmp_path / "killed", *models[:2])
    next(run)
    next(run)
    run.close()
    manifest = tmp_path / "killed" / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-20])  # killed within the second line, its clip already written
    list(augment(config, tmp_path / "killed", *models[:2]))
    whole, killed = (EchoNetDataset(tmp_path / name / "dataset") for name in ("whole", "killed"))
    assert [r.file_name for r in killed.rows] == [r.file_name for r in whole.rows]
    for k in range(len(whole)):
        assert np.array_equal(whole.clip(k).pixels, killed.clip(k).pixels)
    ids = [e.sample_id for e in Manifest(manifest).entries]
    assert len(ids) == len(set(ids)) == 4


def test_frames_are_taken_from_train_only(models, tmp_path):
    with EchoNetWriter(tmp_path / "held_out") as writer:
        writer.add("x", EchoClip(np.zeros((3, 112, 112), np.uint8), 32.0, 50.0, 100.0, 50.0), "TEST")
    with pytest.raises(DatasetError):
        list(augment(config_for(tmp_path / "held_out"), tmp_path / "run", *models[:2]))
