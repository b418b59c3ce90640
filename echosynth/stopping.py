"""Being asked to stop: what a scheduler's SIGTERM or SIGUSR1 means to work that ends well between two clips.

    with stops_between_clips() as stop:
        for sample in samples:
            ...                       # is finished and on disk
            stop.here_if_asked()

The command line turns signals into requests (`signals_end_work`); the library itself installs no handler.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StoppedBetweenClips(KeyboardInterrupt):
    """The work ended as it was asked to: everything begun is finished and on disk, the same command continues."""


class Terminated(KeyboardInterrupt):
    """SIGTERM in work that has no good place to stop: answered like Ctrl-C, so that files are whole."""


class StopRequest:
    """Whether one piece of work has been asked to stop."""

    def __init__(self) -> None:
        self._asked = False

    def ask(self) -> None:
        """Have the work stop where it next can."""
        self._asked = True

    def here_if_asked(self) -> None:
        """Raise `StoppedBetweenClips` if the work was asked to stop."""
        if self._asked:
            raise StoppedBetweenClips


_open: list[StopRequest] = []


@contextmanager
def stops_between_clips() -> Iterator[StopRequest]:
    """Say that the block stops by itself, soon after it is asked to."""
    request = StopRequest()
    _open.append(request)
    try:
        yield request
    finally:
        _open.remove(request)


def ask_to_stop() -> bool:
    """Ask the work in hand to stop; whether there is some that does by itself."""
    for request in _open:
        request.ask()
    return bool(_open)


@contextmanager
def signals_end_work() -> Iterator[None]:
    """Let SIGTERM and SIGUSR1 end the work in the block; a second one ends the process as the system does."""

    def answer(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if not ask_to_stop():
            raise Terminated

    numbers = [number for name in ("SIGTERM", "SIGUSR1") if (number := getattr(signal, name, None)) is not None]
    # Python gives signals to the main thread alone; the parent process may have set one to be ignored.
    in_main = threading.current_thread() is threading.main_thread()
    mine = [number for number in numbers if in_main and signal.getsignal(number) == signal.SIG_DFL]
    for number in mine:
        signal.signal(number, answer)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)
