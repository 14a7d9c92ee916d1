"""The engines, in order of preference: the order of this tuple is the policy.

A new engine is one module with a `BACKEND` and one entry here, before those it should win over.
Importing this package loads no engine.
"""

from __future__ import annotations

from models.errors import UsageError
from runtime.backends import cpu, cuda, openvino, tensorrt
from runtime.session import Backend

BACKENDS: tuple[Backend, ...] = (tensorrt.BACKEND, cuda.BACKEND, openvino.BACKEND, cpu.BACKEND)


def backend_named(name: str, *, backends: tuple[Backend, ...] = BACKENDS) -> Backend:
    """Look a backend up.

    Raises:
        UsageError: There is none of that name; the message lists those there are.
    """
    for backend in backends:
        if backend.name == name:
            return backend
    known = ", ".join(backend.name for backend in backends)
    raise UsageError(f"There is no backend {name!r}.", hint=f"Backends: auto, {known}.")
