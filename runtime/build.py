"""Let an engine compile a graph ahead of time, in a process of its own.

A build can take minutes in native code, where Ctrl-C is not heard; a process can be ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import runtime
from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, OutputError, UsageError
from runtime.backends import backend_named
from runtime.engine_cache import EngineCache
from runtime.engine_request import EngineRequest
from runtime.graphs import check_asked, competing, short_title
from runtime.last_line import object_of_last_line
from runtime.session import Backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What came of a graph.

    Attributes:
        graph: What was compiled, e.g. "fp32", "int8 IR".
        engine: Engine and device.
        placement: Where its nodes ran, in words.
        time_s: From the file to the first result.
        made: Entries of the cache that are new.
        found: Entries that were there and were used.
        size_bytes: Of both.
    """

    graph: str
    engine: str
    placement: str
    time_s: float
    made: int
    found: int
    size_bytes: int


def graphs_to_build(bundle: Bundle, asked: EngineRequest) -> tuple[Variant, ...]:
    """The graphs that a start with this request would open on the backend named.

    Raises:
        UsageError: No backend is named, or none of that name is there, or the bundle has no graph
            of that precision.
        BackendError: It has, but not for that backend.
    """
    if asked.backend is None:
        raise UsageError("A build needs the name of a backend.", hint="--backend tensorrt")
    backend_named(asked.backend)
    check_asked(bundle.card, asked.precision, backend=asked.backend)
    return competing(bundle.card, asked.precision, asked.backend)


def build(
    bundle: Bundle,
    variant: Variant,
    asked: EngineRequest,
    *,
    beat: Callable[[float], None],
    every_s: float = 5.0,
) -> Built:
    """Compile a graph and keep the outcome.

    Args:
        bundle: The model.
        variant: Graph of it.
        asked: The backend by name, and what is asked of it.
        beat: Told now and then how long it has taken so far, in seconds.
        every_s: How often.

    Raises:
        BundleError: The graph is missing or altered.
        OutputError: The cache cannot be written to.
        BackendError: The backend failed.
        UsageError: It keeps nothing of what it compiles.
    """
    bundle.graph_path(variant)
    _check_cache(EngineCache().folder)
    order = {
        "bundle": str(bundle.path.resolve()),
        "file": variant.file,
        "asked": asdict(asked),
    }
    answer, tail, status = _in_child(json.dumps(order), beat=beat, every_s=every_s)
    if answer is None:
        raise BackendError(
            f"Backend {asked.backend} ended with status {status} while it built the"
            f" {short_title(variant)} graph: {tail}",
            hint="edgecls doctor",
        )
    if "reason" in answer:
        kind = UsageError if answer["is_usage"] else BackendError
        raise kind(str(answer["reason"]), hint=str(answer["hint"]))
    built = Built(graph=short_title(variant), **answer)
    if not built.made and not built.found:
        raise UsageError(
            f"There is nothing to build for {built.engine}: it keeps nothing of what it compiles"
            f" (ready after {built.time_s:.1f} s).",
            hint=_how_to_keep(backend_named(asked.backend or "")),
        )
    return built


def _how_to_keep(backend: Backend) -> str:
    """How a backend is told to keep what it compiles; empty where it never does."""
    defaults = [one.default for one in backend.settings if one.name == "cache"]
    return f"--backend-option cache=on (by itself {defaults[0]})" if defaults else ""


def _check_cache(folder: Path) -> None:
    """Refuse to build for minutes what then cannot be kept.

    Raises:
        OutputError: The folder cannot be written to.
    """
    probe = folder / f"making-probe-{time.time_ns()}"
    try:
        probe.mkdir(parents=True)
        probe.rmdir()
    except OSError as error:
        raise OutputError(
            f"What is built cannot be kept in {folder}: {error.strerror or error}.",
            hint="XDG_CACHE_HOME=/folder/that/can/be/written edgecls build …",
        ) from error


def _in_child(
    order: str, *, beat: Callable[[float], None], every_s: float
) -> tuple[dict[str, Any] | None, str, int]:
    """The worker's answer, the last line of what it said on stderr, and its status."""
    start_s = time.monotonic()
    child = subprocess.Popen(  # run from its own root: a folder `models` in the user's
        # directory must not shadow ours
        [sys.executable, "-m", "runtime.build_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=Path(runtime.__file__).parent.parent,
        start_new_session=True,  # Ctrl-C is ours to hear: it ends the child at once
    )
    try:
        told: str | None = order
        while True:
            try:
                out, err = child.communicate(told, timeout=every_s)
                break
            except subprocess.TimeoutExpired:
                told = None
                beat(time.monotonic() - start_s)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    tail = (err.strip().splitlines() or ["no message"])[-1]
    return object_of_last_line(out), tail, child.returncode
