"""Motion that is no contraction: it changes no volume, leaves the ventricle's inside in peace, and does not know EF."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.phantom.contours import trace_contours
from echosynth.phantom.maps import displace_pixels
from echosynth.phantom.motion import compute_shape
from echosynth.phantom.patient import Patient
from echosynth.phantom.population import BULK_MOTION, sample_patient
from echosynth.phantom.pose import LVFrame, Pose, flow_around, from_lv_frame, to_lv_frame
from echosynth.phantom.render import Phantom
from echosynth.phantom.scanner import sample_view

QUIET = dict.fromkeys(("rocking", "carrying", "bending", "breathing", "hand", "flow", "swing", "respiration"), 0.0)


def look_at(patient: Patient, seed: int = 5) -> Phantom:
    return Phantom([patient], [sample_view(seed, patient.long_axis)], [seed])


def pose_of(patient: Patient, ef: float = 40.0, frames: int = 24) -> Pose:
    return look_at(patient).move([ef], frames, 12.0, [0.2]).pose


@given(seed=st.integers(0, 10_000), ef=st.floats(10, 80))
@settings(max_examples=25, deadline=None)
def test_discs_that_are_bent_aside_and_carried_away_keep_their_volume(seed: int, ef: float) -> None:
    phantom = look_at(sample_patient(seed))
    truth = phantom.move([ef], 30, 15.0, [0.0])
    axis, chords = trace_contours(phantom, truth)
    length = (axis[..., 1, :] - axis[..., 0, :]).norm(dim=-1)
    volume = length * (chords[..., 1, :] - chords[..., 0, :]).norm(dim=-1).square().mean(-1)
    wanted = truth.motion.volume / truth.motion.volume[:, :1]
    torch.testing.assert_close(volume / volume[:, :1], wanted, rtol=1e-6, atol=0)


@given(seed=st.integers(0, 10_000), low=st.floats(10, 40), high=st.floats(45, 80))
@settings(max_examples=15, deadline=None)
def test_the_heart_is_carried_alike_at_every_ef(seed: int, low: float, high: float) -> None:
    patient = replace(sample_patient(seed), swing=0.0)
    one, other = pose_of(patient, low), pose_of(patient, high)
    for name in ("x", "z", "tilt", "bend", "flow"):
        assert torch.equal(getattr(one, name), getattr(other, name))


def test_a_failing_heart_moves_as_much_as_a_good_one() -> None:
    """Path of the middle of the ventricle's axis; without bulk motion it is carried by breath and contraction alone."""
    paths = {}
    for bulk in (True, False):
        for ef in (15.0, 60.0):
            travelled = []
            for seed in range(40):
                pose = pose_of(sample_patient(seed, bulk_motion=bulk), ef)
                middle = LVFrame(torch.full((1, 24, 1, 1), 4.0), torch.zeros(1, 24, 1, 1))
                x, z = from_lv_frame(middle, pose)
                travelled.append(float((x.diff(dim=1) ** 2 + z.diff(dim=1) ** 2).sqrt().sum()))
            paths[bulk, ef] = np.median(travelled)
    assert paths[True, 15.0] > 0.85 * paths[True, 60.0]
    assert paths[True, 15.0] > 4 * paths[False, 15.0]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_to_the_ventricles_frame_and_back_is_no_way(seed: int) -> None:
    pose = pose_of(sample_patient(seed))
    x, z = torch.meshgrid(torch.linspace(-6, 6, 31), torch.linspace(1, 14, 31), indexing="xy")
    there = to_lv_frame(x[None, None], z[None, None], pose)
    back_x, back_z = from_lv_frame(there, pose)
    torch.testing.assert_close(back_x, x.expand_as(back_x), atol=2e-3, rtol=0)
    torch.testing.assert_close(back_z, z.expand_as(back_z), atol=2e-3, rtol=0)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_flow_leaves_the_ventricle_and_its_muscle_in_peace(seed: int) -> None:
    patient = sample_patient(seed)
    pose, shape = pose_of(patient), compute_shape(patient.fields())
    s = torch.linspace(-patient.wall_apex, float(shape.length[0]), 40)[:, None]
    reach = float(torch.maximum(shape.septal, shape.lateral)[0]) + patient.wall + patient.bending
    along, across = torch.broadcast_tensors(s, torch.linspace(-1, 1, 40)[None])
    # the ellipse in which nothing flows is wider than the ventricle's profile where that is widest
    profile = (1 - ((along / float(shape.length[0]) - 0.5) / 0.62) ** 2).clamp_min(0).sqrt()
    moved = flow_around(along[None, None], (across * reach * profile)[None, None], pose)
    assert all(float(m.abs().max()) < 0.02 for m in moved)
    beyond = flow_around(along[None, None] + 10, across[None, None], pose)
    assert all(float(m.abs().max()) > 0.02 for m in beyond)


def test_a_heart_that_only_rocks_turns_about_its_pivot() -> None:
    patient = replace(sample_patient(7), **QUIET | {"rocking": 6.0, "rocking_pivot": 0.5})
    pose = pose_of(patient)
    pivot = 0.5 * patient.edv ** (1 / 3) * 2
    place = LVFrame(torch.full((1, 24, 1, 1), pivot), torch.zeros(1, 24, 1, 1))
    x, z = from_lv_frame(place, pose)
    assert float(x.std() + z.std()) < 1e-5
    assert 3 < float(torch.rad2deg(pose.tilt.max() - pose.tilt.min())) <= 12


def test_the_displacement_of_a_carried_heart_is_where_it_was_carried() -> None:
    patient = replace(sample_patient(9), **QUIET | {"carrying": 0.5, "excursion": 0.0})
    phantom = look_at(patient)
    truth = phantom.move([30.0], 12, 12.0, [0.0])
    resting = truth.cycle.contraction[0] == 0  # frames in which nothing but the whole heart moves
    moved = displace_pixels(phantom, truth, truth.at(0))[0]
    pitch = float(phantom.view["depth"][0] / phantom.view["radius"][0]) / phantom.size
    for frame in torch.nonzero(resting).flatten().tolist():
        wanted = [float(v[0, 0] - v[0, frame]) / pitch for v in (truth.pose.x, truth.pose.z)]
        for axis, value in enumerate(wanted):
            inside = moved[frame, axis][~moved[frame, axis].isnan()]
            assert float((inside - value).abs().quantile(0.95)) < 0.05
    assert int(resting.sum()) >= 2


def test_every_motion_is_drawn_for_itself() -> None:
    drawn = np.array([[getattr(sample_patient(seed), name) for name in BULK_MOTION] for seed in range(300)])
    low, high = np.array(list(BULK_MOTION.values())).T
    assert (drawn >= low).all()
    assert (drawn <= high).all()
    related = np.corrcoef(drawn.T) - np.eye(len(BULK_MOTION))
    assert np.abs(related).max() < 0.25
