"""Published regressors: their files load unchanged and read the same EF as when they were published.

The numbers were made once, on one thread of a CPU, by the code of the weights' publication:

    frame, clip = render_pair(3_000_009, 55.0, 30.0, 64, 32.0, 0.0)
    load_regressor(name).predict([clip])[0]
"""

import pytest

from echosynth.evaluation.cases import render_pair
from echosynth.regression.loading import load_regressor
from echosynth.video.clip import EchoClip

PUBLISHED = {  # EF and the lower and upper end of its 90 % interval, per cent
    "echo_e3net_small": (31.3136, 22.5610, 40.0661),
    "judge_frame_transformer": (32.9360, 24.2562, 41.6159),
    "motion_frame_transformer": (33.9235, 22.0812, 45.7658),
    "r2plus1d_small": (32.2426, 22.4118, 42.0734),
    "mcsdr_small": (28.6411, 17.9779, 39.3042),
    "coreecho_small": (29.1803, 17.7634, 40.5972),
    "frame_aware_small": (38.7213, 26.2401, 51.2024),
}


@pytest.fixture(scope="module")
def clip() -> EchoClip:
    """A phantom patient at EF 30."""
    return render_pair(3_000_009, 55.0, 30.0, 64, 32.0, 0.0)[1]


@pytest.mark.heavy
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_regressor_reads_what_it_read(name: str, clip: EchoClip) -> None:
    answer = load_regressor(name).predict([clip])[0]
    assert (answer.ef, answer.low, answer.high) == pytest.approx(PUBLISHED[name], abs=1e-3)
