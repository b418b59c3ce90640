"""Differences of arms: closed forms, an independent bootstrap, and Holm's procedure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.evaluation.uplift.scores import Difference, correct_by_holm, score_arms


def tables(seed: int, repetitions: int = 4, patients: int = 40) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    truth = rng.uniform(12, 80, patients)
    real = truth + rng.normal(0, 8, (repetitions, patients))
    return truth, {"real": real, "gated": truth + 0.5 * (real - truth), "same": real.copy()}


def test_an_arm_of_half_the_errors_is_better_by_half_and_the_same_arm_by_nothing() -> None:
    truth, read = tables(0)
    scores = score_arms(truth, read, "real", n_bootstrap=500)
    reference = np.abs(read["real"] - truth)
    gained = scores["gated"].difference
    assert gained is not None
    assert scores["real"].difference is None
    assert scores["real"].mae == pytest.approx(reference.mean())
    assert gained.mean == pytest.approx(-reference.mean() / 2)
    assert gained.low < gained.mean < gained.high < 0
    assert gained.p_holm == pytest.approx(2 * gained.p)
    few = scores["gated"].difference_reduced
    assert few is not None
    assert few.mean == pytest.approx(-reference[:, truth < 40].mean() / 2)
    same = scores["same"].difference
    assert same is not None
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_scores_are_means_over_repetitions() -> None:
    truth, read = tables(3)
    one = score_arms(truth, read, "real", n_bootstrap=10)["real"]
    errors = read["real"] - truth
    assert one.rmse == pytest.approx(np.mean([np.sqrt((row**2).mean()) for row in errors]))
    assert one.bias == pytest.approx(errors.mean())
    spread = ((truth - truth.mean()) ** 2).sum()
    assert one.r2 == pytest.approx(np.mean([1 - (row**2).sum() / spread for row in errors]))
    assert set(one.auroc) == {"40", "50"}


def test_intervals_agree_with_a_bootstrap_that_resamples_one_by_one() -> None:
    truth, read = tables(1, repetitions=5, patients=30)
    found = score_arms(truth, read, "real", n_bootstrap=4000)["gated"].difference
    assert found is not None
    difference = np.abs(read["gated"] - truth) - np.abs(read["real"] - truth)
    rng = np.random.default_rng(9)
    means = [difference[np.ix_(rng.integers(5, size=5), rng.integers(30, size=30))].mean() for _ in range(4000)]
    low, high = np.quantile(means, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_a_test_without_failing_hearts_has_no_scores_of_them() -> None:
    truth = np.linspace(55, 75, 12)
    scores = score_arms(truth, {"real": truth[None] + 1, "gated": truth[None]}, "real", 50)
    assert scores["gated"].mae_reduced is None
    assert scores["gated"].difference_reduced is None
    assert scores["gated"].auroc == {"40": None, "50": None}


def test_tables_of_other_shapes_are_refused() -> None:
    truth, read = tables(2)
    with pytest.raises(ValueError, match="4 rows of 40 patients"):
        score_arms(truth, {**read, "gated": read["gated"][:, :-1]}, "real")


@given(st.lists(st.floats(0.0005, 1), min_size=1, max_size=7))
@settings(max_examples=60, deadline=None)
def test_holm_is_monotone_and_between_the_p_value_and_bonferroni(values: list[float]) -> None:
    found = {str(k): Difference(0, 0, 0, p) for k, p in enumerate(values)}
    corrected = correct_by_holm(found)
    by_p = sorted(corrected.values(), key=lambda one: one.p)
    assert [one.p_holm for one in by_p] == sorted(one.p_holm for one in by_p)
    for one in by_p:
        assert one.p - 1e-12 <= one.p_holm <= min(1.0, len(values) * one.p) + 1e-12 or one.p_holm == by_p[0].p_holm
    assert by_p[0].p_holm == pytest.approx(min(1.0, len(values) * by_p[0].p))


def test_holm_on_a_worked_example() -> None:
    found = {name: Difference(0, 0, 0, p) for name, p in {"a": 0.01, "b": 0.04, "c": 0.03}.items()}
    assert {k: round(v.p_holm, 6) for k, v in correct_by_holm(found).items()} == {"a": 0.03, "c": 0.06, "b": 0.06}
