"""Cut the ultrasound sector (the fan) out of a scanner's picture the way EchoNet-Dynamic does.

`find_sector` (in `sector_fit.py`) finds the fan. The crop puts it where EchoNet-Dynamic's 112 x 112 pictures have it, x
the column and y the row:

    x_new + 1/2 = (x + 1/2 - x0) 112 / side,    side = 112 radius / 106,    apex -> (61, 5)

Nothing outside of the fan survives: burnt-in names, ticks and the ECG are blanked before and after shrinking.
"""

import numpy as np

from echosynth.errors import SectorNotFoundError
from echosynth.video.resample import resize
from echosynth.video.sector_fit import Sector, find_sector

__all__ = ["Sector", "crop_to_echonet", "find_and_crop", "find_sector"]

# Where EchoNet-Dynamic's own 112 x 112 crops have the fan, in pixels of 112 (reference/phantom.md section 3).
_ECHONET_SIDE = 112
_ECHONET_APEX = (61.0, 5.0)
_ECHONET_RADIUS = 106.0


def crop_to_echonet(frames: np.ndarray, sector: Sector, size: int = _ECHONET_SIDE, whole: bool = False) -> np.ndarray:
    """Cut the fan out as EchoNet-Dynamic has it: apex at (61, 5) and depth radius 106, in 112ths of the side.

    As in EchoNet's own crops the far corners of a wide fan (more than about 30 degrees to a side) leave the square;
    `whole=True` shrinks the picture until they are inside. Everything outside of the fan is black.

    Args:
        frames: grey uint8 (H, W) or (T, H, W).
        sector: the fan in pixels of `frames`.
        size: side of the result, pixels.
        whole: keep the whole fan in view, at a smaller scale than EchoNet's.

    Returns:
        uint8 (T, size, size); T = 1 for one frame.
    """
    cine = frames[None] if frames.ndim == 2 else frames
    height, width = cine.shape[-2:]
    unit = sector.radius / _ECHONET_RADIUS
    apex_column, apex_row = _ECHONET_APEX
    if whole:
        left = max(0.0, -np.sin(sector.left_angle)) * sector.radius
        right = max(0.0, np.sin(sector.right_angle)) * sector.radius
        unit = max(unit, (left + right) / (_ECHONET_SIDE - 4))
        # Keep EchoNet's column where the fan allows it, otherwise move just as far as it needs.
        apex_column = float(np.clip(apex_column, left / unit + 2, _ECHONET_SIDE - 2 - right / unit))
    side = max(8, round(unit * _ECHONET_SIDE))
    x0 = round(sector.apex_x + 0.5 - (apex_column + 0.5) * unit)
    y0 = round(sector.apex_y + 0.5 - (apex_row + 0.5) * unit)
    # Blank before shrinking, so that no bright text is smeared over the edge, and after, so that outside is exactly 0.
    inside = sector.mask(height, width)
    square = np.zeros((len(cine), side, side), np.uint8)
    top, left_column = max(y0, 0), max(x0, 0)
    bottom, right_column = min(y0 + side, height), min(x0 + side, width)
    if bottom > top and right_column > left_column:
        window = (slice(top, bottom), slice(left_column, right_column))
        target = (slice(None), slice(top - y0, bottom - y0), slice(left_column - x0, right_column - x0))
        square[target] = cine[(slice(None), *window)] * inside[window]
    cropped = resize(square, size)
    placed = sector.transform(size / side, x0, y0)
    return cropped * placed.mask(size, size, margin=0.5)


def find_and_crop(frames: np.ndarray) -> np.ndarray:
    """Find the fan and crop it to 112 x 112; a picture that is such a crop already is only blanked outside of its fan.

    Args:
        frames: grey uint8 (H, W) or (T, H, W).

    Returns:
        uint8 (T, 112, 112).

    Raises:
        SectorNotFoundError: nothing in the picture looks like a fan.
    """
    cine = frames[None] if frames.ndim == 2 else frames
    if cine.shape[-2:] != (_ECHONET_SIDE, _ECHONET_SIDE):
        return crop_to_echonet(cine, find_sector(cine))
    try:
        sector = find_sector(cine)
    except SectorNotFoundError:
        if not _is_echonet_crop(cine):
            raise
        sector = Sector(*_ECHONET_APEX, -np.pi / 4, np.pi / 4, 112.0)
    near_apex = np.hypot(sector.apex_x - _ECHONET_APEX[0], sector.apex_y - _ECHONET_APEX[1]) < 12
    if near_apex and sector.radius > 88:
        return cine * sector.mask(_ECHONET_SIDE, _ECHONET_SIDE, margin=2.0)
    return crop_to_echonet(cine, sector)


def _is_echonet_crop(cine: np.ndarray) -> bool:
    """Whether a 112 x 112 picture has EchoNet's fan although it is too dark or too patchy to be fitted."""
    lit = cine.mean(0) > 6
    fan = Sector(*_ECHONET_APEX, -np.pi / 4, np.pi / 4, 112.0).mask(_ECHONET_SIDE, _ECHONET_SIDE, margin=4.0)
    # Light within the fan, on both sides of the axis and near the apex, and next to none outside.
    parts = (np.s_[:, :61], np.s_[:, 61:], np.s_[5:35, :])
    held = all((lit & fan)[part].sum() > 0.08 * fan[part].sum() for part in parts)
    return bool(held and (lit & ~fan).sum() < 0.05 * lit.sum())
