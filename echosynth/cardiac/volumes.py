"""The method of discs, differentiable: volume and EF from the points that a reader would trace.

    V = pi / 4 * (L / N) * sum_i D_i^2          L = |apex - annulus|, D_i = |chord i|, N = 20
    EF = 100 (1 - V_ES / V_ED)                  the unit of length cancels

Landmarks of one border in one frame are `ROWS` pairs of points (x, y), as in EchoNet's tracings: the long axis (apex,
middle of the annulus), then the chords from apex to base, each from its end on the picture's left to that on its right
when the apex is up. Places are shares of the picture's side, 0 to 1 from its left upper corner.
"""

import math

import torch

ROWS = 21  # the long axis and 20 chords
BORDERS = ("endocardium", "epicardium")  # in the order of landmarks of both
LEAST_VOLUME = 1e-5  # cubes of the picture's side, about a hundredth of the smallest heart: keeps ratios finite


def disc_volume(landmarks: torch.Tensor) -> torch.Tensor:
    """Volume in cubes of the picture's side: landmarks (..., ROWS, 2, 2) -> (...)."""
    spans = landmarks[..., 1, :] - landmarks[..., 0, :]
    # The gradient of a length is not defined at nought; one of a thousandth of a pixel costs nothing.
    length = (spans[..., 0, :].square().sum(-1) + 1e-10).sqrt()
    return math.pi / 4 * length * spans[..., 1:, :].square().sum(-1).mean(-1)


def disc_ef(landmarks: torch.Tensor) -> torch.Tensor:
    """EF in per cent: endocardial landmarks (..., 2, ROWS, 2, 2), end-diastole before end-systole, -> (...)."""
    volume = disc_volume(landmarks).clamp_min(LEAST_VOLUME)
    return 100 * (1 - volume[..., 1] / volume[..., 0])


def mirror_landmarks(landmarks: torch.Tensor) -> torch.Tensor:
    """The landmarks (..., ROWS, 2, 2) of the mirrored picture: what was a chord's left end is its right end."""
    flipped = torch.stack([1 - landmarks[..., 0], landmarks[..., 1]], dim=-1)
    return torch.cat([flipped[..., :1, :, :], flipped[..., 1:, :, :].flip(-2)], dim=-3)


def order_landmarks(landmarks: torch.Tensor) -> torch.Tensor:
    """Bring one frame's landmarks (ROWS, 2, 2), traced by any habit, to the order above; the apex is the upper end."""
    axis, chords = landmarks[0], landmarks[1:]
    axis = axis if axis[0, 1] <= axis[1, 1] else axis.flip(0)
    nearest = (chords.mean(1) - axis[0]).norm(dim=-1)
    chords = chords if nearest[0] <= nearest[-1] else chords.flip(0)
    chords = chords if (chords[:, 1, 0] - chords[:, 0, 0]).sum() >= 0 else chords.flip(1)
    return torch.cat([axis[None], chords])
