"""The EF calibration: a rising curve that goes through its points."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.diffusion.calibration import calibrate_ef, check_calibration

PAIRS = [[10.0, 20.0], [50.0, 50.0], [85.0, 70.0]]


@given(st.lists(st.floats(1, 95), min_size=1, max_size=20))
def test_it_is_numpys_interpolation(efs: list[float]) -> None:
    made = calibrate_ef(torch.tensor(efs, dtype=torch.float64), PAIRS)
    np.testing.assert_allclose(made, np.interp(efs, *np.array(PAIRS).T), rtol=1e-12)


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
