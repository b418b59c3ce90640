"""The range of every number that may be asked for, under the name of its field; no unit is repeated in the checks."""

import math
from dataclasses import dataclass

from echosynth.diffusion.conditions import CONDITIONS
from echosynth.errors import ConfigError

_ABOVE_0, _BELOW_100 = math.nextafter(0.0, 1.0), math.nextafter(100.0, 0.0)


@dataclass(frozen=True)
class Range:
    """A closed range.

    Attributes:
        low: smallest value that is accepted.
        high: largest value that is accepted.
        words: what stands behind "must be".
        title: what a message calls the number; "" for the field's name.
    """

    low: float
    high: float
    words: str
    title: str = ""


_COUNT = Range(1, math.inf, "at least 1")
_GUIDANCE = Range(0, _BELOW_100, "a number from 0 to 100")
RANGES: dict[str, Range] = {
    "samples": _COUNT,
    "limit": _COUNT,
    "max_attempts": _COUNT,
    "tolerance": Range(0, math.inf, "a number of at least 0"),
    "steps": _COUNT,
    "num_inference_steps": _COUNT,
    "guidance": _GUIDANCE,
    "guidance_scale": _GUIDANCE,
    "seconds": Range(_ABOVE_0, 60, "above 0 and at most 60"),
    "fps": Range(5, 200, "5 to 200"),
    "size": Range(28, 1024, "28 to 1024 pixels"),
    "keep": Range(_ABOVE_0, math.inf, "a number of seconds above 0"),
    **{
        name: Range(kind.least, kind.most, f"{kind.least:g} to {kind.most:g} {kind.unit}", kind.title)
        for name, kind in CONDITIONS.items()
        if name != "ef"  # see `plan.check_target_ef`
    },
}


def check_range(name: str, value: float | None) -> None:
    """Accept None and a value within `RANGES[name]`.

    Raises:
        ConfigError: the value is outside, or not a number; its key is `name`.
    """
    allowed = RANGES[name]
    if value is not None and not allowed.low <= value <= allowed.high:
        raise ConfigError(f"{allowed.title or name} must be {allowed.words}, got {value:g}", name)
