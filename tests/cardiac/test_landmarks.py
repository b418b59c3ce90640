"""Landmarks: a mirrored heart stays a heart, and every habit of tracing gives one order."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.cardiac.discs import disc_ef
from echosynth.cardiac.landmarks import mirror_landmarks, order_landmarks
from tests.spheroids import draw_spheroid


def test_a_mirrored_heart_pumps_as_much_and_keeps_left_on_the_left() -> None:
    points = torch.stack([draw_spheroid(0.6, 0.4), draw_spheroid(0.5, 0.2)])
    points[..., 0] += 0.1
    mirrored = mirror_landmarks(points)
    torch.testing.assert_close(disc_ef(mirrored), disc_ef(points))
    assert (mirrored[:, 1:, 0, 0] <= mirrored[:, 1:, 1, 0]).all()
    torch.testing.assert_close(mirror_landmarks(mirrored), points)
    torch.testing.assert_close(mirrored[:, 0, :, 1], points[:, 0, :, 1])  # the apex stays the apex


@given(seed=st.integers(0, 1000))
def test_every_habit_of_tracing_gives_the_same_order(seed: int) -> None:
    points = draw_spheroid(0.6, 0.4)
    axis, chords = points[:1], points[1:]
    habit = np.random.default_rng(seed).integers(0, 2, 3)
    axis = axis.flip(1) if habit[0] else axis
    chords = chords.flip(0) if habit[1] else chords
    chords = chords.flip(1) if habit[2] else chords
    torch.testing.assert_close(order_landmarks(torch.cat([axis, chords])), points)
