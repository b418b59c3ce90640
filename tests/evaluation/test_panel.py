"""The bundled panel: its weights, its reading, and the clips that they are fitted and scored on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.data.outlines import fill_polygon
from echosynth.evaluation.held_out import (
    EFFECTS,
    HELD_OUT_RATES,
    HOSPITAL_FPS,
    find_restless,
    render_held_out,
    render_hospital,
    render_restless,
    trace_held_out,
)
from echosynth.evaluation.panel import PanelConfig, fit_weights, load_panel
from echosynth.phantom.simulated_clips import traced_ef
from echosynth.regression.base import EFPrediction
from echosynth.regression.panel import read_as_panel


def answers(*efs: float) -> list[EFPrediction]:
    return [EFPrediction(ef, ef - 5, ef + 5, (ef,)) for ef in efs]


def test_a_weighted_panel_counts_its_members_and_has_an_interval_of_its_own() -> None:
    panel = PanelConfig(regressors={"a": 0.5, "b": 0.3, "c": 0.2}, error90=12.0)
    reading = panel.read(answers(40, 50, 60))
    assert reading.ef == pytest.approx(47)
    assert (reading.low, reading.high) == pytest.approx((35, 59))
    assert reading.range == 20
    assert not reading.agreed
    assert panel.read(answers(2, 3, 4)).low == 0
    with pytest.raises(ValueError, match="3 members cannot have 2 weights"):
        read_as_panel(answers(1, 2, 3), [0.5, 0.5])


@given(seed=st.integers(0, 300))
@settings(max_examples=25, deadline=None)
def test_no_other_weights_have_less_error(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(10, 85, 80)
    predicted = truth[:, None] + rng.normal(size=(80, 3)) * rng.uniform(1, 12, 3) + rng.normal(0, 4, 3)
    weights = fit_weights(predicted, truth)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    least = ((predicted @ weights - truth) ** 2).mean()
    for other in rng.dirichlet(np.ones(3), 50):
        assert least <= ((predicted @ other - truth) ** 2).mean() + 1e-3


def test_a_perfect_member_takes_all_the_weight() -> None:
    truth = np.linspace(10, 80, 30)
    predicted = np.stack([truth, truth + np.resize([9.0, -9.0], 30)], 1)
    np.testing.assert_allclose(fit_weights(predicted, truth), [1, 0], atol=1e-3)


def test_members_that_each_err_where_the_panel_is_used_share_the_weight() -> None:
    truth = np.linspace(10, 80, 40)
    signs = np.resize([1.0, -1.0], 40)
    predicted = np.stack([truth + 2 * signs, truth + 6 * np.roll(np.resize([1.0, 1.0, -1.0, -1.0], 40), 1)], 1)
    # Independent errors of spreads 2 and 6 with 8 more each: weights go with the inverse of the variances.
    expected = np.array([1 / (4 + 64), 1 / (36 + 64)])
    np.testing.assert_allclose(fit_weights(predicted, truth, 8.0), expected / expected.sum(), atol=0.005)
    np.testing.assert_allclose(fit_weights(predicted, truth, 1e3), [0.5, 0.5], atol=0.01)


def test_the_bundled_panel_has_unlike_readers_that_all_count() -> None:
    panel = load_panel()
    assert len(panel.regressors) == 4
    assert min(panel.regressors.values()) > 0.1
    assert sum(panel.regressors.values()) == pytest.approx(1, abs=0.01)
    assert panel.error90 > 0


@pytest.mark.parametrize("weights", [{"a": 1.0}, {"a": 0.7, "b": 0.7}, {"a": 1.5, "b": -0.5}])
def test_weights_that_are_none_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="regressors"):
        PanelConfig(regressors=weights, error90=5)


def test_a_held_out_clip_is_the_same_whenever_it_is_made() -> None:
    one, two, other = (render_held_out(seed, "camus", effects=True) for seed in (3_300_001, 3_300_001, 3_300_002))
    assert np.array_equal(one.pixels, two.pixels)
    assert one.ef == two.ef
    assert one.fps in HELD_OUT_RATES
    assert one.duration_s == pytest.approx(2.5, abs=0.2)
    assert one.pixels.shape != other.pixels.shape or not np.array_equal(one.pixels, other.pixels)
    hospital = render_hospital(3_300_001, "camus")
    assert (hospital.fps, hospital.ef) == (HOSPITAL_FPS, one.ef)
    assert np.array_equal(hospital.pixels, render_hospital(3_300_001, "camus").pixels)
    plain = render_held_out(3_300_001, "camus", effects=False)
    assert plain.ef == one.ef
    assert plain.fps == 44


@pytest.mark.parametrize("effects", [False, True])
def test_a_held_out_clip_is_traced_where_its_heart_is(effects: bool) -> None:
    clip = render_held_out(3_300_001, "camus", effects)
    ed, es = trace_held_out(3_300_001, "camus", clip)
    assert clip.ef is not None
    assert clip.ef - 6 < traced_ef(ed, es) <= clip.ef + 1e-3  # so few frames may miss both ends by a little
    for traced in (ed, es):
        cavity = fill_polygon(np.concatenate([traced.chords[:, :2], traced.chords[::-1, 2:]]), clip.pixels.shape[1:])
        sector = clip.pixels.max(0) > 8
        assert clip.pixels[traced.frame][cavity].mean() < 0.9 * clip.pixels[traced.frame][sector & ~cavity].mean()


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.__name__)
def test_every_effect_changes_the_picture_and_leaves_the_heart_in_it(effect: object) -> None:
    assert callable(effect)
    axis = np.linspace(-1, 1, 112)
    far = np.hypot(axis[None], axis[:, None])
    radius = 0.5 + 0.1 * np.sin(np.arange(8))[:, None, None]
    light = np.where(far < radius, 0.1, 0.6) * (far < 0.9)
    changed = effect(light, np.random.default_rng(0)).clip(0, 1)
    assert changed.shape == light.shape
    assert np.abs(changed - light).mean() > 0.002
    inside, wall = far < 0.35, (far > 0.65) & (far < 0.85)
    assert (changed[:, wall].mean(1) > changed[:, inside].mean(1) + 0.1).all()


def test_the_most_restless_patients_fail_and_are_the_same_ones_each_time() -> None:
    seeds = find_restless(3_300_000, 2)
    assert seeds == find_restless(3_300_000, 2)
    assert len(set(seeds)) == 2
    assert all(3_300_000 <= seed < 3_300_020 for seed in seeds)
    clip = render_restless(seeds[0])
    assert clip.ef is not None
    assert 10 <= clip.ef <= 30
