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
        ef: weighted mean of its members, or their median where none counts more than another, per cent.
        low: lower end of the 90 % interval: the panel's own where it was measured, else the median of its members'.
        high: upper end.
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


def read_as_panel(
    predictions: Sequence[EFPrediction], weights: Sequence[float] | None = None, error90: float = 0.0
) -> PanelReading:
    """Join the members' predictions of one clip.

    Args:
        predictions: of the members.
        weights: of the members, one together; None for their median.
        error90: half width of the panel's own 90 % interval, EF points; 0 if it was not measured.

    Raises:
        ValueError: there are fewer than two members, or not a weight for each.
    """
    if len(predictions) < 2:
        raise ValueError("a panel has at least two members")
    ef, low, high = (np.array([getattr(p, end) for p in predictions]) for end in ("ef", "low", "high"))
    if weights is not None and len(weights) != len(ef):
        raise ValueError(f"{len(ef)} members cannot have {len(weights)} weights")
    joint = float(np.median(ef) if weights is None else np.dot(weights, ef))
    return PanelReading(
        joint,
        max(0.0, joint - error90) if error90 else float(np.median(low)),
        min(100.0, joint + error90) if error90 else float(np.median(high)),
        float(np.ptp(ef)),
        bool(low.max() <= high.min()),
    )
