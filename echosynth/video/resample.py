"""Resampling of clips: in time by linear interpolation, in space by antialiased cubic interpolation.

    time    x(t) = (1 - a) x[i] + a x[i + 1],   i = floor(t fps),  a = t fps - i
    space   pixel centres at half-integers (the convention of torch and OpenCV), kernel widened when shrinking

Shapes: (T, H, W) or (H, W); uint8 0-255 or float. The type that comes in goes out.
"""

import numpy as np
import torch

# Frames are resized in groups so that a long full-size clip never exists twice as float32.
_FRAMES_AT_ONCE = 64


def resample_time(
    pixels: np.ndarray, fps: float, target_fps: float, num_frames: int | None = None, start_s: float = 0.0
) -> np.ndarray:
    """Return the clip as it would have been sampled at another frame rate.

    Args:
        pixels: (T, H, W), uint8 or float.
        fps: rate of `pixels`, Hz.
        target_fps: rate wanted, Hz.
        num_frames: length wanted; None takes all that the clip holds after `start_s`.
        start_s: time of the first new frame, seconds after the first old frame.

    Returns:
        (num_frames, H, W), same type; values lie between those of the two neighbours in time.

    Raises:
        ValueError: a rate is not positive, or the clip is too short for what was asked (nothing is padded).
    """
    if not (np.isfinite([fps, target_fps]).all() and fps > 0 and target_fps > 0):
        raise ValueError(f"frame rates must be positive, got {fps} and {target_fps}")
    last_s = (len(pixels) - 1) / fps
    # A millionth of a frame of slack: 1 / 3 * 3 must still count as inside the clip.
    slack_s = 1e-6 / max(fps, target_fps)
    held = int(np.floor((last_s - start_s + slack_s) * target_fps)) + 1
    wanted = held if num_frames is None else num_frames
    if start_s < 0 or wanted < 1 or wanted > held:
        raise ValueError(
            f"{len(pixels)} frames at {fps:g} Hz hold {max(held, 0)} frames at {target_fps:g} Hz "
            f"from {start_s:g} s on, {wanted} were asked"
        )
    position = np.clip((start_s + np.arange(wanted) / target_fps) * fps, 0, len(pixels) - 1)
    # Times that fall on a frame (to rounding error) return that frame exactly.
    nearest = np.round(position)
    position = np.where(np.abs(position - nearest) < 1e-6, nearest, position)
    before = np.minimum(position.astype(np.int64), len(pixels) - 1)
    after = np.minimum(before + 1, len(pixels) - 1)
    weight = (position - before).astype(np.float32)[:, None, None]
    mixed = (1 - weight) * pixels[before] + weight * pixels[after]
    return _as_type(mixed, pixels.dtype)


def resize(pixels: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resize frames with antialiased cubic interpolation.

    Args:
        pixels: (T, H, W) or (H, W), uint8 or float.
        size: new (height, width); an integer means a square.

    Returns:
        (T, height, width) or (height, width), same type; uint8 is rounded and clipped, float may overshoot slightly.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if pixels.shape[-2:] == (height, width):
        return pixels.copy()
    frames = pixels[None] if pixels.ndim == 2 else pixels
    parts = []
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        group = torch.from_numpy(np.ascontiguousarray(frames[first : first + _FRAMES_AT_ONCE], np.float32))
        out = torch.nn.functional.interpolate(
            group[:, None], (height, width), mode="bicubic", align_corners=False, antialias=True
        )
        parts.append(_as_type(out[:, 0].numpy(), pixels.dtype))
    resized = np.concatenate(parts)
    return resized[0] if pixels.ndim == 2 else resized


def _as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Cast floats back to the type of the input, rounding and clipping when that is uint8."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8) if dtype == np.uint8 else values.astype(dtype)
