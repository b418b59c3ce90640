"""What every part of a cascade says of its training: the weights it starts from, and the optimiser."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from echosynth.config import StrictModel
from echosynth.training.clips.appearance import AppearanceConfig
from echosynth.training.engine.optim import OptimConfig


class PartConfig(StrictModel):
    """A part of a cascade: a stage, the EF guide or the tissue tracker.

    Attributes:
        init: folder of finished weights to start from, None for fresh ones; e.g. to fine-tune on one's own data.
        frozen: take the weights of `init` as they are. Such a part has no use for `optim`, which is then ignored.
        appearance: greys, grain and noise of other scanners, one draw for a clip and its conditioning frame; None for
            the clips' own.
        optim: optimiser; may be left out of a frozen part.
    """

    init: Path | None = None
    frozen: bool = False
    appearance: AppearanceConfig | None = None
    optim: OptimConfig

    @model_validator(mode="before")
    @classmethod
    def _frozen_is_without_steps(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        optim = values.get("optim")
        steps = optim.get("steps") if isinstance(optim, Mapping) else getattr(optim, "steps", None)
        if values.get("frozen") is True or (steps == 0 and values.get("init") is not None):  # `steps: 0` is the old way
            return {**values, "frozen": True, "optim": {"steps": 0}}
        return values

    @model_validator(mode="after")
    def _is_trained_or_frozen(self) -> Self:
        if self.frozen and self.init is None:
            raise ValueError("frozen: it keeps the weights of an init; name their folder")
        if not self.frozen and self.optim.steps < 1:
            raise ValueError("optim.steps must be at least 1; a part that stays as it is has frozen: true and an init")
        return self
