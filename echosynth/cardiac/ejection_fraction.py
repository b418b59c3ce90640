"""The left-ventricular ejection fraction (EF): its formula, and the limits that the software sets to it, per cent.

EF = 100 (1 - ESV / EDV)            ESV, EDV: volumes at end-systole and end-diastole
"""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import torch

Volume = TypeVar("Volume", float, "np.ndarray", "torch.Tensor")

REDUCED_EF = 40.0
"""An EF of at most this is reduced, as heart failure with reduced EF is defined."""

LOWEST_TARGET_EF, HIGHEST_TARGET_EF = 1.0, 95.0
"""What a cascade or a phantom may be asked for."""

LOWEST_DRAWN_EF, HIGHEST_DRAWN_EF = 10.0, 85.0
"""Range in which phantoms' EFs are drawn for training and evaluation, and in which a histogram of EF is filled."""

LOWEST_SCORED_EF = 15.0
"""Lowest target EF of an evaluation; the highest is `HIGHEST_DRAWN_EF`."""

HIGHEST_PHANTOM_EF = 88.0
"""Every sampled phantom patient can be rendered at any EF up to this, unless its kind of heart is weaker."""


def ejection_fraction(edv: Volume, esv: Volume) -> Volume:
    """EF in per cent of the volumes at end-diastole and end-systole, in any one unit: numbers, arrays or tensors."""
    return 100 * (1 - esv / edv)
