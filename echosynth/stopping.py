"""Being asked to stop: what a scheduler's SIGTERM or SIGUSR1 means to work that ends well between two clips.

    with stops_between_clips() as stop:
        for sample in samples:
            ...                       # is finished and on disk
            stop.here_if_asked()

Whoever handles signals (the command line) calls `ask_to_stop`. The library installs no handler.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class StoppedBetweenClips(KeyboardInterrupt):
    """The work ended as it was asked to: everything begun is finished and on disk, the same command continues."""


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
