"""Takes deliveries from a queue on disk to another machine, for as long as it takes."""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Literal, Protocol

from runtime.outputs.delivery_queue import Delivery, DeliveryQueue

logger = logging.getLogger(__name__)

_DICE = random.Random()
"""Of its own: this runs in a thread, and the program's random numbers may be seeded."""

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
SAID_AT = 2
"""Failures in a row that are worth a word; a single one is not, for weeks on end."""

REFUSALS = 3
"""A delivery that the receiver refuses so often is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        kind: "sent"; "later": the receiver cannot be reached or is busy; "refused": it was
            reached and does not want this delivery.
        reason: Why not, without secrets.
        after_s: With "later": the receiver asks to wait for so long.
    """

    kind: Literal["sent", "later", "refused"]
    reason: str = ""
    after_s: float | None = None


class Transport(Protocol):
    """A way to another machine, used by one thread."""

    @property
    def description(self) -> str:
        """For messages: kind and address, without secrets."""

    def send(self, delivery: Delivery) -> Outcome:
        """Try once; returns within seconds and raises nothing."""

    def close(self) -> None:
        """Hang up; idempotent."""


class Courier:
    """A thread that delivers what is in a queue, oldest first.

    While the receiver cannot be reached, it waits longer and longer, with jitter, up to five
    minutes. A delivery that is refused three times is given up for those behind it. A delivery
    that was under way when the process died is sent again with the same id.

    Args:
        queue: Closed by `close`.
        transport: Closed by `close`.
        first_wait_s: The first wait after a failure; each further one is twice as long.
    """

    def __init__(
        self, queue: DeliveryQueue, transport: Transport, *, first_wait_s: float = FIRST_WAIT_S
    ) -> None:
        self._queue = queue
        self._transport = transport
        self._first_wait_s = first_wait_s
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline_s = 0.0
        self._failures = 0
        self._refusals = 0
        self.sent = 0
        self.refused = 0
        self._thread = threading.Thread(
            target=self._work, name=f"courier {transport.description}", daemon=True
        )
        self._thread.start()

    def post(self, body: bytes, *, id: str | None = None) -> str:  # noqa: A002
        """Queue a delivery; never waits for the receiver.

        Returns:
            The delivery's id.
        """
        given = self._queue.add(body, id=id)
        self._wake.set()
        return given

    def close(self, *, grace_s: float) -> None:
        """Deliver what can be delivered at once, within `grace_s`; the rest stays in the queue."""
        self._deadline_s = time.monotonic() + grace_s
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout=grace_s)
        self._queue.close()
        self._transport.close()

    def notes(self) -> tuple[str, ...]:
        """What is to be said at the end."""
        name, found = self._transport.description, []
        if self._queue.waiting:
            found.append(
                f"{name}: {_counted(self._queue.waiting)} left in {self._queue.path}, sent when"
                " this address is used again"
            )
        if self._queue.unsaved:
            found.append(f"{name}: {_counted(self._queue.unsaved)} lost, the disk fails")
        if self.refused:
            found.append(f"{name}: {_counted(self.refused)} given up, refused by the receiver")
        if self._queue.given_up:
            found.append(f"{name}: {_counted(self._queue.given_up)} given up, the queue was full")
        return tuple(found)

    def _work(self) -> None:
        while not self._over():
            delivery = self._queue.oldest()
            if delivery is not None:
                self._settle(delivery, self._transport.send(delivery))
            elif self._closing.is_set():
                return
            else:
                # What a full disk kept in memory is looked after now and then.
                self._wake.wait(30.0 if self._queue.unsaved else None)
                self._wake.clear()

    def _over(self) -> bool:
        return self._closing.is_set() and (
            self._failures > 0 or time.monotonic() >= self._deadline_s
        )

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        """Draw the consequences of an attempt, and wait before the next if it failed."""
        name = self._transport.description
        if outcome.kind == "later":
            self._failures += 1
            if self._failures == SAID_AT:
                waiting = _counted(self._queue.waiting)
                logger.warning("%s: %s; trying again, %s waiting", name, outcome.reason, waiting)
            self._closing.wait(self._wait_s(self._failures, outcome.after_s))
            return
        if self._failures >= SAID_AT:
            logger.warning("%s: reached again", name)
        self._failures = 0
        if outcome.kind == "sent":
            self.sent += 1
        else:
            self._refusals += 1
            if self._refusals < REFUSALS:
                self._closing.wait(self._wait_s(self._refusals, outcome.after_s))
                return
            self.refused += 1
            logger.warning("%s: gave up delivery %s: %s", name, delivery.id, outcome.reason)
        self._refusals = 0
        self._queue.done(delivery.id)

    def _wait_s(self, failures: int, asked_s: float | None) -> float:
        """Twice as long each time, with jitter; at least what the receiver asks for."""
        longest_s = min(LONGEST_WAIT_S, self._first_wait_s * 2.0 ** min(failures - 1, 20))
        wait_s = longest_s * _DICE.uniform(0.5, 1.0)
        return wait_s if asked_s is None else max(wait_s, min(asked_s, LONGEST_WAIT_S))


def _counted(number: int) -> str:
    return "1 delivery" if number == 1 else f"{number} deliveries"
