"""The published cascade loads unchanged and still makes the clips that it made when it was published."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from echosynth.diffusion import precision
from echosynth.diffusion.loading import load_cascade
from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.stage_sampler import StageSampler
from tests.models import CASCADE

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "phantom_fast_base.npz"
"""A conditioning frame, the base's clips of it for two seeds, and a drawn frame, from before seeds went by stage."""


@pytest.fixture(scope="module")
def pipeline() -> EchoCascadePipeline:
    loaded = load_cascade(CASCADE)
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture
def firsts(pipeline: EchoCascadePipeline, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """What the first stages of chains make, in single precision on every machine; later stages are not waited for."""
    monkeypatch.setattr(precision.torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())
    made: dict[str, torch.Tensor] = {}
    sample = StageSampler.sample

    def watch(sampler: StageSampler, previous: torch.Tensor | None, *rest: object) -> torch.Tensor:
        if previous is not None:
            raise StopIteration
        made[sampler.spec.name] = clip = sample(sampler, previous, *rest)  # type: ignore[arg-type]
        return clip

    monkeypatch.setattr(StageSampler, "sample", watch)
    return made


@pytest.mark.parametrize(("seed", "ef"), [(1, 30.0), (2, 65.0)])
def test_the_base_clip_of_a_seed_is_the_published_one(
    pipeline: EchoCascadePipeline, firsts: dict[str, torch.Tensor], seed: int, ef: float
) -> None:
    golden = np.load(GOLDEN)
    with contextlib.suppress(StopIteration):
        pipeline(golden["frame"], ef, generator=[torch.Generator().manual_seed(seed)])
    truth = torch.from_numpy(golden[f"seed_{seed}_ef_{ef:.0f}"])
    torch.testing.assert_close(firsts["base"][0, 0], truth, atol=1e-4, rtol=0)


def test_the_drawn_frame_of_a_seed_is_the_published_one(
    pipeline: EchoCascadePipeline, firsts: dict[str, torch.Tensor]
) -> None:
    with contextlib.suppress(StopIteration):
        pipeline.sample_frames(1, torch.Generator().manual_seed(5))
    truth = torch.from_numpy(np.load(GOLDEN)["fictional_seed_5"])
    torch.testing.assert_close(firsts["frame"][0, 0], truth, atol=1e-4, rtol=0)
