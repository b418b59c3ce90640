"""The published cascade loads unchanged and still makes the clips that it made when it was published."""

from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.video.clip import to_network
from tests.models import CASCADE

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "phantom_fast_base.npz"
"""A conditioning frame, and the base's clips of it for two seeds, made by the code before seeds went by stage."""


@pytest.fixture(scope="module")
def base() -> EchoCascadePipeline:
    """The base alone: the later stages' noise has changed since."""
    whole = load_cascade(CASCADE)
    parts = whole.components | {f"sr{k}_{part}": None for k in (1, 2) for part in ("unet", "scheduler")}
    alone = EchoCascadePipeline(**parts, stages=whole.config["stages"], ef_calibration=whole.config["ef_calibration"])
    alone.set_progress_bar_config(disable=True)
    return alone


@pytest.mark.parametrize(("seed", "ef"), [(1, 30.0), (2, 65.0)])
def test_the_base_clip_of_a_seed_is_the_published_one(base: EchoCascadePipeline, seed: int, ef: float) -> None:
    golden = np.load(GOLDEN)
    frame = to_network(golden["frame"])[None, None]
    made = base(frame, ef, generator=[torch.Generator().manual_seed(seed)], output_type="pt").clips
    truth = torch.from_numpy(golden[f"seed_{seed}_ef_{ef:.0f}"]).clamp(-1, 1)
    torch.testing.assert_close(made[0, 0], truth, atol=1e-4, rtol=0)
