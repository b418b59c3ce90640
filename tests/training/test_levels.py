"""Networks whose levels do not fit are refused by their config in one line, before anything is built."""

from pathlib import Path
from typing import Any

import pytest

from echosynth.config import load_config
from echosynth.errors import ConfigError
from echosynth.training.cascade import CascadeConfig

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "diffusion" / "phantom_fast.yaml"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stages.base.unet.widths=[8,16]", "multiple of 32 channels wide, got"),
        ("stages.base.unet.blocks=[1]", "same number of levels"),
        ("stages.base.unet.time_attention=[true]", "same number of levels"),
        ("ef_guide.widths=[32,16]", "multiple of 32 channels wide, got 16"),
        ("ef_guide.blocks=[1,1,1]", "same number of levels"),
        ("tissue_tracker.blocks=[1]", "same number of levels"),
    ],
)
def test_levels_that_do_not_fit_are_one_line(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(CONFIG, CascadeConfig, [change])
    assert "\n" not in str(caught.value)


def test_the_config_itself_is_fine() -> None:
    made: Any = load_config(CONFIG, CascadeConfig, [])
    assert made.ef_guide is not None
