"""Turn the absence of an optional dependency into one sentence that says how to get it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.errors import MissingExtra

EXTRA_MODULES: dict[str, tuple[str, ...]] = {
    "cpu": ("onnxruntime", "openvino"),
    "gpu": ("onnxruntime",),
    "convert": ("paddle", "paddle2onnx", "onnx", "onnxruntime"),
    "int8": ("nncf", "onnx", "ml_dtypes", "onnxruntime", "openvino"),
    "serve": ("starlette", "uvicorn", "prometheus_client", "h11", "anyio"),
    "train": ("torch",),
    "mqtt": ("paho",),
    "archive": ("pyarrow",),
    "ray": ("ray", "pyarrow", "pandas", "fsspec"),
}
"""Top-level modules that each extra brings."""


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Guard imports of an optional dependency.

    A missing module and a broken one are told apart: only a `ModuleNotFoundError` that names a
    module of this extra means "not installed"; any other `ImportError` keeps its cause.

    Args:
        name: Extra as listed in `EXTRA_MODULES`.
        purpose: What needs it, as the start of a sentence ("Converting a checkpoint").

    Raises:
        MissingExtra: An import inside the block failed.
    """
    pip_line = f"pip install 'edgecls[{name}]'"
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").split(".")[0]
        if module in EXTRA_MODULES[name]:
            raise MissingExtra(
                f"{purpose} needs {module}, which is not installed.", hint=pip_line
            ) from error
        raise MissingExtra(
            f"{purpose} needs the extra '{name}', which is broken: {error}.",
            hint=f"pip install --force-reinstall 'edgecls[{name}]'",
        ) from error
    except ImportError as error:
        raise MissingExtra(
            f"{purpose} needs the extra '{name}', which is installed but does not load: {error}.",
            hint=f"pip install --force-reinstall 'edgecls[{name}]'",
        ) from error


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off, unless the user's environment turns it on.

    From 1.31 the Linux builds report usage over the network and keep a session file in the
    temporary folder. `onnxruntime.disable_telemetry_events()` comes too late to prevent that;
    the variable must be set before the library is loaded.

    Raises:
        ImportError: It is not installed or does not load; wrap the call in `extra`.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry; see `without_openvino_telemetry`.

    Raises:
        ImportError: It is not installed or does not load; wrap the call in `extra`.
    """
    with without_openvino_telemetry():
        return importlib.import_module("openvino")


@contextmanager
def without_openvino_telemetry() -> Iterator[None]:
    """Keep `openvino_telemetry` from being imported by what is imported in the block.

    OpenVINO reports to a web service that it was imported, NNCF that it quantizes, and both keep
    an id of the user in `~/intel`. The only switch of theirs is a file in that folder; but
    where the module is not installed they do without it.
    """
    name = "openvino_telemetry"
    known = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # as the import system marks the absent
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known
