"""A share of a plan for one of several machines that share a disk, "3/8" on the command line."""

import os
import re
from dataclasses import dataclass

from echosynth.errors import ConfigError

TASK = "SLURM_ARRAY_TASK_ID"
SLURM = {TASK: 0, "SLURM_ARRAY_TASK_MIN": 1, "SLURM_ARRAY_TASK_STEP": 1, "SLURM_ARRAY_TASK_COUNT": 1}  # and defaults


@dataclass(frozen=True)
class Shard:
    """Every `count`-th part of a plan.

    Attributes:
        number: of the shard, from 1.
        count: shards of the plan.

    Raises:
        ConfigError: there is no such shard.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(f"shard {self}: shards are numbered from 1 to their count, e.g. 1/8 ... 8/8", "shard")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, parts: int) -> list[int]:
        """The parts of this shard, of `parts` in all."""
        return list(range(self.number - 1, parts, self.count))

    @staticmethod
    def parse(text: str) -> "Shard":
        """Read "K/N".

        Raises:
            ConfigError: it is not that.
        """
        if not re.fullmatch(r"\d{1,9}/\d{1,9}", text):
            raise ConfigError(f"shard {text!r}: give K/N, e.g. 3/8 for the third of eight", "shard")
        number, count = map(int, text.split("/"))
        return Shard(number, count)

    @staticmethod
    def of_slurm_array() -> "Shard":
        """Return the shard of this task of a Slurm job array; the whole plan outside of one.

        Raises:
            ConfigError: the variables that Slurm sets contradict each other.
        """
        if TASK not in os.environ:
            return WHOLE
        try:
            task, first, step, count = (int(os.environ.get(name, default)) for name, default in SLURM.items())
            return Shard((task - first) // step + 1, count)
        except (ValueError, ZeroDivisionError, ConfigError):
            given = ", ".join(f"{name}={os.environ[name]}" for name in SLURM if name in os.environ)
            raise ConfigError(f"no shard can be read from {given}; give --shard K/N", "shard") from None


WHOLE = Shard()
