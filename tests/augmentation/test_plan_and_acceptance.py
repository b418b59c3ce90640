"""Plans are deterministic, grow without renaming, and ask only for what can be asked."""

import math

import numpy as np
import pytest

from echosynth.augmentation.acceptance import Tolerance
from echosynth.augmentation.plan import (
    BalancePlan,
    EFBins,
    FrameSource,
    PlannedSample,
    check_target_ef,
    plain_names,
    plan_targets,
)
from echosynth.errors import ConfigError


def test_targets_are_every_source_times_every_ef_times_samples() -> None:
    plan = plan_targets(["a", "b"], [30, 62.5, 30], samples=2)
    assert [s.sample_id for s in plan[:4]] == ["a_ef30_s0", "a_ef30_s1", "a_ef62.5_s0", "a_ef62.5_s1"]
    assert len({s.sample_id for s in plan}) == len(plan) == 8


@pytest.mark.parametrize("ef", [0.9, 95.1, math.nan, math.inf, -3])
def test_an_ef_that_no_heart_has_is_refused(ef: float) -> None:
    with pytest.raises(ConfigError):
        check_target_ef(ef)


def test_names_become_plain_and_stay_different() -> None:
    names = plain_names(["echo (1)", "echo [1]", "../../x", "", "é"])
    assert names == ["echo_1", "echo_1_2", "x", "source", "source_2"]


def test_balance_fills_every_bin_exactly() -> None:
    efs = [22, 23, 41, 67, 68, 69, 90]
    sources = [FrameSource("a", 4, 10), FrameSource("b", 7, 1), FrameSource("c", 9, 5)]
    plan = BalancePlan(efs, sources, EFBins(2, 20, 20, 80), seed=3)
    counts, _ = np.histogram([*efs, *(s.target_ef for s in plan)], bins=[20, 40, 60, 80])
    assert counts.tolist() == [2, 2, 3]
    assert len(plan) == 1
    assert all(0 <= s.frame < {4: 10, 7: 1, 9: 5}[s.source_index] for s in plan)
    assert [plan[k] for k in (-1, 0)] == [list(plan)[-1], plan[:1][0]]
    with pytest.raises(IndexError):
        plan[1]


def test_a_higher_count_keeps_the_samples_of_a_lower_one() -> None:
    def plan(per_bin: int, seed: int) -> list[PlannedSample]:
        return list(BalancePlan([], [FrameSource("a", 0, 9), FrameSource("b", 1, 9)], EFBins(per_bin, 25), seed))

    small, large = plan(2, seed=1), plan(5, seed=1)
    assert set(small) < set(large)
    assert plan(2, seed=2) != small


@pytest.mark.parametrize("wrong", [{"width": 0}, {"low": 50, "high": 50}, {"high": 96}, {"per_bin": -1}])
def test_bins_that_cannot_be_filled_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        EFBins(**{"per_bin": 1, **wrong})  # type: ignore[arg-type]


def test_the_last_bin_ends_where_the_bins_do() -> None:
    assert EFBins(1, 25, 20, 80).edges == [(20, 45), (45, 70), (70, 80)]


def test_the_gate_accepts_within_its_tolerance_and_never_a_nan() -> None:
    rule = Tolerance(5)
    assert rule.decide(30, 35).accepted
    assert not rule.decide(30, 35.01).accepted
    assert not rule.decide(30, math.nan).accepted
