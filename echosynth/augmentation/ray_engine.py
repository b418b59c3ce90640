"""Finishing a run with Ray: actors on the cluster's GPUs, or on its processors, hold the models; a task is a part.

Ray brings processes to machines and starts them again, nothing more: what is finished stands in the run's folder, which
all machines share, and a part that failed goes on at the last line of its journal.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from echosynth.augmentation.work import Work
from echosynth.errors import EchosynthError, MissingDependencyError, OutputError
from echosynth.progress import SILENT, Progress, share_progress
from echosynth.stopping import stops_between_clips

MOST_DEATHS = 5  # of processes that worked on the same part
WAIT = 1.0  # seconds between two looks at what is finished

log = logging.getLogger(__name__)


def finish_with_ray(work: Work, reopen: Callable[[], Work], progress: Progress = SILENT) -> None:
    """Finish a run on the cluster that Ray is connected to, or that RAY_ADDRESS names, or else on this machine.

    Args:
        work: the run, its folder opened.
        reopen: makes the same work in an actor; it must be of a module that all machines have.
        progress: shows solver steps.

    Raises:
        MissingDependencyError: Ray is not installed.
        OutputError: processes at work on one part died again and again, or another engine works in the folder.
        EchosynthError: what a task ended with.
        StoppedBetweenClips: the process was asked to stop.
    """
    with (
        _cluster() as ray,
        work.parts.hold_alone("Ray"),
        stops_between_clips() as stop,
        share_progress(
            progress,
            "generating {} clips with Ray",
            len(work.plan),
            lambda: work.sampling.num_steps(work.models.pipeline),
            lambda: work.counts().samples,
        ) as shown,
    ):
        crew = _Crew(ray, reopen, work.parts.unfinished())
        while crew.is_at_work:
            for part in crew.wait():
                log.warning(f"a process died at part {part} of {work.run}; another one goes on there")
                if crew.deaths[part] == MOST_DEATHS:
                    raise OutputError(f"{MOST_DEATHS} processes died at part {part} of {work.run}; see Ray's logs")
            shown.catch_up()
            stop.here_if_asked()


class _Crew:
    """Actors, as many as the cluster has room for, and the parts that they are to finish.

    Attributes:
        deaths: part -> how many actors died at it.
    """

    def __init__(self, ray: Any, reopen: Callable[[], Work], parts: Sequence[int]) -> None:
        self._ray, self._reopen, self._queue = ray, reopen, deque(parts)
        self.deaths = dict.fromkeys(parts, 0)
        self._kind = "GPU" if ray.cluster_resources().get("GPU", 0) >= 1 else "CPU"
        self._class = ray.remote(_Actor).options(num_gpus=int(self._kind == "GPU"), num_cpus=1)
        self._idle: list[Any] = []
        self._tasks: dict[Any, tuple[int, Any]] = {}

    @property
    def is_at_work(self) -> bool:
        """Whether a part is unfinished."""
        return bool(self._queue or self._tasks)

    def wait(self) -> list[int]:
        """Give every actor a part, wait a moment, and return the parts whose actors died; they are queued again.

        Raises:
            EchosynthError: what a task ended with.
        """
        self._hire()
        while self._queue and self._idle:
            part, actor = self._queue.popleft(), self._idle.pop()
            self._tasks[actor.finish.remote(part)] = (part, actor)
        died = []
        for task in self._ray.wait(list(self._tasks), timeout=WAIT)[0]:
            part, actor = self._tasks.pop(task)
            try:
                self._ray.get(task)
                self._idle.append(actor)
            except self._ray.exceptions.RayActorError:
                died.append(part)
                self.deaths[part] += 1
                self._queue.append(part)
            except self._ray.exceptions.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, EchosynthError) else error) from None
        return died

    def _hire(self) -> None:
        """Add an actor for each part that waits, as long as there is room, and one where there is none at all."""
        crew = len(self._idle) + len(self._tasks)
        # Ray's count of what is free lags behind, so a cluster's whole room is the bound.
        room = int(self._ray.cluster_resources().get(self._kind, 0)) - crew
        for _ in range(min(len(self._queue) - len(self._idle), max(room, 0 if crew else 1))):
            self._idle.append(self._class.remote(self._reopen))


class _Actor:
    """A process that holds the models."""

    def __init__(self, reopen: Callable[[], Work]) -> None:
        self._work = reopen()

    def finish(self, part: int) -> None:
        self._work.finish_part(part)


@contextmanager
def _cluster() -> Iterator[Any]:
    """Connect to a cluster, if this process is not yet connected."""
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("--engine ray needs Ray: pip install 'echosynth[ray]'") from None
    mine = not ray.is_initialized()
    if mine:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()
