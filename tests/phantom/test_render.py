"""What the rendered pictures promise: the same at end-diastole for every EF, on any batch, inside the sector."""

import numpy as np
import pytest
import torch

from echosynth.phantom.anatomy import Q_MAX, Q_MIN, S_MAX, S_MIN
from echosynth.phantom.contours import trace_contours
from echosynth.phantom.population import sample_patient
from echosynth.phantom.pose import to_lv_frame
from echosynth.phantom.render import Phantom
from echosynth.phantom.scan_conversion import scan_grid
from echosynth.phantom.scanner import sample_view
from echosynth.phantom.warp import atlas_grid

SEEDS = [3, 8, 21]


def make_phantom(seeds: list[int], size: int = 112) -> Phantom:
    patients = [sample_patient(seed) for seed in seeds]
    views = [sample_view(seed, p.long_axis) for seed, p in zip(seeds, patients, strict=True)]
    return Phantom(patients, views, seeds, size)


@pytest.fixture(scope="module")
def together() -> torch.Tensor:
    return make_phantom(SEEDS).render([55.0, 30.0, 70.0], 20, 32.0, [0.0, 0.4, 0.8])[0]


@pytest.mark.heavy
def test_end_diastole_is_the_same_picture_at_every_ef() -> None:
    phantom = make_phantom(SEEDS)
    low, truth = phantom.render([15.0] * 3, 8)
    high, _ = phantom.render([75.0] * 3, 8)
    assert truth.ed_frame(0) == 0
    assert torch.equal(low[:, 0], high[:, 0])
    assert not torch.equal(low[:, 7], high[:, 7])


@pytest.mark.heavy
def test_a_clip_does_not_depend_on_its_batch(together: torch.Tensor) -> None:
    alone, _ = make_phantom([SEEDS[1]]).render([30.0], 20, 32.0, [0.4])
    assert int((alone[0].int() - together[1].int()).abs().max()) <= 1


@pytest.mark.heavy
def test_a_clip_does_not_depend_on_the_chunks(together: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echosynth.phantom.render.FRAME_CHUNK", 7)
    again, _ = make_phantom(SEEDS).render([55.0, 30.0, 70.0], 20, 32.0, [0.0, 0.4, 0.8])
    assert int((again.int() - together.int()).abs().max()) <= 1


@pytest.mark.heavy
def test_the_same_seeds_give_the_same_clip_and_others_another(together: torch.Tensor) -> None:
    phantom = make_phantom([SEEDS[0]])
    one, _ = phantom.render([55.0], 3)
    two, _ = make_phantom([SEEDS[0]]).render([55.0], 3)
    assert torch.equal(one, two)
    other = Phantom([sample_patient(99)], [sample_view(SEEDS[0], 8.5)], [SEEDS[0]]).render([55.0], 3)[0]
    assert not torch.equal(one, other)


@pytest.mark.parametrize("ef", [0.0, 95.0, 120.0])
def test_an_impossible_ef_is_refused(ef: float) -> None:
    with pytest.raises(ValueError, match="per cent"):
        make_phantom([3], 28).render([ef], 1)


def test_seeds_must_match_patients() -> None:
    patient = sample_patient(0)
    with pytest.raises(ValueError, match="equally many"):
        Phantom([patient], [sample_view(0, patient.long_axis)], [0, 1])


def test_nothing_but_marks_and_codec_noise_is_drawn_outside_the_sector(together: torch.Tensor) -> None:
    phantom = make_phantom(SEEDS)
    near = torch.nn.functional.max_pool2d(phantom.mask, 7, 1, 3) > 0
    free = (~near) & (phantom.marks < 0.02)
    for item in range(len(SEEDS)):
        assert int(together[item][:, free[item]].max()) <= 8


def test_the_sector_is_the_same_share_of_the_picture_at_every_size() -> None:
    columns = make_phantom([3]).columns
    small, large = (scan_grid(columns, size)[1].mean() for size in (56, 224))
    assert float(small) == pytest.approx(float(large), abs=0.02)


def test_contour_lies_in_the_dark_cavity() -> None:
    patient, view = sample_patient(3), sample_view(3, sample_patient(3).long_axis)
    phantom = Phantom([patient], [view], [3])
    pixels, truth = phantom.render([60.0], 20)
    for frame in (truth.ed_frame(0), truth.es_frame(0)):
        axis, chords = (v[0, 0] for v in trace_contours(phantom, truth.at(frame)))
        middle = chords.mean(1)[4:16].round().long().numpy()
        wall = (chords[4:16, 0] - 4 * torch.tensor([1.0, 0.0])).round().long().numpy()  # four pixels into the septum
        picture = pixels[0, frame].numpy().astype(float)
        cavity = np.median([picture[y, x] for x, y in middle])
        septum = np.median([picture[y, x] for x, y in wall])
        assert septum > 2 * cavity + 20
        assert float(axis[1, 1]) > float(axis[0, 1])  # the base lies below the apex


@pytest.mark.heavy
def test_grey_levels_stay_in_the_window_of_real_clips() -> None:
    seeds = list(range(40, 52))
    phantom = make_phantom(seeds)
    pixels, _ = phantom.render([50.0] * 12, 2)
    inside = [clip[:, mask > 0].float() for clip, mask in zip(pixels, phantom.mask, strict=True)]
    means = torch.stack([clip.mean() for clip in inside])
    spreads = torch.stack([clip.std() for clip in inside])
    assert 20 < float(means.mean()) < 110
    assert 20 < float(spreads.mean()) < 75
    assert float(means.std()) > 5  # machines differ


def test_half_as_many_points_carry_the_map_into_the_atlas() -> None:
    phantom = make_phantom(SEEDS)
    truth = phantom.move([60.0, 30.0, 75.0], 6, 12.0)
    found = phantom._atlas_places(truth.cycle, truth.motion, truth.pose)
    x, z = phantom.machine.x[:, None], phantom.machine.z[:, None]
    exact = atlas_grid(phantom.patient, to_lv_frame(x, z, truth.pose), truth.cycle, truth.motion)
    side = torch.tensor([Q_MAX - Q_MIN, S_MAX - S_MIN])
    off = ((found - exact) / 2 * side).norm(dim=-1)  # cm
    assert float(off.flatten().kthvalue(int(0.999 * off.numel())).values) < 0.05
