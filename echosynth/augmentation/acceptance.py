"""When a generated clip is accepted: the GATE's measurement lies within some points of the EF that was asked for.

    accepted  <=>  |gate_ef - target_ef| <= points

The judge has no say here: a score is worth nothing if the scorer has chosen the clips.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The gate's answer.

    Attributes:
        accepted: whether the clip may be used.
        reason: for people, e.g. "gate 27.1 is within 5 of 25".
        distance: |gate_ef - target_ef|, points of EF.
    """

    accepted: bool
    reason: str
    distance: float


@dataclass(frozen=True)
class Tolerance:
    """The rule.

    Attributes:
        points: largest distance that is accepted, points of EF, >= 0.

    Raises:
        ValueError: `points` is negative or not a number.
    """

    points: float = 5.0

    def __post_init__(self) -> None:
        if not self.points >= 0:
            raise ValueError(f"a tolerance is in points of EF and at least 0, got {self.points}")

    def decide(self, target_ef: float, gate_ef: float) -> Verdict:
        """Accept or refuse a clip; a measurement that is not a number is refused. EF in per cent."""
        if not math.isfinite(gate_ef):
            return Verdict(False, "the gate gave no number", math.inf)
        distance = abs(gate_ef - target_ef)
        accepted = distance <= self.points
        word = "within" if accepted else "not within"
        return Verdict(accepted, f"gate {gate_ef:.1f} is {word} {self.points:g} of {target_ef:g}", distance)
