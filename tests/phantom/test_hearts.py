"""Kinds of hearts and rhythms: different where their names say so, exact in EF all the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.cardiac.discs import volume_of_discs
from echosynth.errors import ConfigError
from echosynth.phantom.motion import compute_cycle, compute_motion, disc_widths, regional_pattern
from echosynth.phantom.plan import SimulateConfig, plan_patient
from echosynth.phantom.population import HEARTS, RHYTHMS, foreshorten, highest_ef, remodel, sample_patient

SEEDS = range(100, 130)
TIME = torch.arange(512, dtype=torch.float64) / 32.0


@pytest.mark.heavy
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(HEARTS)), st.sampled_from(sorted(RHYTHMS)), st.floats(5, 85))
def test_ef_is_exact_in_every_heart_and_rhythm(seed: int, heart: str, rhythm: str, ef: float) -> None:
    ef = min(ef, highest_ef(heart))
    fields = sample_patient(seed, heart, rhythm).fields()
    cycle = compute_cycle(fields, TIME, torch.tensor([0.0]))
    motion = compute_motion(fields, cycle, torch.tensor([ef], dtype=torch.float64))
    septal, lateral = disc_widths(fields, motion.narrowing, cycle.ejecting)
    volumes = volume_of_discs(motion.length, (septal + lateral).square())[0]
    torch.testing.assert_close(100 * (1 - volumes / fields["edv"]), ef * cycle.contraction[0], rtol=0, atol=1e-6)
    assert float(cycle.contraction.min()) == 0
    assert float(cycle.contraction.max()) == 1
    # the volume is continuous: a millisecond changes little
    fine = compute_cycle(fields, torch.arange(5000, dtype=torch.float64) / 1000.0, torch.tensor([0.0]))
    assert float(fine.contraction[0].diff().abs().max()) < 0.08


@pytest.mark.heavy
def test_hearts_are_what_their_names_say() -> None:
    edv = {heart: np.mean([sample_patient(seed, heart).edv for seed in SEEDS]) for heart in HEARTS}
    assert edv["dilated"] > 1.5 * edv["normal"] > 1.5 * edv["hypertrophic"] / 1.2
    wall = {heart: np.mean([sample_patient(seed, heart).wall for seed in SEEDS]) for heart in HEARTS}
    assert wall["hypertrophic"] > 1.5 * wall["normal"]
    assert all(sample_patient(seed, "normal").regional == 0 for seed in SEEDS)
    assert np.mean([sample_patient(seed, "regional").regional for seed in SEEDS]) > 0.4
    assert all(sample_patient(seed, heart).can_reach(highest_ef(heart)) for seed in (100, 101) for heart in HEARTS)


def beat_lengths(rhythm: str) -> np.ndarray:
    """Time between the starts of beats, over many seconds of many patients, relative to their mean."""
    found = []
    for seed in SEEDS:
        fields = sample_patient(seed, rhythm=rhythm).fields()
        fine = torch.arange(6000, dtype=torch.float64) / 200.0
        c = compute_cycle(fields, fine, torch.tensor([0.0])).contraction[0]
        begins = ((c[:-1] == 0) & (c[1:] > 0)).nonzero().flatten().double() / 200.0
        found.append((begins.diff() / begins.diff().mean()).numpy())
    return np.concatenate(found)


@pytest.mark.heavy
def test_rhythms_are_what_their_names_say() -> None:
    sinus, fibrillation, premature = (beat_lengths(r) for r in ("sinus", "atrial fibrillation", "premature beats"))
    assert sinus.std() < 0.06
    assert fibrillation.std() > 0.12
    assert abs(np.corrcoef(fibrillation[:-1], fibrillation[1:])[0, 1]) < 0.2  # no order in it
    early = premature < 0.8
    assert 0.05 < early.mean() < 0.3
    assert np.median(premature[1:][early[:-1]]) > 1.15  # the pause after


def test_without_an_a_wave_the_valve_opens_once_a_beat() -> None:
    def openings(early_filling: float) -> int:
        patient = replace(sample_patient(100), heart_rate=60.0, rr_jitter=0.0, early_filling=early_filling)
        ten_seconds = torch.arange(10_000, dtype=torch.float64) / 1000.0
        mitral = compute_cycle(patient.fields(), ten_seconds, torch.tensor([0.0])).mitral[0]
        return int(((mitral[:-1] < 0.5) & (mitral[1:] >= 0.5)).sum())

    assert openings(0.65) == 20  # E and A
    assert openings(RHYTHMS["atrial fibrillation"]["early_filling"]) == 10


@pytest.mark.heavy
def test_weak_ventricles_are_large_in_a_population_and_one_patient_keeps_its_heart() -> None:
    config = SimulateConfig(patients=1, counterfactual=(30.0,), remodel=True)
    plans = [plan_patient(config, seed) for seed in range(200, 300)]
    factual = np.array([[rows[0].ef, np.log(rows[0].edv)] for rows in plans])
    assert np.corrcoef(factual.T)[0, 1] < -0.3
    assert all(rows[0].edv == rows[1].edv for rows in plans)
    patient = sample_patient(1)
    assert remodel(patient, 55.7).edv == pytest.approx(patient.edv)
    assert remodel(patient, 25.7).edv == pytest.approx(patient.edv * np.exp(0.6))


@pytest.mark.parametrize(("heart", "side", "z"), [("apical", 1, 0.1), ("septal", -1, 0.4), ("lateral", 1, 0.4)])
def test_a_dead_wall_does_not_move_in_and_the_other_makes_up_for_it(heart: str, side: int, z: float) -> None:
    moved: dict[int, list[float]] = {1: [], -1: []}
    for seed in SEEDS:
        fields = sample_patient(seed, heart).fields()
        columns = {name: value[:, None] for name, value in fields.items()}
        for wall in moved:
            at = torch.tensor([[z]], dtype=torch.float64)
            share = regional_pattern(columns, at, torch.full_like(at, wall), torch.zeros_like(at))
            moved[wall].append(float(share))
    assert np.median(moved[side]) < 0.35
    assert np.min(moved[side]) < 0  # some move outwards
    if heart != "apical":
        assert np.median(moved[-side]) > 0.8


def test_what_a_dead_wall_cannot_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match="dead septal wall"):
        SimulateConfig(patients=1, hearts="septal", counterfactual=(80.0,))
    plan = [plan_patient(SimulateConfig(patients=1, hearts="septal"), seed)[0].ef for seed in range(40)]
    assert max(plan) <= highest_ef("septal")


@pytest.mark.heavy
def test_hearts_that_are_weak_all_over_eject_little() -> None:
    for distribution in ("echonet", "uniform"):
        config = SimulateConfig(patients=1, hearts="global", ef_distribution=distribution)
        assert max(plan_patient(config, seed)[0].ef for seed in range(40)) <= 45
    with pytest.raises(ConfigError, match="weak all over reach an EF of 45 %"):
        SimulateConfig(patients=1, hearts="global", counterfactual=(60.0,))


@pytest.mark.heavy
@pytest.mark.parametrize("heart", ["apical", "septal", "lateral"])
def test_a_dead_wall_stays_dead_where_the_heart_has_to_be_made_able(heart: str) -> None:
    assert min(sample_patient(seed, heart).regional for seed in range(200)) >= 0.9


@pytest.mark.heavy
def test_a_foreshortened_heart_is_shorter_rounder_and_calmer_at_its_apex() -> None:
    patient = replace(sample_patient(3), foreshortening=0.0)
    seen = foreshorten(patient, 0.15)
    assert seen.long_axis == pytest.approx(0.85 * patient.long_axis, rel=0.05)
    assert seen.sphericity > patient.sphericity
    assert seen.long_axis_share < patient.long_axis_share
    assert seen.edv == pytest.approx(0.85 * patient.edv)
    drawn = np.array([sample_patient(seed).foreshortening for seed in range(200)])
    assert 0.25 < (drawn > 0).mean() < 0.55
    assert drawn.max() <= 0.2


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="hypertrophic"):
        sample_patient(0, heart="big")
    with pytest.raises(ValueError, match="premature"):
        sample_patient(0, rhythm="waltz")
