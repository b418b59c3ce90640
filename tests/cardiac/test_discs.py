"""The method of discs: tensors against arrays, and both against solids whose volume is known."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.cardiac.discs import disc_ef, disc_volume, traced_volume
from echosynth.cardiac.ejection_fraction import ejection_fraction
from echosynth.cardiac.landmarks import CHORDS, ROWS
from tests.spheroids import draw_spheroid


@given(length=st.floats(0.2, 0.8), width=st.floats(0.1, 0.5))
def test_a_spheroid_has_its_volume(length: float, width: float) -> None:
    exact = math.pi / 6 * length * width**2
    points = draw_spheroid(length, width)
    assert abs(float(disc_volume(points)) / exact - 1) < 2e-3  # twenty discs
    assert abs(traced_volume(points[0].numpy(), points[1:].flatten(1).numpy()) / exact - 1) < 2e-3


@given(seed=st.integers(0, 1000))
def test_tensors_and_arrays_have_the_same_volume_and_ef(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 112, (2, ROWS, 2, 2))
    traced = [traced_volume(p[0], p[1:].reshape(CHORDS, 4)) for p in points]
    ours = torch.from_numpy(points / 112)
    np.testing.assert_allclose(disc_volume(ours) * 112**3, traced, rtol=1e-6)
    np.testing.assert_allclose(disc_ef(ours), ejection_fraction(*traced), rtol=1e-6)


def test_an_ef_is_the_ejected_share_of_the_filled_ventricle() -> None:
    assert ejection_fraction(120.0, 48.0) == 60.0
    assert ejection_fraction(100.0, 100.0) == 0.0
    np.testing.assert_allclose(ejection_fraction(np.array([80.0, 50.0]), np.array([20.0, 60.0])), [75.0, -20.0])


def test_gradient_is_finite_where_a_heart_has_collapsed() -> None:
    points = torch.full((1, 2, ROWS, 2, 2), 0.5, requires_grad=True)
    disc_ef(points).sum().backward()
    assert points.grad is not None
    assert bool(points.grad.isfinite().all())
