"""The NVIDIA GPUs that the driver shows, asked of its own library.

`libcuda` comes with the driver on a PC and with the board's software on a Jetson, where there is no
`nvidia-smi` worth asking. Names and numbers are those of the CUDA driver API: `cuInit`,
`cuDeviceGetCount`, `cuDeviceGet`, `cuDeviceGetName`, `cuDeviceGetAttribute` (75 and 76 are the
compute capability) and `cuDriverGetVersion`.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache

from models.errors import BackendError

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_CAPABILITY = (75, 76)
_NO_DEVICE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU.

    Attributes:
        name: E.g. "NVIDIA H100 80GB HBM3".
        capability: E.g. "9.0".
        cuda: Newest CUDA that the driver supports, e.g. "13.0".
    """

    name: str
    capability: str
    cuda: str

    @property
    def identity(self) -> str:
        """What compiled engines depend on, e.g. "NVIDIA H100 80GB HBM3, 9.0, CUDA 13.0"."""
        return f"{self.name}, {self.capability}, CUDA {self.cuda}"


@cache
def gpus() -> tuple[Gpu, ...]:
    """The GPUs of this machine, in the order of their numbers; at least one.

    Raises:
        BackendError: There is no driver, or it shows no GPU.
    """
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise BackendError(f"no NVIDIA driver here ({_LIBRARY} is missing)") from None
    code = library.cuInit(0)
    if code == _NO_DEVICE:
        raise BackendError("the NVIDIA driver shows no GPU")
    if code:
        raise BackendError(f"the NVIDIA driver does not start (cuInit gives {code})")
    version, number = ctypes.c_int(), ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(version))
    library.cuDeviceGetCount(ctypes.byref(number))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    found = tuple(_gpu(library, index, cuda) for index in range(number.value))
    if not found:
        raise BackendError("the NVIDIA driver shows no GPU")
    return found


def _gpu(library: ctypes.CDLL, index: int, cuda: str) -> Gpu:
    device = ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(device), index)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), device)
    numbers = []
    for attribute in _CAPABILITY:
        value = ctypes.c_int()
        library.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        numbers.append(str(value.value))
    return Gpu(name=name.value.decode(errors="replace"), capability=".".join(numbers), cuda=cuda)


def gpu_number(device: str | None, *, backend: str) -> int:
    """Which GPU was asked for, by its number.

    Args:
        device: As written, e.g. "1"; None for the first.
        backend: For errors.

    Raises:
        BackendError: There is no such GPU.
    """
    found = gpus()
    number = 0 if device is None else int(device) if device.isascii() and device.isdigit() else -1
    if not 0 <= number < len(found):
        there = ", ".join(f"{index} ({gpu.name})" for index, gpu in enumerate(found))
        raise BackendError(f"Backend {backend} has no device {device!r}; there is {there}.")
    return number
