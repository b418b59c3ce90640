"""The command line: one table of commands, each in a module of its own that is imported only when it is chosen.

Exit codes: 0 done; 1 our bug (the traceback is kept); 2 the user's mistake (one line); 75 stopped between two clips by
SIGTERM or SIGUSR1, as schedulers do before they take a machine away; 130 interrupted by Ctrl-C; 143 ended by SIGTERM.
With `--json` stdout holds the command's object and nothing else.
"""

import argparse
import contextlib
import difflib
import errno
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from echosynth import __version__
from echosynth.errors import EchosynthError
from echosynth.stopping import StoppedBetweenClips, Terminated, signals_end_work

COMMANDS = {
    "demo": (
        "echosynth.commands.demo",
        "a real A4C frame and two phantom patients at EF 25, 45 and 65; one page to look at",
    ),
    "simulate": ("echosynth.commands.simulate", "phantom patients as a dataset in EchoNet format"),
    "generate": ("echosynth.commands.generate", "one frame and target EFs in, checked clips out"),
    "measure": ("echosynth.commands.measure", "the EF of clips, with interval"),
    "explain": ("echosynth.commands.explain", "what a regressor goes by in one clip: borders, heat, curve, posterior"),
    "probe": ("echosynth.commands.probe", "what a regressor's embedding knows of a dataset's facts, e.g. infarction"),
    "train": ("echosynth.commands.train", "train a cascade or a regressor from a config"),
    "adapt": ("echosynth.commands.adapt", "tune readers to a scanner from clips without labels"),
    "augment": ("echosynth.commands.augment", "fill a dataset's EF histogram with accepted synthetic clips"),
    "evaluate": ("echosynth.commands.evaluate", "how well a cascade follows the EF it is asked for"),
    "uplift": ("echosynth.commands.uplift", "does training with synthetic clips help? arms of regressors, compared"),
    "models": ("echosynth.commands.models", "list, verify or add weights"),
    "inspect": ("echosynth.commands.inspect", "what a dataset holds, and what is wrong with it"),
    "doctor": ("echosynth.commands.doctor", "check this installation"),
    "bench": ("echosynth.commands.bench", "work, time and memory per stage"),
}


# What a system says of its disks and permissions; of any other OSError the traceback is wanted.
OF_THE_SYSTEM = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENAMETOOLONG})


ENDINGS: dict[type[BaseException], tuple[str, int]] = {
    StoppedBetweenClips: ("stopped after the clip in hand", 75),  # EX_TEMPFAIL: to be queued again
    Terminated: ("terminated", 143),
    KeyboardInterrupt: ("interrupted", 130),
}


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with exit code 2."""
        self.exit(2, f"echosynth: {' '.join(message.split())}; see '{self.prog} --help'\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with signals_end_work():
            return _dispatch(words)
    except EchosynthError as error:
        return _complain(" ".join(str(error).split()))
    except KeyboardInterrupt as error:
        word, code = ENDINGS[type(error)]
        print(f"echosynth: {word}; what was finished is kept, the same command continues", file=sys.stderr)
        return code
    except SystemExit as leave:  # argparse: --help, --version, wrong arguments
        return leave.code if isinstance(leave.code, int) else 0
    except BrokenPipeError:  # `echosynth ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains again when it exits
        return 0
    except OSError as error:
        if error.errno in OF_THE_SYSTEM:
            return _complain(f"cannot use {error.filename or 'a file'}: {error.strerror}")
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _complain(
            f"the disk is full ({error.filename or 'no room left'}); make room, the same command continues"
        )


def _dispatch(words: list[str]) -> int:
    width = max(map(len, COMMANDS))
    parser = OneLineParser(
        prog="echosynth",
        description="Synthetic echocardiograms that can be trusted. Synthetic output is for research only.",
        epilog="commands:\n"
        + "\n".join(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items())
        + "\n\n'echosynth COMMAND --help' shows its arguments.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"echosynth {__version__}")
    parser.add_argument("command", metavar="COMMAND", help="what to do")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    if not words:
        parser.print_help()
        return 2
    top = parser.parse_args(words)
    if top.command not in COMMANDS:
        near = difflib.get_close_matches(top.command, COMMANDS, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(COMMANDS)}"
        parser.error(f"unknown command '{top.command}'; {hint}")
    module, command = _import_command(top.command)
    args = command.parse_args(top.arguments)
    if not getattr(args, "json", False):
        result = module.run(args)
        return result if isinstance(result, int) else 0
    # A library that prints would spoil the object: whatever else is said goes to stderr.
    with contextlib.redirect_stdout(sys.stderr):
        result = module.run(args)
    if isinstance(result, int):
        return result
    print(json.dumps(result, indent=2))
    return 0


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of one of the `COMMANDS`; docs/reference/cli.md is made from it."""
    return _import_command(name)[1]


def _import_command(name: str) -> tuple[Any, OneLineParser]:
    """Return a command's module and its parser."""
    path, text = COMMANDS[name]
    module: Any = importlib.import_module(path)
    parser = OneLineParser(prog=f"echosynth {name}", description=text)
    module.add_arguments(parser)
    return module, parser


def _complain(line: str) -> int:
    print(f"echosynth: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
