"""Which versions of which libraries a calibration ran with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = ("onnxruntime", "onnx", "openvino", "nncf", "numpy")


def library_versions() -> dict[str, str]:
    """Versions of those that are installed, by name."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
