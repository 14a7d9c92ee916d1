"""How long a busy machine let this process wait, so that limits of time are about the product."""

from __future__ import annotations

import threading
import time

from runtime.closing import ClosesOnExit

_EVERY_S = 0.01
_THREADS = 5


class Pauses(ClosesOnExit):
    """Adds up by how much a thread that wants to wake up every 10 ms wakes up too late."""

    def __init__(self) -> None:
        self._late_s = 0.0
        self._due_s = time.monotonic() + _EVERY_S
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, name="pauses", daemon=True)
        self._thread.start()

    @property
    def lost_s(self) -> float:
        """What several threads that wait for one another may have lost since the beginning."""
        late_now_s = max(0.0, time.monotonic() - self._due_s)
        return _THREADS * (self._late_s + late_now_s)

    def close(self) -> None:
        """End the thread."""
        self._over.set()
        self._thread.join()

    def _count(self) -> None:
        while not self._over.wait(max(0.0, self._due_s - time.monotonic())):
            now_s = time.monotonic()
            self._late_s += max(0.0, now_s - self._due_s)
            self._due_s = now_s + _EVERY_S
