"""What is known of a patient beside the clip: age in years, sex (0 female, 1 male), weight in kg, height in cm."""

import math
from collections.abc import Mapping

import torch

ATTRIBUTES = ("age", "sex", "weight", "height")


def order_attributes(known: Mapping[str, float]) -> torch.Tensor:
    """Attributes by name to (4,) in the order of `ATTRIBUTES`, NaN where not known."""
    return torch.tensor([known.get(name, math.nan) for name in ATTRIBUTES])
