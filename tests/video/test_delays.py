"""Delays of animations: the whole keeps its length, and the rate comes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echosynth.video.delays import GIF_TICKS, WEBP_TICKS, frame_delays, read_delays


@given(st.integers(1, 300), st.floats(0.01, 0.9), st.sampled_from([GIF_TICKS, WEBP_TICKS]))
def test_frames_end_within_half_a_tick(num_frames: int, share: float, ticks: float) -> None:
    fps = share * ticks
    ends = np.cumsum(frame_delays(num_frames, fps, ticks))
    assert np.abs(ends - np.arange(1, num_frames + 1) * ticks / fps).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("fps", [5, 8, 12.5, 16, 18, 20, 24, 25, 30, 32, 36, 40, 48, 50])
@given(st.sets(st.integers(1, 63), max_size=16))
def test_the_rate_and_merged_frames_come_back(fps: float, repeats: set[int]) -> None:
    merged: list[int] = []
    expected: list[int] = []
    for frame, delay in enumerate(frame_delays(64, fps)):
        if frame in repeats:  # the same picture as the frame before: a writer gives that one the delay of both
            merged[-1] += delay
            expected[-1] += 1
        else:
            merged.append(delay)
            expected.append(1)
    rate, periods = read_delays(np.array(merged))
    assert rate == fps
    assert periods.tolist() == expected


def test_delays_of_no_constant_rate_give_the_mean() -> None:
    delays = np.array([5, 9, 31, 6, 14])
    rate, periods = read_delays(delays)
    assert rate == pytest.approx(100 * periods.sum() / delays.sum())
    assert periods.tolist() == [1, 2, 6, 1, 3]


def test_equal_delays_are_taken_at_their_word() -> None:
    assert read_delays(np.full(40, 3))[0] == pytest.approx(100 / 3)
    assert read_delays(np.array([7]))[0] == pytest.approx(100 / 7)
