"""The files of an archive on this machine: a decoder process per lane, one model for all."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from models.bundle import Bundle
from runtime.archive.engine import Stopping
from runtime.archive.lane import ArchivePlan, Crashed, Lane
from runtime.archive.result import FileResult
from runtime.session import Session


class LocalEngine:
    """Lanes in threads.

    Args:
        bundle: The model.
        session: Of it, open for `parallel` threads; not closed.
        plan: What is done to every file.
        lanes: Files that are worked on at a time.
        parallel: Of them, how many run the model at a time.
    """

    def __init__(
        self, bundle: Bundle, session: Session, plan: ArchivePlan, *, lanes: int, parallel: int
    ) -> None:
        self._lanes = lanes
        self._turn = threading.BoundedSemaphore(parallel)
        self._open: Callable[[], Lane] = lambda: Lane(bundle, session, plan, turn=self._turn)

    def results(self, files: Sequence[str], stopping: Stopping) -> Iterator[FileResult]:
        """As `Engine.results`; files that crashed a decoder are tried once more, alone."""
        crashed: list[Crashed] = []
        with ExitStack() as stack:
            lanes = [stack.enter_context(self._open()) for _ in range(min(self._lanes, len(files)))]
            for one in _spread(lanes, files, stopping):
                if isinstance(one, Crashed):
                    crashed.append(one)
                else:
                    yield one
            if crashed:
                yield from lanes[0].again(one for one in crashed if not stopping())


def _spread(
    lanes: Sequence[Lane], files: Sequence[str], stopping: Stopping
) -> Iterator[FileResult | Crashed]:
    """Let each lane take the next file when it is free; results as they come."""
    done: queue.SimpleQueue[FileResult | Crashed | BaseException | None] = queue.SimpleQueue()
    waiting, taking = iter(files), threading.Lock()
    ended = threading.Event()

    def next_files() -> Iterator[str]:
        while not (ended.is_set() or stopping()):
            with taking:
                file = next(waiting, None)
            if file is None:
                return
            yield file

    def work(lane: Lane) -> None:
        try:
            for one in lane.results(next_files()):
                done.put(one)
            done.put(None)
        except BaseException as error:
            done.put(error)

    threads: list[threading.Thread] = []
    left = len(lanes)
    try:
        for lane in lanes:
            thread = threading.Thread(target=work, args=(lane,), name="lane")
            thread.start()
            threads.append(thread)
        while left:
            one = done.get()
            if isinstance(one, BaseException):
                raise one
            if one is None:
                left -= 1
            else:
                yield one
    finally:
        ended.set()
        if left:
            for lane in lanes:
                lane.abort()
        for thread in threads:
            thread.join()
