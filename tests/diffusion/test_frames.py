"""Conditioning frames: every form in which callers have them is the same frame, and what is out of range is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from echosynth.diffusion.conditioning_frames import read_frames
from echosynth.video.clip import to_network
from echosynth.video.resample import resize
from tests.pipelines import make_pipeline, seeds

SIDE = 56
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
FRAME = to_network(GREY)[None, None]


@pytest.mark.parametrize(
    "given",
    [
        FRAME,
        FRAME.half().float(),
        GREY,
        GREY[None],
        GREY[None, None],
        FRAME[0, 0].numpy(),
        FRAME.numpy().astype(np.float64),
        GREY.astype(np.float32) / 255,
        Image.fromarray(GREY),
        Image.fromarray(GREY).convert("RGB"),
        Image.fromarray(GREY).convert("RGBA"),
        Image.fromarray(GREY).convert("LA"),
        Image.fromarray(GREY.astype(np.float32) / 255),
        Image.fromarray(GREY.astype(np.uint16) * 257),
        Image.fromarray(GREY.astype(np.int32) * 257),
        [Image.fromarray(GREY)],
        [GREY],
    ],
)
def test_every_form_is_the_same_frame(given: object) -> None:
    read = read_frames(given, SIDE)  # type: ignore[arg-type]
    assert read.shape == (1, 1, SIDE, SIDE)
    assert read.dtype == torch.float32
    torch.testing.assert_close(read, FRAME, atol=1e-3, rtol=0)


def test_colour_becomes_grey_by_luma() -> None:
    rgb = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    read = read_frames(Image.fromarray(rgb), SIDE)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    assert float((read[0, 0] - torch.from_numpy(luma / 127.5 - 1).float()).abs().max()) < 0.01


def test_several_frames_keep_their_order() -> None:
    other = 255 - GREY
    for given in ([Image.fromarray(GREY), other], np.stack([GREY, other]), torch.cat([FRAME, -FRAME])):
        read = read_frames(given, SIDE)  # type: ignore[arg-type]
        torch.testing.assert_close(read, torch.cat([FRAME, -FRAME]), atol=1e-5, rtol=0)


def test_pictures_are_resized_as_generate_resizes_them() -> None:
    large = RNG.integers(0, 256, (130, 130), dtype=np.uint8)
    assert torch.equal(read_frames(large, SIDE), to_network(resize(large, SIDE))[None, None])
    assert torch.equal(read_frames(Image.fromarray(large), SIDE), read_frames(large, SIDE))
    floats = read_frames(large / 255.0, SIDE)
    torch.testing.assert_close(floats, read_frames(large, SIDE), atol=0.01, rtol=0)


def test_a_little_overshoot_of_resizing_does_not_turn_the_range_over() -> None:
    overshot = GREY / 255.0
    overshot[0, :2] = -0.04, 1.05
    read = read_frames(overshot, SIDE)
    torch.testing.assert_close(read[0, 0, 1:], FRAME[0, 0, 1:], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (GREY.astype(np.float32), "0-255 as uint8"),
        (FRAME * 127.5, "within \\[-1, 1\\], got"),
        (torch.from_numpy(GREY)[None, None], "numpy array"),
        (FRAME * float("nan"), "within \\[-1, 1\\], got nan"),
        (np.full((SIDE, SIDE), np.nan), "got nan"),
        (GREY.astype(np.uint16), "uint8 or float, got uint16"),
        (GREY[:40], "square, got 56x40"),
        (Image.fromarray(GREY[:, :40]), "square, got 40x56"),
        (np.zeros((2, SIDE, SIDE, 3), np.uint8), "\\(B, H, W\\)"),
        (np.zeros((0, SIDE, SIDE), np.uint8), "\\(B, H, W\\)"),
        (FRAME[:, :, :28, :28], "\\(B, 1, 56, 56\\)"),
        (FRAME[0], "\\(B, 1, 56, 56\\)"),
        (Image.fromarray(np.full((SIDE, SIDE), 70000, np.int32)), "0-65535"),
        ("frame.png", "got str"),
        ([], "got list"),
        ([GREY, None], "got NoneType"),
    ],
)
def test_what_is_no_frame_is_refused_in_one_line(given: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_frames(given, SIDE)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_pipeline_takes_them() -> None:
    pipeline = make_pipeline()
    made = [pipeline(given, 50.0, generator=seeds(1)).clips for given in (FRAME, GREY, Image.fromarray(GREY), [GREY])]
    assert all(np.array_equal(clip, made[0]) for clip in made)
    with pytest.raises(ValueError, match="0-255 as uint8"):
        pipeline(GREY.astype(np.float32), 50.0)
