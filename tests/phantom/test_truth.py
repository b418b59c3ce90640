"""The phantom's promises that need no picture: EF by the method of discs, timing, refusal of what a heart cannot do."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.cardiac.discs import volume_of_discs
from echosynth.cardiac.ejection_fraction import HIGHEST_PHANTOM_EF
from echosynth.phantom.motion import compute_cycle, compute_motion, disc_widths
from echosynth.phantom.patient import RESERVED_PATIENT_SEEDS
from echosynth.phantom.plan import (
    SimulateConfig,
    choose_phase,
    draw_timing,
    find_traceable_frames,
    plan_patient,
    split_of,
)
from echosynth.phantom.population import sample_ef, sample_patient
from echosynth.phantom.scanner import sample_view

SEEDS = st.integers(0, RESERVED_PATIENT_SEEDS - 1)
TIME = torch.arange(80, dtype=torch.float64) / 32.0


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(5, 85), st.floats(0, 0.999))
def test_ef_by_the_method_of_discs_is_the_asked_ef(seed: int, ef: float, phase: float) -> None:
    fields = sample_patient(seed).fields()
    cycle = compute_cycle(fields, TIME, torch.tensor([phase]))
    motion = compute_motion(fields, cycle, torch.tensor([ef], dtype=torch.float64))
    septal, lateral = disc_widths(fields, motion.narrowing, cycle.ejecting)
    volumes = volume_of_discs(motion.length, (septal + lateral).square())[0]
    torch.testing.assert_close(volumes, motion.volume[0], rtol=1e-9, atol=1e-9)
    measured = 100 * (1 - volumes / fields["edv"])
    torch.testing.assert_close(measured, ef * cycle.contraction[0], rtol=0, atol=1e-6)
    assert float(measured.max()) == pytest.approx(ef, abs=1e-4)  # end-systole lasts longer than a frame
    assert bool((disc_widths(fields, motion.narrowing, cycle.ejecting)[0] > 0).all())


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_regional_hearts_are_there_and_reach_every_ef(seed: int) -> None:
    patient = sample_patient(seed)
    assert patient.can_reach(HIGHEST_PHANTOM_EF)
    assert patient.can_reach(5.0)


def test_a_heart_that_cannot_reach_an_ef_says_so() -> None:
    stiff = dataclasses.replace(sample_patient(1), regional=1.0, regional_side=0.0, regional_z=0.5, gradient=0.4)
    assert not stiff.can_reach(94.0)
    cycle = compute_cycle(stiff.fields(), TIME, torch.tensor([0.0]))
    with pytest.raises(ValueError, match="cannot be reached"):
        compute_motion(stiff.fields(), cycle, torch.tensor([94.0]))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(0, 0.999))
def test_the_cycle_keeps_its_laws(seed: int, phase: float) -> None:
    fields = sample_patient(seed).fields()
    cycle = compute_cycle(fields, TIME, torch.tensor([phase]))
    c = cycle.contraction[0]
    assert float(c.min()) >= 0
    assert float(c.max()) <= 1
    assert bool((c == 1).any())
    assert bool(((cycle.mitral >= 0) & (cycle.mitral <= 1)).all())
    # the mitral valve is shut while blood is driven out; it begins to open at the very end of relaxation
    assert float(cycle.mitral[0][c == 1].max()) < 0.4
    start = compute_cycle(fields, TIME[:1], torch.tensor([0.0]))
    assert float(start.contraction) == 0


def test_the_cycle_does_not_know_ef_and_time_can_be_cut() -> None:
    fields = sample_patient(3).fields()
    whole = compute_cycle(fields, TIME, torch.tensor([0.3]))
    part = compute_cycle(fields, TIME[20:40], torch.tensor([0.3]))
    assert torch.equal(whole.contraction[:, 20:40], part.contraction)


@pytest.mark.parametrize("seed", [0, 7, 4242, RESERVED_PATIENT_SEEDS])
def test_chosen_frames_show_both_ends_of_the_beat(seed: int) -> None:
    patient = sample_patient(seed)
    view = sample_view(seed, patient.long_axis)
    phase, ed, es = choose_phase(patient, view, 64, 32.0)
    c = compute_cycle(patient.fields(), torch.arange(64) / 32.0, torch.tensor([phase])).contraction[0]
    assert c[ed] == 0
    assert c[es] == 1
    if view.persistence and ed:
        assert c[ed - 1] == 0


def test_a_frame_mixed_with_a_moving_one_is_not_traced() -> None:
    c = torch.tensor([0.5, 0.0, 0.0, 0.7, 1.0], dtype=torch.float64)
    assert find_traceable_frames(c, persistence=0.0) == (1, 4)
    assert find_traceable_frames(c, persistence=0.2) == (2, 4)
    assert find_traceable_frames(c[:4], persistence=0.0) is None


def test_a_plan_pairs_counterfactuals_with_their_patient() -> None:
    config = SimulateConfig(patients=1, counterfactual=(20.0, 62.5))
    rows = plan_patient(config, 12)
    assert [row.file for row in rows] == ["P0000012", "P0000012_ef20", "P0000012_ef62.5"]
    same = ("patient_seed", "view_seed", "noise_seed", "start_phase", "ed_frame", "es_frame", "split", "edv", "factual")
    assert len({tuple(getattr(row, name) for name in same) for row in rows}) == 1
    assert rows[0].ef == sample_ef(12)


@pytest.mark.heavy
def test_length_and_rate_are_drawn_like_echonets_unless_given() -> None:
    config = SimulateConfig(patients=1)
    drawn = np.array([draw_timing(config, sample_patient(seed)) for seed in range(400)])
    assert drawn.mean(0) == pytest.approx([175, 50.9], rel=0.05)
    assert drawn.std(0) == pytest.approx([57, 6.8], rel=0.2)
    fixed = SimulateConfig(patients=1, frames=40, fps=30.0)
    assert draw_timing(fixed, sample_patient(0)) == (40, 30.0)


def test_splits_have_their_shares() -> None:
    splits = [split_of(seed) for seed in range(4000)]
    assert splits.count("TRAIN") / 4000 == pytest.approx(0.75, abs=0.03)
    assert splits.count("VAL") / 4000 == pytest.approx(0.125, abs=0.02)


@pytest.mark.parametrize(("distribution", "mean", "spread"), [("echonet", 55.7, 12.0), ("uniform", 47.5, 21.7)])
def test_ef_is_drawn_as_published(distribution: str, mean: float, spread: float) -> None:
    efs = torch.tensor([sample_ef(seed, distribution) for seed in range(3000)])
    assert float(efs.mean()) == pytest.approx(mean, abs=1.2)
    assert float(efs.std()) == pytest.approx(spread, abs=1.2)
    with pytest.raises(ValueError, match="echonet"):
        sample_ef(0, "normal")
