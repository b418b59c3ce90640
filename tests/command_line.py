"""The command line in this process: what a command answered."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from echosynth.cli import main


@dataclass(frozen=True)
class Done:
    """One command that has ended: exit code, stdout, stderr, and the object of `--json` if there is one."""

    code: int
    out: str
    err: str
    json: Any

    def refusal(self) -> str:
        """The one line on stderr of a command that did nothing, exit code 2."""
        assert self.code == 2, self.err
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("echosynth: ")
        return self.err


Run = Callable[..., Done]
"""Takes the words after `echosynth`, of any type."""


def make_run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs commands."""

    def run(*words: object) -> Done:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Done(code, out, err, json.loads(out) if "--json" in words and out else None)

    return run
