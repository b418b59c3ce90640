"""Beats are found in volume curves of any rate and start, and whole clips are read as one curve."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from echosynth.regression.coreecho import CoReEcho
from echosynth.regression.frame_transformer import FrameTransformer
from echosynth.regression.phases import find_beats, read_curve, split_beats
from echosynth.video.clip import EchoClip
from tests.regressors import SMALL, random_clip


@given(
    beat=st.floats(0.5, 1.4),
    start=st.floats(0, 1),
    ef=st.floats(0.1, 0.8),
    noise=st.floats(0, 0.1),
    rate=st.sampled_from([16.0, 25.0]),
)
def test_every_whole_beat_is_found(beat: float, start: float, ef: float, noise: float, rate: float) -> None:
    time = np.arange(int(6 * rate)) / rate
    phase = time / beat + start
    curve = 1 - ef * (0.5 - 0.5 * np.cos(2 * math.pi * phase))
    curve += ef * noise * np.random.default_rng(0).uniform(-1, 1, len(curve))
    beats = split_beats(curve, rate)
    for ed, es in beats:
        assert abs(phase[ed] - round(phase[ed])) < 0.2 + 1.5 / rate / beat
        assert abs(phase[es] % 1 - 0.5) < 0.2 + 1.5 / rate / beat
        assert 0 < es - ed
    whole = [k for k in range(20) if phase[0] + 0.05 <= k and k + 0.95 <= phase[-1]]
    found = [round(phase[ed]) for ed, _ in beats]
    assert set(whole) <= set(found)
    assert len(found) == len(set(found))


def test_a_still_ventricle_has_no_beat_of_any_size() -> None:
    assert split_beats(np.ones(40), 16.0) == []
    assert split_beats(np.linspace(0.5, 1, 40), 16.0) == []


class Bright(FrameTransformer):
    """Says that volume is brightness."""

    def forward(self, x: torch.Tensor, details: bool = False) -> Any:
        said = super().forward(x, details=True)
        return said.__class__(said.ef, curve=x.mean(dim=(1, 3, 4)))


@pytest.mark.parametrize("frames", [5, 21, 64, 130])
def test_the_curve_of_a_clip_is_as_long_as_the_clip(frames: int) -> None:
    torch.manual_seed(0)
    model = Bright(**SMALL["FrameTransformer"]).eval()
    level = np.rint(120 + 100 * np.cos(np.arange(frames) / 6)).astype(np.uint8)
    clip = EchoClip(np.broadcast_to(level[:, None, None], (frames, 32, 32)).copy(), 32.0)
    curve = read_curve(model, clip)
    expected = level[np.rint(np.arange(len(curve)) * 32 / 16).astype(int)] / 127.5 - 1
    assert len(curve) == (frames - 1) // 2 + 1
    np.testing.assert_allclose(curve, expected, atol=0.06)
    for beat in find_beats(model, clip):
        assert level[round(beat.ed * 32)] > 200 > 60 > level[round(beat.es * 32)]
    if frames == 130:
        assert len(find_beats(model, clip)) == 3


def test_windows_lie_around_the_beats_and_inside_the_clip() -> None:
    model = FrameTransformer(**SMALL["FrameTransformer"]).eval()
    clip = random_clip(frames=40, fps=16.0)
    whole = model.windows(clip)
    around = model.windows(clip, around=[0.0, 1.0, 9.0])
    assert around.shape[0] == 3
    assert torch.equal(around[0], whole[0])
    assert torch.equal(around[1], whole[3])  # frames 12 to 19
    assert torch.equal(around[2], whole[-1])
    answer = model.predict([clip, clip], [[1.0], None])
    assert len(answer[0].windows) == 1
    assert answer[1] == model.predict([clip])[0]


def test_a_regressor_without_a_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="no volume curve"):
        read_curve(CoReEcho(**SMALL["CoReEcho"]).eval(), random_clip())
