"""Stage chains and the references that stages start from."""

import pytest
import torch

from echosynth.diffusion.cascade import (
    StageSpec,
    base_reference,
    check_chain,
    resize_frame,
    superres_reference,
    upsample_space,
    upsample_time,
)

BASE = StageSpec("base", "base", 4, 8.0, 28, 2)
CLIP = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def test_upsampling_in_time_keeps_every_frame_in_its_place() -> None:
    longer = upsample_time(CLIP, 4)
    assert longer.shape == (2, 1, 16, 8, 8)
    assert torch.equal(longer[:, :, ::4], CLIP)
    torch.testing.assert_close(longer[:, :, 2], (CLIP[:, :, 0] + CLIP[:, :, 1]) / 2)
    assert torch.equal(longer[:, :, 15], CLIP[:, :, 3])  # the last frame is held
    line = torch.arange(4.0)[None, None, :, None, None].expand(1, 1, 4, 2, 2)
    torch.testing.assert_close(upsample_time(line, 3)[0, 0, :10, 0, 0], torch.arange(10) / 3)


def test_upsampling_in_space_keeps_flat_pictures_flat_and_frames_apart() -> None:
    flat = torch.full((1, 1, 3, 7, 7), 0.3)
    torch.testing.assert_close(upsample_space(flat, 28), torch.full((1, 1, 3, 28, 28), 0.3))
    whole = upsample_space(CLIP, 32)
    assert torch.equal(whole[1:, :, 2:3], upsample_space(CLIP[1:, :, 2:3], 32))


def test_the_reference_of_the_base_is_the_frame_held_still() -> None:
    frame = torch.randn(2, 1, 112, 112)
    held = base_reference(frame, 4, 28)
    assert held.shape == (2, 1, 4, 28, 28)
    assert torch.equal(held[:, :, 0], held[:, :, 3])
    torch.testing.assert_close(held[:, :, 0].mean((1, 2, 3)), frame.mean((1, 2, 3)))
    assert resize_frame(frame, 112) is frame


@pytest.mark.parametrize(("frames", "size"), [(4, 16), (8, 8), (12, 24)])
def test_the_reference_of_super_resolution_has_the_stage_s_shape(frames: int, size: int) -> None:
    assert superres_reference(CLIP, frames, size).shape == (2, 1, frames, size, size)


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ([], "starts with"),
        ([StageSpec("base", "temporal", 4, 8.0, 28, 2)], "starts with"),
        ([BASE, StageSpec("sr1", "spatial", 8, 16.0, 28, 2)], "make it 'temporal'"),
        ([BASE, StageSpec("sr1", "temporal", 6, 12.0, 28, 2)], "multiply"),
        ([BASE, StageSpec("sr1", "temporal", 8, 8.0, 28, 2)], "last as long"),
    ],
)
def test_chains_that_do_not_fit_are_refused(chain: list[StageSpec], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_chain(chain)


def test_stages_check_themselves() -> None:
    with pytest.raises(ValueError, match="kind must be"):
        StageSpec("base", "first", 4, 8.0, 28, 2)
    with pytest.raises(ValueError, match="positive"):
        StageSpec("base", "base", 4, 8.0, 28, 0)
