"""What all engines share: probing an import, one-line errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import BackendError
from models.messages import telling_line
from models.stages import Stage
from runtime.session import Probe
from runtime.stage_session import stage_inputs, stage_outputs


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
        reason=f"{module} is installed but does not load: {telling_line(error)}",
        hint=f"pip install --force-reinstall 'edgecls[{extra}]'",
    )


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
        raise BackendError(f"Backend {backend} could not {doing}: {telling_line(error)}") from error


def loading(path: Path) -> str:
    """How an error names the loading of `path`."""
    return f"load {path}"


def closed(backend: str) -> BackendError:
    """The error of a session used after `close()`."""
    return BackendError(f"The {backend} session is closed; open the model again to run it.")


def check_stage_ends(
    path: Path, stage: Stage, *, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """Refuse a stage graph that does not take and give what the card says.

    Args:
        path: The graph, for the error.
        stage: What the card says of it.
        inputs: Types by name that the engine found, e.g. "float32".
        outputs: The same of the outputs.

    Raises:
        BackendError: They differ.
    """
    for what, found, expected in (
        ("takes", inputs, stage_inputs(stage)),
        ("gives", outputs, stage_outputs(stage)),
    ):
        wanted = {name: dtype.name for name, dtype in expected.items()}
        if dict(found) != wanted:
            raise BackendError(
                f"{path} {what} {_listed(found)}; the card says {_listed(wanted)}.",
                hint="Convert the model again: edgecls convert",
            )


def _listed(ends: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in ends.items()) or "nothing"
