"""The named numbers that condition a cascade, beside the frame: their names, units and accepted ranges.

A network is conditioned on those that its config names. A condition that is not given is NaN; every network has seen
NaN in training. EF is always given.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from echosynth.cardiac.ejection_fraction import HIGHEST_TARGET_EF, LOWEST_TARGET_EF, ejection_fraction


@dataclass(frozen=True)
class Condition:
    """One named number.

    Attributes:
        low: value that a network sees as 0.
        high: value that a network sees as 1.
        least: smallest value that may be asked for.
        most: largest value that may be asked for.
        unit: for messages.
        title: for messages.
    """

    low: float
    high: float
    least: float
    most: float
    unit: str
    title: str


CONDITIONS: dict[str, Condition] = {
    "ef": Condition(0, 100, LOWEST_TARGET_EF, HIGHEST_TARGET_EF, "per cent", "EF"),
    "heart_rate": Condition(30, 150, 30, 150, "beats per minute", "heart rate"),
    "phase": Condition(0, 1, 0, 1, "of a beat", "phase"),
    "quality": Condition(0, 1, 0, 1, "from worst to best", "quality"),
    "edv": Condition(0, 400, 20, 400, "ml", "end-diastolic volume"),
    "esv": Condition(0, 400, 2, 400, "ml", "end-systolic volume"),
}
"""Every condition that exists.

`phase` is the share of a beat that has passed at the clip's first frame, 0 at end-diastole. `quality` is 0 for a
picture with every image fault and 1 for a picture with none (of phantoms: `view_quality`).
"""

EF_SLACK = 1.0  # per cent by which volumes, which tables round, may disagree with the EF
QUALITY_WORDS = {"poor": 0.15, "medium": 0.5, "good": 0.85}
"""CAMUS's words for `quality`."""


def read_condition(name: str, value: Any, count: int, device: torch.device | str) -> torch.Tensor:
    """One value for all clips, or one for each, as float32 (count,); None as NaN.

    Raises:
        ValueError: a value is no number or outside the condition's range, or the number of values is neither 1 nor
            `count`.
    """
    if value is None:
        return torch.full((count,), math.nan, device=device)
    kind = CONDITIONS[name]
    try:
        given = torch.as_tensor(value, dtype=torch.float32, device=device).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{name} must be a number or several, got {value!r}") from None
    if not bool(((given >= kind.least) & (given <= kind.most)).all()):
        raise ValueError(f"{name} must lie within {kind.least:g}-{kind.most:g} {kind.unit}, got {value}")
    if len(given) not in (1, count):
        raise ValueError(f"{name} must be one value or {count}, got {len(given)}")
    return given.expand(count)


def read_conditions(
    given: Mapping[str, Any], count: int, device: torch.device | str, supported: Collection[str] = tuple(CONDITIONS)
) -> dict[str, torch.Tensor]:
    """Every condition by name, (count,) each; see `read_condition`.

    Raises:
        ValueError: a value is out of range, the volumes disagree with the EF, or a given condition is not among those
            `supported` by the cascade.
    """
    unsupported = [name for name, value in given.items() if value is not None and name not in supported]
    if unsupported:
        raise ValueError(f"this cascade does not support {', '.join(unsupported)}, only {', '.join(supported)}")
    read = {name: read_condition(name, given.get(name), count, device) for name in CONDITIONS}
    volume_ef = ejection_fraction(read["edv"], read["esv"])
    wrong = ((volume_ef - read["ef"]).abs() > EF_SLACK).nonzero().flatten().tolist()
    if wrong:
        edv, esv, ef, made = (float(part[wrong[0]]) for part in (read["edv"], read["esv"], read["ef"], volume_ef))
        raise ValueError(f"edv {edv:g} and esv {esv:g} ml make an EF of {made:.1f} per cent, but {ef:g} was asked for")
    return read
