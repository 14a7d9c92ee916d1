"""The files of an archive by Ray Data: on this machine, or on those of a cluster.

Every worker opens the model once. Files travel as paths and come back as results, so videos and the
bundle must lie at the same place on every machine, and edgecls must be installed there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import runtime
from models.bundle import open_bundle
from models.errors import BackendError, EdgeclsError
from models.extras import extra
from runtime.archive.engine import Stopping
from runtime.archive.lane import ArchivePlan, Crashed, Lane
from runtime.archive.result import FileResult, result_of_json
from runtime.backends import backend_named
from runtime.choose import choose_session
from runtime.cpu import usable_cpus

_ROOT = Path(runtime.__file__).parent.parent
_LEAST, _MOST = 2, 32
"""Files that a worker is given at a time: what is lost at most when the command is killed."""

_PORTIONS = 64
"""Portions per worker, if that is within those limits."""

_STORE_BYTES = 128 << 20
"""Of shared memory for paths and results."""

_ANSWER_S = 10.0
"""How long a cluster may take to answer."""

_LONGEST_TEMPORARY = 38
"""Letters of a temporary folder in which Ray's sockets, up to 107 letters, find room."""


class RayEngine:
    """Workers of Ray.

    Args:
        plan: What is done to every file.
        workers: How many.
        address: Of a cluster, as `ray.init` takes it; None to start Ray on this machine, for as
            long as this runs.

    Raises:
        MissingExtra: Ray is not installed.
    """

    def __init__(self, plan: ArchivePlan, *, workers: int, address: str | None = None) -> None:
        cpus = plan.asked.threads or (1 if address else max(1, usable_cpus() // workers))
        asked = replace(plan.asked, threads=cpus)
        self._plan = replace(plan, bundle=plan.bundle.absolute(), asked=asked)
        self._workers = workers
        self._address = address
        self._cpus = cpus
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        with extra("ray", "--engine ray"):
            import ray.data  # noqa: F401

    def results(self, files: Sequence[str], stopping: Stopping) -> Iterator[FileResult]:
        """As `Engine.results`; after a stop, what is being worked on is lost."""
        from ray.data.exceptions import SystemException
        from ray.exceptions import RayError

        named = {str(Path(file).absolute()): file for file in files}
        try:
            with _started(self._address, cpus=self._cpus * self._workers + 1):
                for row in self._rows(list(named)):
                    if row["failed"] is not None:
                        raise BackendError(row["failed"], hint=row["hint"])
                    result = result_of_json(row["result"])
                    yield replace(result, file=named[result.file])
                    if stopping():
                        return
        except (RayError, SystemException, ConnectionError) as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise BackendError(
                f"Ray could not finish the work: {words[-1]}.", hint="Go on with --engine local."
            ) from error

    def _rows(self, paths: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        portion = len(paths) // (self._workers * _PORTIONS)
        portions = -(-len(paths) // min(max(portion, _LEAST), _MOST))
        # Bytes, as names need not be UTF-8.
        rows = [{"file": os.fsencode(path)} for path in paths]
        gpus = 0.0
        if backend_named(str(self._plan.asked.backend)).provider != "CPU":
            gpus = 1.0 if self._address else 1.0 / self._workers
        done = ray.data.from_items(rows, override_num_blocks=portions).map_batches(
            _worker_of(self._plan),
            batch_size=None,
            num_cpus=self._cpus,
            num_gpus=gpus,
            compute=ray.data.ActorPoolStrategy(size=min(self._workers, portions)),
        )
        for batch in done.iter_batches(batch_size=None, prefetch_batches=0):
            for text in batch["row"]:
                yield json.loads(text)


class _Worker:
    """An actor of Ray; the model is opened with the first files."""

    plan: ArchivePlan
    _lane: Lane | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Classify the files of a batch: JSON with a result, or with what is wrong here."""
        try:
            if self._lane is None:
                self._lane = _opened(self.plan)
            return {"row": [_row(one) for one in _results(self._lane, batch["file"])]}
        except EdgeclsError as error:
            failed = {"failed": error.message, "hint": error.hint, "result": None}
            return {"row": [json.dumps(failed)]}


def _worker_of(plan: ArchivePlan) -> type[_Worker]:
    """Ray would keep arguments of a class apart, and lose them when it starts a worker again."""

    class Worker(_Worker):
        pass

    Worker.plan = plan
    return Worker


def _opened(plan: ArchivePlan) -> Lane:
    bundle = open_bundle(plan.bundle)
    return Lane(bundle, choose_session(bundle, plan.asked).session, plan)


def _results(lane: Lane, files: Sequence[bytes]) -> Iterator[FileResult]:
    crashed: list[Crashed] = []
    for one in lane.results(map(os.fsdecode, files)):
        if isinstance(one, Crashed):
            crashed.append(one)
        else:
            yield one
    yield from lane.again(crashed)


def _row(result: FileResult) -> str:
    return json.dumps({"failed": None, "result": result.to_json()})


@contextlib.contextmanager
def _started(address: str | None, *, cpus: int) -> Iterator[None]:
    """Ray, running; what it starts on this machine ends with the block."""
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    asked: dict[str, Any] = (
        {"address": address}
        if address
        else {
            "num_cpus": cpus,
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
        }
    )
    if address:
        _check_answers(address)
    with contextlib.ExitStack() as stack:
        if not address:
            asked["_temp_dir"] = _temporary_folder(stack)
        with _at_root(), _silent():
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **asked)
        stack.callback(ray.shutdown)
        yield


def _check_answers(address: str) -> None:
    """Notice at once what Ray would wait for many minutes: nobody is there.

    Raises:
        BackendError: Nobody answers at a `HOST:PORT`.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise BackendError(
            f"No cluster of Ray answers at {address}: {getattr(error, 'strerror', None) or error}.",
            hint="On its first machine: ray start --head --port 6379",
        ) from error


def _temporary_folder(stack: contextlib.ExitStack) -> str:
    """A folder for Ray, which opens it to all users, in one that only this user may enter."""
    usual = tempfile.gettempdir()
    place = usual if len(usual) <= _LONGEST_TEMPORARY else "/tmp"
    folder = tempfile.mkdtemp(prefix="edgecls-ray-", dir=place)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return str(Path(folder) / "r")


@contextlib.contextmanager
def _at_root() -> Iterator[None]:
    """Workers look for modules first where Ray was started: not among the user's files."""
    before = Path.cwd()
    os.chdir(_ROOT)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing goes to stderr in the block; Ray's core says there that it was told to be silent."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
