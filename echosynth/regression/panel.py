"""A panel: the joint prediction of several regressors for one clip, and whether they agree."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echosynth.regression.base import EFPrediction


@dataclass(frozen=True)
class PanelReading:
    """Joint prediction of one clip.

    Attributes:
        ef: median of its members, per cent.
        low: median of the lower ends of their intervals.
        high: median of the upper ends.
        range: from the lowest to the highest member, EF points.
        agreed: whether all members' 90 % intervals have an EF in common.
    """

    ef: float
    low: float
    high: float
    range: float
    agreed: bool

    def to_dict(self) -> dict[str, Any]:
        """The reading as it is written to JSON, where `range` is called `spread`."""
        return {"spread" if k == "range" else k: v for k, v in asdict(self).items()}


def read_as_panel(predictions: Sequence[EFPrediction]) -> PanelReading:
    """Join the members' predictions of one clip.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(predictions) < 2:
        raise ValueError("a panel has at least two members")
    ef, low, high = (np.array([getattr(p, end) for p in predictions]) for end in ("ef", "low", "high"))
    return PanelReading(
        float(np.median(ef)),
        float(np.median(low)),
        float(np.median(high)),
        float(np.ptp(ef)),
        bool(low.max() <= high.min()),
    )
