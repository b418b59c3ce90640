"""A panel: several regressors, of different kinds, read one clip; where they part, a reader should look."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from echosynth.regression.base import EFPrediction


@dataclass(frozen=True)
class PanelReading:
    """What a panel says of one clip.

    Attributes:
        ef: median of its members, per cent.
        low: median of their intervals' lower ends.
        high: median of the upper ends.
        range: from the lowest to the highest member, EF points.
        agreed: whether there is an EF that all members' 90 % intervals hold.
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
