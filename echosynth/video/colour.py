"""Colour of scanner pictures: to grey by luma, and telling colour Doppler from B-mode.

Y = 0.299 R + 0.587 G + 0.114 B      (BT.601)
"""

import numpy as np
from scipy import ndimage

from echosynth.errors import SourceError


def luma(rgb: np.ndarray) -> np.ndarray:
    """Return the grey of uint8 (..., 3) as uint8 (...); equal channels come back unchanged."""
    # Integer weights of 2^16 (sum exactly 65536): no float copy of a whole cine, and grey stays what it is.
    red, green, blue = (rgb[..., channel].astype(np.uint32) for channel in range(3))
    weighted = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return weighted.astype(np.uint8)


def is_colour_doppler(rgb: np.ndarray) -> bool:
    """Say whether a picture shows colour Doppler: patches of saturated red or blue among grey tissue.

    A colour bar or coloured text is too thin to count; a tinted B-mode (sepia, blue) has no grey beside the colour.

    Args:
        rgb: uint8 (H, W, 3) or (T, H, W, 3); of a cine some frames are looked at.
    """
    frames = rgb[None] if rgb.ndim == 3 else rgb[:: max(1, len(rgb) // 8)]
    for frame in frames:
        high, low = frame.max(-1).astype(np.int16), frame.min(-1).astype(np.int16)
        lit = high > 40
        saturated = (high > 60) & (high - low > 0.6 * high) & (frame[..., 1] < high)
        width = max(3, frame.shape[1] // 40)
        patches = ndimage.uniform_filter(saturated.astype(np.float32), width, mode="constant") > 0.7
        patches = ndimage.binary_opening(patches, np.ones((width, width)))
        grey = lit & (high - low < 0.25 * high)
        if patches.mean() > 0.004 and grey.sum() > 0.15 * max(lit.sum(), 1):
            return True
    return False


def refuse_doppler(rgb: np.ndarray, name: str) -> None:
    """Raise SourceError if `rgb` (uint8, (H, W, 3) or (T, H, W, 3)) shows colour Doppler."""
    if is_colour_doppler(rgb):
        raise SourceError(f"{name} shows colour Doppler; give a plain B-mode (grey) picture or clip")
