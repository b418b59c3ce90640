"""Resampling: closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echosynth.video.resample import resample_time, resize


@given(st.integers(2, 40), st.floats(5, 150), st.floats(5, 150))
def test_a_ramp_in_time_stays_that_ramp(num_frames: int, fps: float, target_fps: float) -> None:
    ramp = np.arange(num_frames, dtype=np.float64)[:, None, None] / fps
    out = resample_time(ramp, fps, target_fps)
    np.testing.assert_allclose(out[:, 0, 0], np.arange(len(out)) / target_fps, atol=2e-6 * num_frames)
    assert (len(out) - 1) / target_fps <= ramp.max() + 1e-6 < len(out) / target_fps + 2e-6


@given(st.integers(1, 30), st.floats(5, 150))
def test_the_same_rate_changes_nothing(num_frames: int, fps: float) -> None:
    pixels = np.random.default_rng(num_frames).integers(0, 256, (num_frames, 3, 4), dtype=np.uint8)
    np.testing.assert_array_equal(resample_time(pixels, fps, fps), pixels)


def test_a_clip_begins_where_asked_and_is_never_padded() -> None:
    pixels = np.arange(30, dtype=np.uint8)[:, None, None]
    assert resample_time(pixels, 30, 10, 3, start_s=0.5).ravel().tolist() == [15, 18, 21]
    for bad in (lambda: resample_time(pixels, 30, 10, 11), lambda: resample_time(pixels, 30, 0)):
        with pytest.raises(ValueError, match="frame"):
            bad()


def test_resize_keeps_flat_fields_and_does_not_alias() -> None:
    assert (resize(np.full((2, 50, 70), 77, np.uint8), (31, 16)) == 77).all()
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert np.abs(resize(checks, 16)[2:-2, 2:-2].astype(int) - 127.5).max() < 12
    x = np.linspace(0, 1, 40)[None].repeat(40, 0)
    np.testing.assert_allclose(
        resize(x, 80)[10:-10, 10:-10].mean(0), ((np.arange(10, 70) + 0.5) / 2 - 0.5) / 39, atol=1e-3
    )
