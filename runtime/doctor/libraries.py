"""Shared libraries that are missing: their name in a message, and what installs them here."""

from __future__ import annotations

import re

from runtime.doctor.place import Place

_MISSING = re.compile(
    r"(?P<found>[\w+.-]+\.so(?:\.\d+)*):? (?:cannot open shared object file|not found)"
    r"|Library not loaded: (?P<mac>\S+)",
    re.ASCII,
)
_TOO_OLD = re.compile(r"version [`'](?P<name>(?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not found", re.ASCII)

_SYSTEM = {
    "libGL.so": ("libgl1", "mesa-libGL", "mesa-gl"),
    "libEGL.so": ("libegl1", "mesa-libEGL", "mesa-egl"),
    "libgthread-2.0.so": ("libglib2.0-0", "glib2", "glib"),
    "libglib-2.0.so": ("libglib2.0-0", "glib2", "glib"),
    "libxcb.so": ("libxcb1", "libxcb", "libxcb"),
    "libX11.so": ("libx11-6", "libX11", "libx11"),
    "libXext.so": ("libxext6", "libXext", "libxext"),
    "libSM.so": ("libsm6", "libSM", "libsm"),
    "libgomp.so": ("libgomp1", "libgomp", "libgomp"),
    "libstdc++.so": ("libstdc++6", "libstdc++", "libstdc++"),
    "libgcc_s.so": ("libgcc-s1", "libgcc", "libgcc"),
    "libtbb.so": ("libtbb12", "tbb", "onetbb"),
    "libatomic.so": ("libatomic1", "libatomic", "libatomic"),
    "libOpenCL.so": ("ocl-icd-libopencl1", "ocl-icd", "opencl-icd-loader"),
}
"""Packages of apt, dnf and apk by the beginning of a library's name."""

_CUDA = re.compile(
    r"lib(?:cudart|cublas|cublasLt|cufft|curand|cusparse|cusolver|nvrtc|nvJitLink)"
    r"\.so(?:\.(?P<major>\d+))?",
    re.ASCII,
)


def missing_library(message: str) -> str:
    """Name of the shared library that a message says is missing; empty when it says no such thing.

    Where the system's C or C++ library lacks a symbol version, that version, e.g. `GLIBC_2.34`.
    """
    found = _MISSING.search(message)
    if found is not None:
        return (found["found"] or found["mac"]).rsplit("/", 1)[-1]
    too_old = _TOO_OLD.search(message)
    return "" if too_old is None else too_old["name"]


def library_fix(library: str, place: Place) -> str:
    """What installs a missing library here; empty when that is not known.

    Args:
        library: As `missing_library` names it.
        place: Where it is missing.
    """
    if library.startswith("libcuda.so"):
        return _driver_fix(place)
    if library.startswith(("libcudnn", "libnvinfer", "libnvonnxparser")) or _CUDA.match(library):
        return _cuda_fix(library, place)
    for beginning, (apt, dnf, apk) in _SYSTEM.items():
        if library.startswith(beginning):
            return place.system(apt, dnf, apk)
    return ""


def _driver_fix(place: Place) -> str:
    if place.container:
        return "docker run " + ("--runtime nvidia" if place.jetson_linux else "--gpus all") + " …"
    return place.system(
        "nvidia-jetpack" if place.jetson_linux else "nvidia-driver", "nvidia-driver"
    )


def _cuda_fix(library: str, place: Place) -> str:
    """Libraries of CUDA, cuDNN and TensorRT: of JetPack, else of the wheels beside the engine."""
    if place.jetson_linux:
        return place.system("nvidia-jetpack")
    if library.startswith(("libnvinfer", "libnvonnxparser")):
        # The newest is not always the one that ONNX Runtime is linked with.
        major = library.rpartition(".so.")[2].split(".")[0]
        return place.pip("install", f"'tensorrt=={major}.*'" if major.isdecimal() else "tensorrt")
    return place.pip("install", "'onnxruntime-gpu[cuda,cudnn]'")
