"""A queue on disk for what must reach another machine, also after a crash."""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from models.errors import OutputError

LIMIT = 10_000
"""Deliveries that wait at most; the oldest is given up for a new one."""

_APPLICATION_ID = 0x45444745
"""Marks the file as ours in SQLite's header ("EDGE")."""

_SCHEMA_VERSION = 1
_UNSAVED_LIMIT = 1_000
_FAILURES = (sqlite3.Error, UnicodeError)
"""Damaged text shows as the latter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Something to be delivered.

    Attributes:
        id: Unique; stays the same when it is sent again.
        body: What is sent.
        created_s: Wall clock when it was added, seconds since 1970.
    """

    id: str
    body: bytes
    created_s: float


class DeliveryQueue:
    """First in, first out; what was added is there after `kill -9` and after a power cut.

    The file belongs to one process at a time. A delivery leaves the queue only by `done` or by
    the limit. On a full disk new deliveries are kept in memory until they can be stored. Calls are
    safe from any thread.

    Args:
        path: SQLite file; made when absent, its folder too.
        limit: See `LIMIT`.

    Raises:
        OutputError: It cannot be opened, is no queue, or is in use by another process.
    """

    def __init__(self, path: Path, *, limit: int = LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._lock = threading.Lock()
        self._unsaved: deque[Delivery] = deque(maxlen=_UNSAVED_LIMIT)
        self._given_up = 0
        self._waiting = 0
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = sqlite3.connect(
                path, timeout=1.0, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise OutputError(
                f"The queue {path} cannot be opened: {error}.", hint="--queue-dir DIR"
            ) from error
        try:
            self._prepare()
        except _FAILURES as error:
            self._database.close()
            if "locked" in str(error):
                raise OutputError(
                    f"Another process delivers from the queue {path}.",
                    hint="Give this run a queue of its own: --queue-dir DIR",
                ) from error
            raise OutputError(
                f"{path} is no queue of edgecls, or is damaged: {error}.",
                hint=f"Put it aside: mv {path} {path}.damaged",
            ) from error
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        mark = run("PRAGMA application_id").fetchone()[0]
        version = run("PRAGMA user_version").fetchone()[0]
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and (mark, version) != (_APPLICATION_ID, _SCHEMA_VERSION):
            raise OutputError(
                f"{self._path} is a database, but no queue that this version of edgecls reads.",
                hint="--queue-dir DIR",
            )
        # WAL with FULL: a commit is on the disk when the call returns.
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("BEGIN EXCLUSIVE")
        run(f"PRAGMA application_id = {_APPLICATION_ID}")
        run(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        run(
            "CREATE TABLE IF NOT EXISTS delivery (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " id TEXT NOT NULL UNIQUE, body BLOB NOT NULL, created_s REAL NOT NULL)"
        )
        run("COMMIT")
        checked = run("PRAGMA quick_check(1)").fetchone()[0]
        if checked != "ok":
            raise sqlite3.DatabaseError(checked)
        self._waiting = int(run("SELECT count(*) FROM delivery").fetchone()[0])

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def waiting(self) -> int:
        """Deliveries in the queue."""
        return self._waiting + len(self._unsaved)

    @property
    def given_up(self) -> int:
        """Deliveries that this object lost because the queue was full."""
        return self._given_up

    @property
    def unsaved(self) -> int:
        """Deliveries that are only in memory, because the disk is full or fails."""
        return len(self._unsaved)

    def add(self, body: bytes, *, id: str | None = None) -> str:  # noqa: A002 (it is one)
        """Append a delivery; it is on the disk when this returns, unless the disk fails.

        Args:
            body: What is to be sent.
            id: Of the delivery; a random one when left out.

        Returns:
            Its id.
        """
        delivery = Delivery(id=id or uuid.uuid4().hex, body=body, created_s=time.time())
        with self._lock:
            if len(self._unsaved) == self._unsaved.maxlen:
                self._given_up += 1
            self._unsaved.append(delivery)
            self._save()
        return delivery.id

    def oldest(self, *, beside: frozenset[str] = frozenset()) -> Delivery | None:
        """The oldest delivery, which stays in the queue; None when there is none.

        Args:
            beside: Ids to pass over, few.
        """
        with self._lock:
            if self._closed:
                return None
            self._save()
            held = ", ".join("?" * len(beside))
            try:
                row = self._database.execute(
                    "SELECT id, body, created_s FROM delivery"
                    f" WHERE id NOT IN ({held}) ORDER BY number LIMIT 1",
                    tuple(beside),
                ).fetchone()
            except _FAILURES:  # the disk fails; what is in memory can still be sent
                row = None
            if row is not None:
                return Delivery(id=row[0], body=row[1], created_s=row[2])
            return next((one for one in self._unsaved if one.id not in beside), None)

    def done(self, id: str) -> None:  # noqa: A002
        """A delivery was made, or is given up; unknown ids are ignored."""
        with self._lock:
            for one in [one for one in self._unsaved if one.id == id]:
                self._unsaved.remove(one)
            if self._closed:
                return
            try:
                found = self._database.execute("DELETE FROM delivery WHERE id = ?", (id,)).rowcount
            except sqlite3.Error:
                return  # sent again later, with the same id
            self._waiting -= found

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            if not self._closed:
                self._save()
                self._closed = True
                self._database.close()

    def _save(self) -> None:
        """Store what is only in memory, as far as the disk lets."""
        while self._unsaved and not self._closed:
            one = self._unsaved[0]
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    removed = 0
                    if self._waiting >= self._limit:
                        removed = self._database.execute(
                            "DELETE FROM delivery WHERE number IN"
                            " (SELECT number FROM delivery ORDER BY number LIMIT ?)",
                            (self._waiting - self._limit + 1,),
                        ).rowcount
                    added = self._database.execute(
                        "INSERT OR IGNORE INTO delivery (id, body, created_s) VALUES (?, ?, ?)",
                        (one.id, one.body, one.created_s),
                    ).rowcount
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error:
                return
            self._given_up += removed
            self._waiting += added - removed
            self._unsaved.popleft()
