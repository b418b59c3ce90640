"""Agreement of a clip's optical flow with the true displacement of its tissue.

    v(x)   least squares of  I_t + grad I . v = 0  over a Gaussian window, twice          Lucas & Kanade 1981
    true   v_t(x) = d_t(x) - d_{t+1}(x),  d the displacement to the first frame (phantom/maps.py)
    motion = correlation of v and true v over moving tissue, weighted by how far the window fixes v: the smaller
             eigenvalue of the sum of grad I grad I'
    flicker = mean |I_{t+1} - I_t| where and while tissue is still, divided by that of the true clip

No place of a heart is still for all of a beat, so flicker counts where the tissue is still from one frame to the next.
Both scores need clips of the same timing, so the generator is conditioned on the heart rate and the phase.
"""

import numpy as np
import torch
import torch.nn.functional as F

STILL, MOVING = 0.1, 0.25  # pixels a frame
WINDOW, SMOOTHING = 2.5, 1.0  # pixels, standard deviations


def velocity(displacement: np.ndarray) -> np.ndarray:
    """True motion to the next frame: displacement (T, 2, H, W), pixels -> (T - 1, 2, H, W); NaN outside the sector."""
    return displacement[:-1] - displacement[1:]


def flicker(pixels: np.ndarray, truth: np.ndarray, displacement: np.ndarray) -> float | None:
    """Frame differences of two clips (T, H, W) of the same timing, generated over true, where tissue is still.

    Args:
        pixels: generated.
        truth: of the same heart at the same EF.
        displacement: of its tissue, (T, 2, H, W), pixels, NaN outside the sector.

    Returns:
        1 for a clip as quiet as the truth; None where nothing is still.
    """
    still = np.sqrt((velocity(displacement) ** 2).sum(1)) < STILL
    made, true = (np.abs(np.diff(clip.astype(np.float64), axis=0))[still] for clip in (pixels, truth))
    return float(made.mean() / true.mean()) if true.size and true.mean() > 0 else None


def _blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of (B, 1, H, W)."""
    reach = int(3 * sigma + 0.5)
    taps = torch.exp(-(torch.arange(-reach, reach + 1, dtype=images.dtype) ** 2) / (2 * sigma**2))
    taps = taps / taps.sum()
    images = F.conv2d(F.pad(images, (reach, reach, 0, 0), mode="replicate"), taps[None, None, None])
    return F.conv2d(F.pad(images, (0, 0, reach, reach), mode="replicate"), taps[None, None, :, None])


def optical_flow(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Motion of every pixel to the next frame.

    Args:
        pixels: grey clip (T, H, W).

    Returns:
        Velocity (T - 1, 2, H, W), x then y, pixels a frame, and how well it is fixed (T - 1, H, W), >= 0.
    """
    clip = _blur(torch.from_numpy(pixels.astype(np.float32) / 255)[:, None], SMOOTHING)
    before, after = clip[:-1], clip[1:]
    height, width = pixels.shape[1:]
    y, x = torch.meshgrid(torch.arange(height) + 0.0, torch.arange(width) + 0.0, indexing="ij")
    flow = torch.zeros(len(before), 2, height, width)
    strength = torch.zeros(len(before), height, width)
    for _ in range(2):  # the second time from where the first has led
        there = torch.stack([(x + flow[:, 0] + 0.5) / width, (y + flow[:, 1] + 0.5) / height], -1) * 2 - 1
        moved = F.grid_sample(after, there, align_corners=False, padding_mode="border")
        middle = (before + moved) / 2
        gy, gx = torch.gradient(middle[:, 0], dim=(1, 2))
        change = (moved - before)[:, 0]
        xx, xy, yy, xt, yt = (
            _blur(product[:, None], WINDOW)[:, 0] for product in (gx * gx, gx * gy, gy * gy, gx * change, gy * change)
        )
        ridge = 1e-5
        determinant = (xx + ridge) * (yy + ridge) - xy * xy
        flow = flow - torch.stack([(yy + ridge) * xt - xy * yt, (xx + ridge) * yt - xy * xt], 1) / determinant[:, None]
        strength = (xx + yy) / 2 - ((xx - yy) ** 2 / 4 + xy * xy).clamp_min(0).sqrt()
    return flow.numpy(), strength.clamp_min(0).numpy()


def motion_agreement(pixels: np.ndarray, displacement: np.ndarray) -> float | None:
    """Correlation of a clip's optical flow with its tissue's true motion, both directions together.

    Args:
        pixels: grey clip (T, H, W).
        displacement: of its tissue to the first frame, (T, 2, H, W), pixels, NaN outside the sector.

    Returns:
        -1 to 1; None where nothing moves.
    """
    flow, strength = optical_flow(pixels)
    true = velocity(displacement)
    moving = np.sqrt((true**2).sum(1)) > MOVING
    if not moving.any():
        return None
    weight = np.repeat(strength[moving], 2)
    found, wanted = (np.moveaxis(v, 1, -1)[moving].reshape(-1).astype(np.float64) for v in (flow, true))
    power = (weight * found**2).sum() * (weight * wanted**2).sum()
    return float((weight * found * wanted).sum() / np.sqrt(power)) if power > 0 else None
