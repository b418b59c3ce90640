"""Rates, speeds and parts of beats of training windows, against what inference does with real clips."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from echosynth.regression.windows import fit_pixels
from echosynth.seeding import make_generator
from echosynth.training.clips.timing import Timing, TimingConfig, draw_timing, find_beat, play_back
from echosynth.video.clip import EchoClip

PLAIN = TimingConfig(rates=(32.0,), speed=(1.0, 1.0), parts=0.0)


def beating(count: int, frames: int = 64, beat: int = 24) -> torch.Tensor:
    """Volume curves that begin anywhere in the beat."""
    start = torch.arange(count)[:, None] * 5
    phase = (torch.arange(frames)[None] + start) % beat / beat
    return 1 - 0.3 * (1 - torch.cos(2 * torch.pi * phase))


@given(seed=st.integers(0, 500), parts=st.floats(0, 1), low=st.floats(0.4, 1.0), more=st.floats(1.0, 3.0))
@settings(deadline=None)
def test_every_window_is_made_of_frames_that_the_source_has(seed: int, parts: float, low: float, more: float) -> None:
    config = TimingConfig(speed=(low, low * more), parts=parts)
    timing = draw_timing(beating(8), 2, 32, 32.0, config, make_generator(seed))
    for frames in (timing.before, timing.after):
        assert frames.shape == (8, 32)
        assert 0 <= int(frames.min())
        assert int(frames.max()) <= 63
    assert ((timing.share >= 0) & (timing.share <= 1)).all()
    assert ((timing.moments >= 0) & (timing.moments <= 63.001)).all()


def test_nothing_is_changed_where_nothing_may_differ() -> None:
    clips = torch.rand(4, 63, 3, 3)
    timing = draw_timing(beating(4, 63), 2, 32, 32.0, PLAIN, make_generator(1))
    torch.testing.assert_close(timing.moments, 2.0 * torch.arange(32).expand(4, -1))
    # recorded at the source's rate, but at instants of its own: never a frame away from the moment that is meant
    for used in (timing.before, timing.after):
        assert float((used - timing.moments).abs().max()) <= 1
    assert timing.blend(clips).shape == (4, 32, 3, 3)


def test_a_slow_recording_is_blended_as_inference_blends_it() -> None:
    """A ramp in time, recorded at 8 Hz and blended to 16 Hz, is a ramp again: blending keeps straight lines."""
    ramp = torch.arange(64.0)[None, :, None, None].expand(3, -1, 2, 2)
    config = PLAIN.model_copy(update={"rates": (8.0,)})
    timing = draw_timing(beating(3), 2, 24, 32.0, config, make_generator(2))
    inner = slice(3, -3)  # the first and the last recorded frame hold on
    miss = timing.blend(ramp)[:, inner, 0, 0] - timing.moments[:, inner]
    assert float(miss.abs().max()) <= 0.51  # recorded at whole source frames
    used = torch.cat([timing.before, timing.after], 1)
    assert all(len(set(row.tolist())) <= 64 // 4 + 2 for row in used)


@given(held=st.integers(2, 40), frames=st.integers(2, 64))
def test_parts_are_played_back_as_regressors_play_short_clips(held: int, frames: int) -> None:
    clip = EchoClip(np.tile(np.arange(held, dtype=np.uint8)[:, None, None], (1, 8, 8)), 16.0)
    wanted = fit_pixels(clip, 16.0, frames, 8)[:frames, 0, 0] if held < frames else np.arange(frames)
    assert play_back(torch.tensor([held]), frames)[0].tolist() == wanted.tolist()


def test_a_single_frame_stands_still() -> None:
    assert play_back(torch.tensor([1]), 5)[0].tolist() == [0] * 5


@given(seed=st.integers(0, 300))
@settings(deadline=None)
def test_a_part_holds_both_ends_of_a_beat(seed: int) -> None:
    curve = beating(6)
    config = TimingConfig(rates=(32.0,), speed=(1.0, 1.0), parts=1.0)
    timing = draw_timing(curve, 2, 32, 32.0, config, make_generator(seed))
    volume = timing.at_moments(curve)
    torch.testing.assert_close(volume.amax(1), curve.amax(1), atol=0.02, rtol=0)
    # as in inference, what is left after the last whole step of the window's rate is not shown
    torch.testing.assert_close(volume.amin(1), curve.amin(1), atol=0.06, rtol=0)
    assert (timing.moments.amax(1) - timing.moments.amin(1) >= 8).all()


def test_clips_of_unknown_volume_are_not_cut() -> None:
    first, then = find_beat(torch.full((3, 20), torch.nan), make_generator(0))
    assert first.tolist() == then.tolist() == [-1] * 3
    config = PLAIN.model_copy(update={"parts": 1.0})
    timing = draw_timing(torch.full((3, 64), torch.nan), 2, 32, 32.0, config, make_generator(0))
    assert (timing.moments[:, -1] - timing.moments[:, 0] == 62).all()


def test_a_faster_heart_shows_more_beats() -> None:
    curve = beating(4, frames=64)
    config = PLAIN.model_copy(update={"speed": (1.8, 1.8)})
    timing = draw_timing(curve, 2, 16, 32.0, config, make_generator(3))
    torch.testing.assert_close(timing.moments.diff(dim=1), torch.full((4, 15), 3.6))


def test_whole_frames_stay_as_they_are() -> None:
    clips, moments = torch.rand(2, 9, 4, 4), torch.tensor([[0, 3, 8], [1, 1, 2]])
    shown = Timing.plain(moments).blend(clips)
    torch.testing.assert_close(shown, clips[torch.arange(2)[:, None], moments])


@pytest.mark.parametrize("wrong", [{"rates": ()}, {"rates": (0.0,)}, {"speed": (2.0, 1.0)}, {"parts": 1.5}])
def test_impossible_limits_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rates|speed|parts"):
        TimingConfig.model_validate(wrong)
