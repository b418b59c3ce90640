"""The method of discs, against the numpy version that the tables use, and against solids whose volume is known."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.cardiac.volumes import ROWS, disc_ef, disc_volume, mirror_landmarks, order_landmarks
from echosynth.data.echonet_tables import Tracing


def spheroid(length: float, width: float) -> torch.Tensor:
    """Landmarks of an upright half axis-symmetric spheroid, apex up."""
    z = (torch.arange(20, dtype=torch.float64) + 0.5) / 20
    half = width / 2 * (4 * z * (1 - z)).sqrt()
    chords = torch.stack(
        [torch.stack([0.5 - half, 0.1 + length * z], -1), torch.stack([0.5 + half, 0.1 + length * z], -1)], 1
    )
    axis = torch.tensor([[[0.5, 0.1], [0.5, 0.1 + length]]], dtype=torch.float64)
    return torch.cat([axis, chords])


@given(length=st.floats(0.2, 0.8), width=st.floats(0.1, 0.5))
def test_a_spheroid_has_its_volume(length: float, width: float) -> None:
    exact = math.pi / 6 * length * width**2
    assert abs(float(disc_volume(spheroid(length, width))) / exact - 1) < 2e-3  # twenty discs


@given(seed=st.integers(0, 1000))
def test_volume_and_ef_are_those_of_the_tables(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(0, 112, (2, ROWS, 2, 2))
    tables = [Tracing(0, p[0], p[1:].reshape(20, 4)).volume for p in points]
    ours = torch.from_numpy(points / 112)
    np.testing.assert_allclose(disc_volume(ours) * 112**3, tables, rtol=1e-6)
    np.testing.assert_allclose(disc_ef(ours), 100 * (1 - tables[1] / tables[0]), rtol=1e-6)


def test_gradient_is_finite_where_a_heart_has_collapsed() -> None:
    points = torch.full((1, 2, ROWS, 2, 2), 0.5, requires_grad=True)
    disc_ef(points).sum().backward()
    assert points.grad is not None
    assert bool(points.grad.isfinite().all())


def test_a_mirrored_heart_pumps_as_much_and_keeps_left_on_the_left() -> None:
    points = torch.stack([spheroid(0.6, 0.4), spheroid(0.5, 0.2)])
    points[..., 0] += 0.1
    mirrored = mirror_landmarks(points)
    torch.testing.assert_close(disc_ef(mirrored), disc_ef(points))
    assert (mirrored[:, 1:, 0, 0] <= mirrored[:, 1:, 1, 0]).all()
    torch.testing.assert_close(mirror_landmarks(mirrored), points)
    torch.testing.assert_close(mirrored[:, 0, :, 1], points[:, 0, :, 1])  # the apex stays the apex


@given(seed=st.integers(0, 1000))
def test_every_habit_of_tracing_gives_the_same_order(seed: int) -> None:
    points = spheroid(0.6, 0.4)
    axis, chords = points[:1], points[1:]
    habit = np.random.default_rng(seed).integers(0, 2, 3)
    axis = axis.flip(1) if habit[0] else axis
    chords = chords.flip(0) if habit[1] else chords
    chords = chords.flip(1) if habit[2] else chords
    torch.testing.assert_close(order_landmarks(torch.cat([axis, chords])), points)
