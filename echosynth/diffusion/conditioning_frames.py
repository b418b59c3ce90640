"""Conditioning frames as callers have them -> what the networks see: (B, 1, S, S) float32 in [-1, 1].

    tensor                (B, 1, S, S) float in [-1, 1], at the cascade's own side; nothing is changed
    numpy uint8           (H, W), (B, H, W) or (B, 1, H, W), 0-255
    numpy float           the same shapes; [-1, 1] if any value is below -0.1, [0, 1] otherwise
    PIL image             any mode; colour becomes grey by luma (BT.601)
    list of such          one frame each

Pictures (numpy, PIL) are resized to the cascade's side. They must be square: a frame is a sector that fills its square,
as `load_conditioning_frames` cuts it out of a scanner's picture.
"""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageOps

from echosynth.video.clip import to_network
from echosynth.video.resample import resize

Frames = torch.Tensor | np.ndarray | Image.Image | Sequence["Frames"]

SLACK = 0.1
"""How far floats may lie beyond their range: cubic resizing overshoots."""


def read_frames(frames: Frames, side: int) -> torch.Tensor:
    """Bring conditioning frames to what the networks see.

    Args:
        frames: one or several, see above.
        side: of the cascade's conditioning frames, pixels.

    Returns:
        (B, 1, side, side) float32 in [-1, 1].

    Raises:
        ValueError: the shape, the type or the range of values is none of those above.
    """
    if isinstance(frames, torch.Tensor):
        return _check_tensor(frames, side)
    if isinstance(frames, Image.Image | np.ndarray):
        return _read_pictures(frames, side)
    if isinstance(frames, Sequence) and not isinstance(frames, str | bytes) and frames:
        return torch.cat([read_frames(frame, side) for frame in frames])
    raise ValueError(f"frame must be a tensor, a numpy array, a PIL image or a list, got {type(frames).__name__}")


def _check_tensor(frames: torch.Tensor, side: int) -> torch.Tensor:
    if frames.ndim != 4 or frames.shape[1:] != (1, side, side):
        raise ValueError(f"frame must be (B, 1, {side}, {side}), got {tuple(frames.shape)}")
    if not frames.is_floating_point():
        raise ValueError(f"a frame tensor must be float in [-1, 1], got {frames.dtype}; give uint8 as a numpy array")
    frames = frames.float()
    low, high = float(frames.min()), float(frames.max())
    if not (low >= -1 - SLACK and high <= 1 + SLACK):
        raise ValueError(f"a frame tensor must lie within [-1, 1], got {low:g} to {high:g}")
    return frames


def _read_pictures(frames: Image.Image | np.ndarray, side: int) -> torch.Tensor:
    pixels = _read_grey(frames) if isinstance(frames, Image.Image) else frames
    if pixels.ndim == 4 and pixels.shape[1] == 1:
        pixels = pixels[:, 0]
    if pixels.ndim == 2:
        pixels = pixels[None]
    if pixels.ndim != 3 or not pixels.size:
        raise ValueError(f"a frame array must be (H, W), (B, H, W) or (B, 1, H, W), got {pixels.shape}")
    if pixels.shape[2] in (3, 4) and pixels.shape[0] > 1:
        raise ValueError(
            f"a frame array must be grey, got colours in shape {pixels.shape}; a PIL image may be coloured"
        )
    if pixels.shape[1] != pixels.shape[2]:
        raise ValueError(
            f"frames must be square, got {pixels.shape[2]}x{pixels.shape[1]} pixels; "
            "echosynth.augmentation.conditioning.load_conditioning_frames cuts the sector out of a scanner's picture"
        )
    if pixels.dtype == np.uint8:
        seen = to_network(resize(pixels, side))
    else:
        seen = torch.from_numpy(resize(_scale_floats(pixels), side))
    return rearrange(seen, "b h w -> b 1 h w")


def _read_grey(picture: Image.Image) -> np.ndarray:
    """A PIL image as uint8 (H, W), or as floats if it holds floats."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        return np.asarray(picture)
    if picture.mode.startswith("I"):  # 16 bits a pixel, in modes of 16 or 32
        values = np.asarray(picture).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"a PIL image of mode {picture.mode} must lie within 0-65535, got up to {values.max()}")
        return np.rint(values / 257).astype(np.uint8)
    try:
        return np.asarray(picture.convert("L"))
    except ValueError as error:
        raise ValueError(f"a PIL image of mode {picture.mode} cannot be made grey: {error}") from None


def _scale_floats(pixels: np.ndarray) -> np.ndarray:
    """Floats in [0, 1] or [-1, 1] -> float32 in [-1, 1]."""
    if pixels.dtype.kind != "f":
        raise ValueError(f"a frame array must be uint8 or float, got {pixels.dtype}")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -1 - SLACK and high <= 1 + SLACK):
        raise ValueError(
            f"float frames must lie within [0, 1] or [-1, 1], got {low:g} to {high:g}; give 0-255 as uint8"
        )
    single = pixels.astype(np.float32)
    return single if low < -SLACK else 2 * single - 1
