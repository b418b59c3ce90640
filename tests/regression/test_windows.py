"""Windows of a clip: which ones are looked at, how much of a long clip is held at once, what a clip cannot give."""

import numpy as np
import pytest
import torch

from echosynth.regression.mcsdr import MCSDR
from echosynth.regression.r2plus1d import R2Plus1D
from echosynth.regression.windows import choose_around, choose_starts, find_violations
from echosynth.video.clip import EchoClip
from tests.regressors import SMALL, random_clip


def test_windows_are_spread_over_the_whole_clip() -> None:
    assert choose_starts(32, 8) == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    assert choose_starts(30, 8)[-2:] == [28, 30]
    assert choose_starts(32, 8, 1) == [16]
    assert choose_starts(32, 8, 3) == [0, 16, 32]
    assert choose_starts(32, 8, "all") == list(range(33))
    assert choose_starts(2, 8, 50) == [0, 1, 2]
    for coverage in (None, 1, 3, "all"):
        assert choose_starts(0, 8, coverage) == [0]
    assert choose_around(32, 8, 16.0, [0.0, 1.0, 9.0]) == [0, 12, 32]
    with pytest.raises(ValueError, match="at least one"):
        choose_starts(32, 8, 0)


@torch.no_grad()
def test_reading_all_windows_is_the_mean_over_every_start() -> None:
    torch.manual_seed(0)
    model = R2Plus1D(**SMALL["R2Plus1D"]).eval()
    clip = random_clip(frames=30, fps=16.0)
    answer = model.predict([clip], coverage="all")[0]
    each = [float(model(torch.from_numpy(clip.pixels[None, None, s : s + 8] / 127.5 - 1).float())) for s in range(23)]
    np.testing.assert_allclose(answer.windows, each, atol=1e-3)
    assert answer.ef == pytest.approx(np.mean(each), abs=1e-3)
    assert len(model.predict([clip], coverage=3)[0].windows) == 3


@pytest.mark.heavy
@torch.no_grad()
def test_a_network_is_never_shown_more_than_a_few_windows_of_a_long_clip() -> None:
    shown = []

    class Watched(R2Plus1D):
        def embed(self, x: torch.Tensor) -> torch.Tensor:
            shown.append(len(x))
            return super().embed(x)

    model = Watched(**SMALL["R2Plus1D"]).eval()
    clip = random_clip(frames=200, fps=16.0)
    model.predict([clip], coverage="all")
    assert sum(shown) == 193
    features = model.embed_clip(clip)
    assert max(shown) <= 8
    np.testing.assert_allclose(features, model.features(model.windows(clip)).mean(0), atol=1e-4)


def clip_of(frames: int, fps: float, height: int, width: int) -> EchoClip:
    return EchoClip(np.zeros((frames, height, width), np.uint8), fps)


@pytest.mark.parametrize(
    ("clip", "words"),
    [
        (clip_of(64, 32.0, 112, 112), ()),
        (clip_of(64, 15.0, 112, 112), ()),  # so near that nothing is missed
        (clip_of(960, 32.0, 112, 112), ()),
        (clip_of(64, 8.0, 112, 112), ("slower than the 16",)),
        (clip_of(5, 32.0, 112, 112), ("shorter than a window of 2 s",)),
        (clip_of(64, 32.0, 40, 40), ("smaller than the 56x56",)),
        (clip_of(64, 32.0, 80, 120), ("not square",)),
        (clip_of(5, 8.0, 40, 50), ("slower", "shorter", "smaller", "not square")),
    ],
)
def test_what_a_clip_cannot_give_is_reported(clip: EchoClip, words: tuple[str, ...]) -> None:
    found = find_violations(clip, 16.0, 32, 56)
    assert len(found) == len(words)
    for line, word in zip(found, words, strict=True):
        assert word in line


def test_an_error_that_was_never_measured_leaves_every_ef_possible() -> None:
    model, clip = R2Plus1D(**SMALL["R2Plus1D"]).eval(), random_clip()
    assert (model.predict([clip])[0].low, model.predict([clip])[0].high) == (0.0, 100.0)
    model.register_to_config(error90=5.0)
    answer = model.predict([clip])[0]
    assert answer.high - answer.low == pytest.approx(10.0)


@pytest.mark.heavy
def test_predictions_carry_the_warnings_and_attributes_count_once_they_were_learnt() -> None:
    torch.manual_seed(0)
    model, clip = MCSDR(**SMALL["MCSDR"]).eval(), random_clip()
    assert model.predict([clip])[0].warnings == ()
    model.fit_attribute_scale(torch.tensor([[60.0, 0.0, torch.nan, torch.nan], [70.0, 1.0, torch.nan, torch.nan]]))
    assert model.predict([clip.replace(attributes={"age": 50.0, "sex": 1.0})])[0].warnings == ()
    (warning,) = model.predict([clip.replace(attributes={"sex": 1.0, "weight": 70.0})])[0].warnings
    assert "without age of the patient" in warning
