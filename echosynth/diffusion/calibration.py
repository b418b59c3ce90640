"""Target EF -> calibrated EF, which the networks are conditioned on: a rising curve through a few measured points.

A network's clips have a larger or smaller EF than the network is conditioned on. scripts/calibrate_ef.py measures the
EF of its clips on held-out patients. The curve is the inverse of that relation, so that the clip shows the target EF.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from scipy import optimize

Calibration = Sequence[Sequence[float]]
ASKED = (10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 85.0)
LOWEST_CALIBRATED_EF, HIGHEST_CALIBRATED_EF = 5.0, 92.0  # just beyond the EFs that networks are trained on, per cent
BANDWIDTH = 12.0  # EF points over which what was read is averaged: an error of a point at 100 patients


def check_calibration(pairs: Calibration | None) -> None:
    """Check that pairs (target EF, calibrated EF) are at least two, rise in both numbers, and are EFs in per cent.

    Raises:
        ValueError: they are not.
    """
    if pairs is None:
        return
    rising = all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(pairs) if len(a) == len(b) == 2)
    if len(pairs) < 2 or any(len(pair) != 2 or not all(0 < ef < 100 for ef in pair) for pair in pairs) or not rising:
        raise ValueError("ef_calibration must be two or more rising pairs of EFs in per cent")


def calibrate_ef(ef: torch.Tensor, pairs: Calibration | None) -> torch.Tensor:
    """Map EFs (B,), per cent: linear between the pairs, shifted like their ends beyond; unchanged without pairs."""
    if not pairs:
        return ef
    target, calibrated = torch.tensor([list(pair) for pair in pairs], dtype=ef.dtype, device=ef.device).T.contiguous()
    right = torch.searchsorted(target, ef.contiguous()).clamp(1, len(target) - 1)
    share = ((ef - target[right - 1]) / (target[right] - target[right - 1])).clamp(0, 1)
    beyond = ef - ef.clamp(float(target[0]), float(target[-1]))
    curve = torch.lerp(calibrated[right - 1], calibrated[right], share) + beyond
    return curve.clamp(LOWEST_CALIBRATED_EF, HIGHEST_CALIBRATED_EF)


def measure_calibration(
    calibrated: Sequence[float], read: Sequence[float], true: Sequence[float], read_true: Sequence[float]
) -> list[list[float]]:
    """Pairs (target EF, calibrated EF) at `ASKED`.

    A regressor reads a clip generated at the calibrated EF as it reads a true clip of the target EF. It reads both
    kinds of clips, so its own slope and bias cancel.

    Args:
        calibrated: EF that the networks were conditioned on, per cent, (n,).
        read: EF that the regressor read from the generated clips, (n,).
        true: EF of true clips, (m,).
        read_true: EF that the regressor read from the true clips, (m,).
    """
    grid = np.linspace(LOWEST_CALIBRATED_EF, HIGHEST_CALIBRATED_EF, 436)
    made, wanted = _follow(calibrated, read, grid), _follow(true, read_true, np.array(ASKED))
    # A small slope makes the curve strictly rising, so that it can be inverted where it is flat.
    answers = np.interp(wanted, made + 1e-3 * (grid - grid[0]), grid)
    return [[asked, round(float(answer), 1)] for asked, answer in zip(ASKED, answers, strict=True)]


def _follow(x: Sequence[float], y: Sequence[float], at: np.ndarray) -> np.ndarray:
    """Rising curve through a cloud: local straight lines (Gaussian weights), then isotonic regression."""
    cloud, values = np.asarray(x), np.asarray(y)
    curve = np.empty(len(at))
    for k, centre in enumerate(at):
        weight = np.exp(-0.25 * ((cloud - centre) / BANDWIDTH) ** 2)  # polyfit squares it
        curve[k] = np.polyfit(cloud - centre, values, 1, w=weight)[1]
    return optimize.isotonic_regression(curve).x
