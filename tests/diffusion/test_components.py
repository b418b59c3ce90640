"""A cascade refuses parts that are not its own, by name, when it is put together."""

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler

from echosynth.diffusion.pipeline import EchoCascadePipeline
from echosynth.diffusion.unet3d import UNet3D
from tests.pipelines import FRAME, make_pipeline, seeds


@pytest.fixture(scope="module")
def pipeline() -> EchoCascadePipeline:
    return make_pipeline()


def rebuild(pipeline: EchoCascadePipeline, **changes: Any) -> EchoCascadePipeline:
    return EchoCascadePipeline(**pipeline.components | {"stages": pipeline.config["stages"]} | changes)


def test_components_and_stages_make_the_same_cascade(pipeline: EchoCascadePipeline) -> None:
    plain = pipeline(FRAME[:1], 50.0, generator=seeds(1), output_type="pt").clips
    for made in (rebuild(pipeline), EchoCascadePipeline.from_pipe(pipeline)):
        made.set_progress_bar_config(disable=True)
        assert torch.equal(made(FRAME[:1], 50.0, generator=seeds(1), output_type="pt").clips, plain)


def test_components_without_stages_are_refused_with_what_to_do(pipeline: EchoCascadePipeline) -> None:
    with pytest.raises(ValueError, match=r"stages is missing.*from_pipe"):
        EchoCascadePipeline(**pipeline.components)


def test_a_foreign_scheduler_is_refused_when_it_comes(pipeline: EchoCascadePipeline) -> None:
    with pytest.raises(ValueError, match="base_scheduler must be of class EDMScheduler, got DDIMScheduler"):
        rebuild(pipeline, base_scheduler=DDIMScheduler())
    own = pipeline.sr1_scheduler
    pipeline.sr1_scheduler = DDIMScheduler()
    try:
        with pytest.raises(ValueError, match="sr1_scheduler must be of class EDMScheduler, got DDIMScheduler"):
            pipeline(FRAME[:1], 50.0)
    finally:
        pipeline.sr1_scheduler = own


def test_a_foreign_scheduler_is_refused_at_loading(pipeline: EchoCascadePipeline, tmp_path: Any) -> None:
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="sr2_scheduler must be of class EDMScheduler"):
        EchoCascadePipeline.from_pretrained(tmp_path, sr2_scheduler=DDIMScheduler())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_unet": torch.nn.Linear(2, 2)}, "base_unet must be of class UNet3D, got Linear"),
        ({"base_unet": None}, "base_unet is missing"),
        ({"base_unet": None, "base_scheduler": None}, "base_unet is missing"),
        ({"sr1_scheduler": None}, "sr1_scheduler is missing"),
        ({"sr1_unet": None, "sr1_scheduler": None}, "'sr2' goes on from 'sr1', which is left out"),
        ({"ef_guide": torch.nn.Linear(2, 2)}, "ef_guide must be of class EFGuide, got Linear"),
        ({"tissue_tracker": torch.nn.Linear(2, 2)}, "tissue_tracker must be of class TissueTracker, got Linear"),
        ({"base_unet": "sr1_unet"}, "base_unet takes a low-resolution clip"),
        ({"sr1_unet": "base_unet"}, "sr1_unet takes no low-resolution clip"),
        ({"frame_unet": "base_unet"}, "frame_unet belongs to no stage"),
    ],
)
def test_wrong_parts_are_refused_by_name(pipeline: EchoCascadePipeline, changes: dict[str, Any], message: str) -> None:
    given = {name: getattr(pipeline, part) if isinstance(part, str) else part for name, part in changes.items()}
    with pytest.raises(ValueError, match=message):
        rebuild(pipeline, **given)


def test_a_network_of_another_grid_or_kind_is_refused(pipeline: EchoCascadePipeline) -> None:
    small: dict[str, Any] = {"widths": [32, 32], "blocks": [1, 1], "emb_dim": 32}
    with pytest.raises(ValueError, match="base_unet makes pictures whose side is a multiple of 8, not 14"):
        rebuild(pipeline, base_unet=UNet3D(patch=4, frame_patch=16, **small))
    with pytest.raises(ValueError, match="base_unet sees no conditioning frame"):
        rebuild(pipeline, base_unet=UNet3D(patch=1, frame_patch=None, **small))


@pytest.mark.heavy
def test_a_compiled_network_is_the_network_it_was_made_of(pipeline: EchoCascadePipeline) -> None:
    rebuild(pipeline, base_unet=torch.compile(pipeline.base_unet))
