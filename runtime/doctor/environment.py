"""Environment variables that change which libraries load and how engines behave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runtime.doctor.finding import Finding

TOLD = (
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PYTHONPATH",
    "PYTHONHOME",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR",
    "OMP_NUM_THREADS",
    "KMP_AFFINITY",
    "OV_CACHE_DIR",
    "ORT_DISABLE_TELEMETRY",
    "OPENCV_FFMPEG_CAPTURE_OPTIONS",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "TMPDIR",
)
"""Only these are told: others hold secrets."""


def environment_findings(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Tell those that are set."""
    found = {name: variables[name] for name in TOLD if variables.get(name)}
    message = ", ".join(f"{name}={value}" for name, value in found.items())
    if not found:
        message = "no variable is set that changes how libraries load"
    hides = variables.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    if hides:
        message += "; CUDA_VISIBLE_DEVICES hides all GPUs"
    yield Finding(
        name="environment",
        status="note" if hides else "ok",
        message=message,
        fix="unset CUDA_VISIBLE_DEVICES" if hides else "",
        facts=found,
    )
