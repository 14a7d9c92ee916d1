"""Turn the absence of an optional dependency into one sentence that says how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from models.errors import MissingExtra

EXTRA_MODULES: dict[str, tuple[str, ...]] = {
    "cpu": ("onnxruntime", "openvino"),
    "gpu": ("onnxruntime",),
    "convert": ("paddle", "paddle2onnx", "onnx", "yaml", "onnxruntime"),
    "int8": ("nncf", "onnx", "onnxruntime"),
    "train": ("torch",),
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
