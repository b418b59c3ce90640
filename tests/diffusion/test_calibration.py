"""The EF calibration: a rising curve that goes through its points."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.diffusion.calibration import (
    ASKED,
    HIGHEST_CALIBRATED_EF,
    LOWEST_CALIBRATED_EF,
    calibrate_ef,
    check_calibration,
    measure_calibration,
)

PAIRS = [[10.0, 20.0], [50.0, 50.0], [85.0, 70.0]]


@given(st.lists(st.floats(1, 95), min_size=1, max_size=20))
def test_it_is_numpys_interpolation_and_keeps_the_offset_of_its_ends(efs: list[float]) -> None:
    made = calibrate_ef(torch.tensor(efs, dtype=torch.float64), PAIRS)
    beyond = np.array(efs) - np.clip(efs, 10, 85)
    np.testing.assert_allclose(made, np.interp(efs, *np.array(PAIRS).T) + beyond, rtol=1e-12)


def test_calibrated_efs_stay_within_the_training_range() -> None:
    made = calibrate_ef(torch.tensor([1.0, 20.0, 85.0, 95.0]), [[20.0, 8.0], [85.0, 90.0]])
    assert made.tolist() == [LOWEST_CALIBRATED_EF, 8.0, 90.0, HIGHEST_CALIBRATED_EF]


def test_without_pairs_nothing_changes() -> None:
    ef = torch.tensor([15.0, 80.0])
    assert calibrate_ef(ef, None) is ef


@pytest.mark.parametrize(
    "pairs",
    [[], [[10, 20]], [[10, 20], [10, 30]], [[10, 30], [20, 20]], [[10, 20], [120, 30]], [[10, 20, 30], [40, 50, 60]]],
)
def test_what_is_no_rising_curve_is_refused(pairs: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="rising pairs"):
        check_calibration(pairs)


def test_measuring_takes_back_slope_and_bias_and_those_of_the_reader() -> None:
    rng = np.random.default_rng(0)
    calibrated, true = rng.uniform(10, 85, (2, 400))

    def read(ef: np.ndarray) -> np.ndarray:  # a regressor that shrinks towards the middle
        return 8 + 0.8 * ef + rng.normal(0, 3, len(ef))

    pairs = measure_calibration(calibrated, read(50 + 1.25 * (calibrated - 50) - 4), true, read(true))
    check_calibration(pairs)
    for asked, answer in pairs:
        assert answer == pytest.approx(50 + (asked + 4 - 50) / 1.25, abs=1.5)
    assert [asked for asked, _ in pairs] == list(ASKED)


def test_what_cannot_be_reached_is_asked_for_as_far_as_it_goes() -> None:
    calibrated, true = np.linspace(10, 85, 100), np.linspace(10, 85, 100)
    # The clips' EFs are 42 to 57 for every calibrated EF.
    pairs = measure_calibration(calibrated, 40 + 0.2 * calibrated, true, true)
    assert pairs[0][1] == LOWEST_CALIBRATED_EF == 5.0
    assert pairs[-1][1] == HIGHEST_CALIBRATED_EF == 92.0
    check_calibration(pairs)
