"""Plans are deterministic, grow without renaming, and ask only for what can be asked."""

import math

import numpy as np
import pytest

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.plan import check_target_ef, plain_names, plan_balance, plan_targets
from echosynth.errors import ConfigError


def test_targets_are_every_source_times_every_ef_times_samples():
    plan = plan_targets(["a", "b"], [30, 62.5, 30], samples=2)
    assert [s.sample_id for s in plan[:4]] == ["a_ef30_s0", "a_ef30_s1", "a_ef62.5_s0", "a_ef62.5_s1"]
    assert len({s.sample_id for s in plan}) == len(plan) == 8


@pytest.mark.parametrize("ef", [0.9, 95.1, math.nan, math.inf, -3])
def test_an_ef_that_no_heart_has_is_refused(ef):
    with pytest.raises(ConfigError):
        check_target_ef(ef)


def test_names_become_plain_and_stay_different():
    names = plain_names(["echo (1)", "echo [1]", "../../x", "", "é"])
    assert names == ["echo_1", "echo_1_2", "x", "source", "source_2"]


def test_balance_fills_every_bin_exactly():
    efs = [22, 23, 41, 67, 68, 69, 90]
    plan = plan_balance(efs, ["a", "b", "c"], [10, 1, 5], per_bin=2, bin_width=20, low=20, high=80, seed=3)
    counts, _ = np.histogram([*efs, *(s.target_ef for s in plan)], bins=[20, 40, 60, 80])
    assert counts.tolist() == [2, 2, 3]
    assert all(0 <= s.frame < (10, 1, 5)[s.source_index] for s in plan)


def test_a_higher_count_keeps_the_samples_of_a_lower_one():
    arguments = ([], ["a", "b"], [9, 9])
    small, large = (plan_balance(*arguments, per_bin=n, bin_width=25, low=10, high=85, seed=1) for n in (2, 5))
    assert set(small) < set(large)
    assert plan_balance(*arguments, per_bin=2, bin_width=25, low=10, high=85, seed=2) != small


def test_the_gate_accepts_within_its_tolerance_and_never_a_nan():
    rule = Tolerance(5)
    assert rule.decide(30, 35).accepted
    assert not rule.decide(30, 35.01).accepted
    assert not rule.decide(30, math.nan).accepted
