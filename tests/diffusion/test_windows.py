"""Windows over long clips: they cover every frame; what does not depend on the window comes out as in one piece."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.diffusion.windows import blend_windows, window_starts


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(2, 64), st.data())
def test_windows_cover_the_clip_and_share_what_they_should(frames: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    starts = window_starts(frames, window, overlap)
    assert starts[0] == 0
    assert starts[-1] + window == frames or frames <= window
    assert starts == sorted(set(starts))
    for before, after in pairwise(starts):
        assert before + window - after >= overlap


def test_an_overlap_of_a_whole_window_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        window_starts(10, 4, 4)


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(2, 16), st.data())
def test_what_every_window_agrees_on_is_left_alone(frames: int, window: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, window - 1))
    clip = torch.randn(2, 1, frames, 3, 3, generator=torch.Generator().manual_seed(frames))
    torch.testing.assert_close(blend_windows(lambda cut: 2 * clip[:, :, cut], frames, window, overlap), 2 * clip)


def test_windows_that_disagree_are_faded_into_each_other() -> None:
    made = blend_windows(lambda cut: torch.full((1, 1, 16, 1, 1), float(cut.start)), 28, 16, 4)[0, 0, :, 0, 0]
    assert made[:12].tolist() == [0.0] * 12
    torch.testing.assert_close(made[16:], torch.full((12,), 12.0))
    assert (made[11:17].diff() > 0).all()
    assert made.diff().max() < 12 / 2
