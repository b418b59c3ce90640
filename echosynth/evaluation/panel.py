"""The bundled panel of unlike readers: who is in it, and how much each of them counts.

Readers that look at different things (the picture, motion alone, drawn borders, a convolution through time) make
different errors on scanners that none of them has seen; their weighted mean makes smaller ones. The weights are fitted
on phantoms of view families that no member was trained on (`scripts/score_readers.py --fit`), never on those that they
know.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import optimize

from echosynth.config import StrictModel, load_config
from echosynth.regression.base import EFPrediction
from echosynth.regression.panel import PanelReading, read_as_panel
from echosynth.storage.bundled import find_config

PANEL_CONFIG = "evaluation/panel.yaml"
SUM_WEIGHT = 1e4  # of the condition that all weights make one, beside one clip's error


class PanelConfig(StrictModel):
    """A panel.

    Attributes:
        kind: "panel".
        name: of the panel.
        regressors: weight of each member by its name or folder; they make one.
        error90: half width of the 90 % interval, EF points, measured on other clips than the weights were fitted on.
    """

    kind: Literal["panel"] = "panel"
    name: str = "panel"
    regressors: dict[str, float] = Field(min_length=2)
    error90: float = Field(ge=0)

    @model_validator(mode="after")
    def _weigh_one(self) -> "PanelConfig":
        weights = list(self.regressors.values())
        if min(weights) < 0 or abs(sum(weights) - 1) > 0.01:
            raise ValueError(f"regressors: weights must not be negative and make one, got {weights}")
        return self

    def read(self, predictions: Sequence[EFPrediction]) -> PanelReading:
        """The panel's reading of one clip, of its members' predictions in their order."""
        return read_as_panel(predictions, list(self.regressors.values()), self.error90)


def load_panel() -> PanelConfig:
    """The panel that comes with the package."""
    return load_config(find_config(PANEL_CONFIG), PanelConfig)


def fit_weights(predicted: np.ndarray, truth: np.ndarray, own_error: float = 0.0) -> np.ndarray:
    """Weights, none negative and one together, whose mean has the least squared error to be expected.

    Args:
        predicted: EF that every member reads in every clip, per cent, (N, K).
        truth: (N,).
        own_error: standard deviation of a further error that every member makes where the panel will be used, each its
            own, points of EF; the larger it is, the more alike are the weights.

    Returns:
        (K,).
    """
    middle = truth.mean()
    members = predicted.shape[1]
    further = own_error * np.sqrt(len(truth)) * np.eye(members)
    rows = np.vstack([predicted - middle, further, np.full((1, members), SUM_WEIGHT)])
    weights, _ = optimize.nnls(rows, np.concatenate([truth - middle, np.zeros(members), [SUM_WEIGHT]]))
    return np.asarray(weights / weights.sum())
