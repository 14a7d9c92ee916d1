"""What all engines share: probing an import, one-line errors, fixed batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BackendError
from runtime.session import Probe, Tensor

_NOISE = ("exception from ", "check '", "while ")
"""Beginnings of lines in engines' messages that name their source files, not the trouble."""


def probe_module(
    load: Callable[[], Any], module: str, *, extra: str, check: Callable[[Any], str]
) -> Probe:
    """Import an engine and ask it one question; never raises.

    Args:
        load: Imports it.
        module: Top-level module of the engine.
        extra: The extra that installs it.
        check: Returns why the engine cannot work here; empty when it can.
    """
    try:
        reason = check(load())
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == module:
            return Probe(
                ok=False,
                reason=f"{module} is not installed",
                hint=f"pip install 'edgecls[{extra}]'",
            )
        return _broken(module, extra, error)
    except Exception as error:  # a native library may raise anything on import
        return _broken(module, extra, error)
    return Probe(ok=not reason, reason=reason)


def _broken(module: str, extra: str, error: Exception) -> Probe:
    return Probe(
        ok=False,
        reason=f"{module} is installed but does not load: {first_line(error)}",
        hint=f"pip install --force-reinstall 'edgecls[{extra}]'",
    )


def first_line(error: BaseException) -> str:
    """The first line of an engine's message that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.lower().startswith(_NOISE)]
    return (telling or lines or [type(error).__name__])[0]


@contextmanager
def engine_errors(backend: str, doing: str) -> Iterator[None]:
    """Turn whatever an engine raises into one `BackendError` sentence.

    Args:
        backend: Name of the backend.
        doing: What it was doing, e.g. "load model.onnx".

    Raises:
        BackendError: The block raised an `Exception` that is not one already.
    """
    try:
        yield
    except BackendError:
        raise
    except Exception as error:
        raise BackendError(f"Backend {backend} could not {doing}: {first_line(error)}") from error


def loading(path: Path) -> str:
    """How an error names the loading of `path`."""
    return f"load {path}"


def in_fixed_batches(clips: Tensor, batch: int, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Run a graph whose batch size is fixed on any number of clips.

    The last piece is filled up with zeros and the surplus results are dropped: 5 clips on a
    graph for 2 are three calls.

    Args:
        clips: float32 [N, T, 3, H, W].
        batch: Clips that the graph takes.
        compute: Runs the graph on exactly `batch` clips.

    Returns:
        float32 [N, classes].
    """
    results = []
    for start in range(0, len(clips), batch):
        piece = clips[start : start + batch]
        missing = batch - len(piece)
        if missing:
            piece = np.concatenate([piece, np.zeros((missing, *clips.shape[1:]), clips.dtype)])
        results.append(compute(piece)[: batch - missing])
    return np.concatenate(results)


def closed(backend: str) -> BackendError:
    """The error of a session used after `close()`."""
    return BackendError(f"The {backend} session is closed; open the model again to run it.")
