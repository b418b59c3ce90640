"""The command line in this process: what a command answered."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
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


@dataclass(frozen=True)
class Generated:
    """A finished run that no test changes: its folder, the words it was made with but --out, and what it answered."""

    out: Path
    words: tuple[object, ...]
    done: Done


def run_for_all(bundle: Path, *words: object) -> Done:
    """Run a command outside of any test, on the models of `bundle`, for what several tests read."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("ECHOSYNTH_CHECKPOINTS", str(bundle))
        code = main([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue(), json.loads(out.getvalue()) if "--json" in words else None)


def make_run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs commands."""

    def run(*words: object) -> Done:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return Done(code, out, err, json.loads(out) if "--json" in words and out else None)

    return run
