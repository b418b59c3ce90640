"""The method of discs: volume and EF of the left ventricle from its long axis and its chords.

    V = pi / 4 * (L / N) * sum_i D_i^2          L = |apex - annulus|, D_i = |chord i|, N = 20
    EF = 100 (1 - V_ES / V_ED)                  the unit of length cancels

One implementation for tensors, which is differentiable, and one for arrays. Landmarks are described in landmarks.py.

Source: ASE/EACVI 2015 (Lang et al.), biplane disc summation, here in one plane.
"""

import math

import numpy as np
import torch

from echosynth.cardiac.ejection_fraction import ejection_fraction

LEAST_VOLUME = 1e-5  # cubes of the picture's side, about a hundredth of the smallest heart: keeps ratios finite


def disc_volume(landmarks: torch.Tensor) -> torch.Tensor:
    """Volume in cubes of the landmarks' unit of length: (..., ROWS, 2, 2) -> (...)."""
    spans = landmarks[..., 1, :] - landmarks[..., 0, :]
    # The gradient of a length is not defined at nought; one of a thousandth of a pixel costs nothing.
    length = (spans[..., 0, :].square().sum(-1) + 1e-10).sqrt()
    return volume_of_discs(length, spans[..., 1:, :].square().sum(-1))


def volume_of_discs(length: torch.Tensor, squares: torch.Tensor) -> torch.Tensor:
    """Volume of discs of equal height: length of the axis (...) and squared diameters (..., N) -> (...)."""
    return math.pi / 4 * length * squares.mean(-1)


def disc_ef(landmarks: torch.Tensor) -> torch.Tensor:
    """EF in per cent: endocardial landmarks (..., 2, ROWS, 2, 2), end-diastole before end-systole, -> (...)."""
    volume = disc_volume(landmarks).clamp_min(LEAST_VOLUME)
    return ejection_fraction(volume[..., 0], volume[..., 1])


def traced_volume(long_axis: np.ndarray, chords: np.ndarray) -> float:
    """Volume in cubes of the unit of length: long axis (2, 2) and any number of chords (N, 4), x1, y1, x2, y2."""
    length = float(np.hypot(*(long_axis[1] - long_axis[0])))
    squares = ((chords[:, :2] - chords[:, 2:]) ** 2).sum(1)
    return math.pi / 4 * length * float(squares.mean())
