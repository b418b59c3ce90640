"""Landmarks in training: exact where phantoms give them, carried along with the picture, unknown where they are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.cardiac.discs import disc_ef, disc_volume
from echosynth.data.echonet_format import EchoNetDataset
from echosynth.phantom.plan import SimulateConfig
from echosynth.phantom.simulate import simulate
from echosynth.seeding import make_generator
from echosynth.training.clips.dataset_source import DatasetSource, DatasetSourceConfig
from echosynth.training.clips.phantom_set import PhantomSet, render_shard
from echosynth.training.clips.phantom_set_config import PhantomSetConfig
from echosynth.training.clips.phantom_source import PhantomSource, PhantomSourceConfig
from echosynth.training.clips.transforms import ClipTransformConfig, transform_clips
from echosynth.training.tasks.ef_regression import Randomisation, RegressionTask
from echosynth.training.tasks.landmark_loss import LandmarkWeights
from echosynth.training.tasks.losses import RegressionLoss
from tests.data.fake_datasets import write_camus, write_pediatric
from tests.fake_set import write_fake_set

PLACE = LandmarkWeights(place=1, volume=0, agree=0, order=0)


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> PhantomSourceConfig:
    config = PhantomSourceConfig(
        root=tmp_path_factory.mktemp("set"), patients=4, num_frames=32, fps=16, frames_per_clip=1, first_seed=300
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echosynth.training.clips.phantom_set.SHARD", 4)
        render_shard(PhantomSetConfig(**config.model_dump(exclude={"source"})), 0)
    return config


@pytest.mark.heavy
def test_landmarks_of_a_phantom_draw_its_ef(phantoms: PhantomSourceConfig) -> None:
    known = PhantomSet.open(phantoms)
    drawn = PhantomSource(phantoms).draw_ef_batch(4, make_generator(2), traced=True)
    volume = drawn.curve.gather(1, drawn.traced)
    assert torch.equal(volume, torch.stack([drawn.curve.amax(1), drawn.curve.amin(1)], 1))
    torch.testing.assert_close(
        disc_ef(drawn.landmarks[:, :, 0]), 100 * (1 - volume[:, 1] / volume[:, 0]), atol=0.02, rtol=0
    )
    every = disc_volume(known.trace(range(4))[:, :, 0])
    np.testing.assert_allclose(every / every[:, :1], known.curve / known.curve[:, :1], atol=2e-4)


@pytest.mark.heavy
def test_landmarks_lie_on_the_border_of_the_dark_cavity(phantoms: PhantomSourceConfig) -> None:
    known = PhantomSet.open(phantoms)
    landmarks, frames = known.trace(range(4))[:, :, 0], known.curve.argmax(1)
    inside, outside = [], []
    for k in range(4):
        picture = known.clip(k)[frames[k]]
        chords = landmarks[k, frames[k], 4:14]
        middle, half = chords.mean(1), (chords[:, 1] - chords[:, 0]) / 2
        for share, found in ((0.6, inside), (1.25, outside)):
            x, y = ((middle + share * half) * 112).long().clamp(0, 111).unbind(-1)
            found.append(float(picture[y, x].float().mean()))
    assert np.mean(inside) < 0.7 * np.mean(outside)


def test_landmarks_move_with_the_picture() -> None:
    size = 64
    places = torch.rand(3, 2, 2, 21, 2, 2, generator=make_generator(1)) * 0.5 + 0.25
    axis = (torch.arange(size) + 0.5) / size
    clip = torch.zeros(3, 1, 1, size, size)
    for k in range(3):  # a bright spot at one of the landmarks
        x, y = places[k, 0, 1, 5, 1]
        clip[k] = torch.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / 0.002) * 2 - 1
    config = ClipTransformConfig(noise=0, gamma=0, mirror=0.5)
    moved, there = transform_clips(clip, places, config, make_generator(5))
    light = (moved[:, 0, 0] + 1).clamp_min(0) ** 4
    weight = light.sum((1, 2))
    spot = torch.stack([(light.sum(1) * axis).sum(1) / weight, (light.sum(2) * axis).sum(1) / weight], 1)
    either = there[:, 0, 1, 5]  # a mirrored chord has its ends exchanged
    distance = (either - spot[:, None]).norm(dim=-1)
    assert (distance.amin(1) < 0.01).all()
    assert (spot - places[:, 0, 1, 5, 1]).norm(dim=-1).max() > 0.03


def test_frames_that_a_window_leaves_out_are_not_traced(phantoms: PhantomSourceConfig) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echosynth.training.clips.phantom_set.SHARD", 4)
        source = PhantomSource(phantoms)
        task = RegressionTask(source, 16, 12, 56, None, loss=RegressionLoss(landmarks=LandmarkWeights()))
        batch = task.make_batch(16, make_generator(0))
        drawn = source.draw_ef_batch(16, make_generator(0), traced=True)
    unknown = batch["landmarks"].isnan().flatten(2).all(2)
    assert torch.equal(unknown, drawn.traced > 11)
    assert unknown.any()
    assert not unknown.all()


def test_nothing_is_lost_on_the_truth_and_unknown_points_do_not_count() -> None:
    truth = torch.rand(2, 2, 2, 21, 2, 2, generator=make_generator(3))
    ef = disc_ef(truth[:, :, 0])
    assert float(LandmarkWeights(order=0).compute(truth, ef, truth, ef)) == pytest.approx(0, abs=1e-6)
    assert float(PLACE.compute(truth + 0.01, ef, truth, ef)) == pytest.approx(0.1, abs=1e-5)
    half = truth.clone()
    half[:, 1] = torch.nan
    wrong = truth.clone()
    wrong[:, 1] += 0.3
    assert float(PLACE.compute(wrong, ef, half, ef)) == pytest.approx(0, abs=1e-6)


def test_a_set_without_landmarks_is_not_asked_for_them(tmp_path: Path) -> None:
    task = RegressionTask(PhantomSource(write_fake_set(tmp_path)), 16, 8, 16, Randomisation())
    assert task.make_batch(2, make_generator(0))["landmarks"].isnan().all()


@pytest.mark.heavy
def test_tracings_of_a_dataset_are_landmarks_of_the_windows_that_show_them(tmp_path: Path) -> None:
    simulate(SimulateConfig(patients=1, seed=300, frames=60, fps=50.0), tmp_path / "set")
    (entry,) = EchoNetDataset(tmp_path / "set").entries
    config = DatasetSourceConfig(
        root=tmp_path / "set", split=entry.split, num_frames=12, fps=25.0, cache=tmp_path / "decoded"
    )
    source = DatasetSource(config)
    drawn = source.draw_ef_batch(24, make_generator(2), traced=True)
    traced = [tracing.frame for tracing in EchoNetDataset(tmp_path / "set").tracings(entry.name)]
    firsts = source.store.windows(*_picks(source, 24, 2), 12, 25.0).firsts
    for k in range(24):
        for phase in (0, 1):
            moment = round((traced[phase] - int(firsts[k])) / 2)
            known = not bool(drawn.landmarks[k, phase, 0].isnan().any())
            assert known == (0 <= moment < 12)
            if known:
                assert int(drawn.traced[k, phase]) == moment
    both = ~drawn.landmarks[:, :, 0].isnan().flatten(1).any(1)
    assert both.any()
    assert not both.all()
    np.testing.assert_allclose(disc_ef(drawn.landmarks[both, :, 0]), entry.ef, atol=0.01)
    assert source.draw_ef_batch(4, make_generator(2)).landmarks.isnan().all()


def _picks(source: DatasetSource, count: int, seed: int) -> tuple[list[int], list[float]]:
    return source._pick(count, make_generator(seed))


def test_volume_counts_once_every_landmark_is_near_its_place() -> None:
    truth = typical_hearts(3)
    ef = disc_ef(truth[:, :, 0])
    swapped = truth.clone()
    swapped[:, 1, 0, 0] = swapped[:, 1, 0, 0].flip(
        -2
    )  # the long axis of ES from the annulus to the apex: the volume is the same
    whole = LandmarkWeights(place=0.0, volume=1.0, agree=1.0, order=1.0)
    assert float(whole.compute(swapped, ef + 20, truth, ef)) == 0
    shorter = truth.clone()
    shorter[:, 1, 0, 0, 1, 1] -= 0.05
    assert float(whole.compute(shorter, ef, truth, ef)) > 0.05


def typical_hearts(count: int) -> torch.Tensor:
    """Landmarks (count, 2, 1, 21, 2, 2) of upright ellipses, smaller at end-systole."""
    z = (torch.arange(20) + 0.5) / 20
    half = (z * (1 - z)).sqrt()
    phases = []
    for width in (0.24, 0.16):
        chords = torch.stack([torch.stack([0.5 + side * width * half, 0.2 + 0.5 * z], -1) for side in (-1, 1)], dim=1)
        phases.append(torch.cat([torch.tensor([[[0.5, 0.2], [0.5, 0.7]]]), chords]))
    return torch.stack(phases)[:, None].expand(count, -1, -1, -1, -1, -1).clone()


def test_the_epicardium_lies_around_the_endocardium(phantoms: PhantomSourceConfig) -> None:
    landmarks = PhantomSource(phantoms).draw_ef_batch(8, make_generator(3), traced=True).landmarks
    inner, outer = landmarks.unbind(2)
    torch.testing.assert_close(outer[:, :, 0, 1], inner[:, :, 0, 1])  # one annulus
    muscle = disc_volume(outer) - disc_volume(inner)
    assert (muscle > 0.2 * disc_volume(inner)).all()
    torch.testing.assert_close(muscle[:, 1] / muscle[:, 0], torch.ones(8), atol=0.25, rtol=0)  # hardly compressible


def test_the_outer_border_counts_where_the_network_finds_it() -> None:
    truth = torch.rand(2, 2, 2, 21, 2, 2, generator=make_generator(3))
    wrong = truth.clone()
    wrong[:, :, 1] += 0.02
    ef = disc_ef(truth[:, :, 0])
    assert float(PLACE.compute(wrong, ef, truth, ef)) == pytest.approx(0.1, abs=1e-5)
    assert float(PLACE.compute(wrong[:, :, :1], ef, truth, ef)) == pytest.approx(0, abs=1e-6)


@pytest.mark.heavy
def test_masks_and_polygons_are_landmarks_too(tmp_path: Path) -> None:
    sources = {
        "camus": DatasetSourceConfig(root=write_camus(tmp_path / "camus"), num_frames=8, fps=50.0),
        "pediatric": DatasetSourceConfig(root=write_pediatric(tmp_path / "pediatric"), num_frames=8, fps=50.0),
    }
    for name, config in sources.items():
        source = DatasetSource(config.model_copy(update={"cache": tmp_path / "decoded" / name}))
        known = ~source.draw_ef_batch(16, make_generator(1), traced=True).landmarks.isnan().flatten(3).any(3)
        assert known[:, :, 0].any()
        assert known[:, :, 1].any() == (name == "camus")
