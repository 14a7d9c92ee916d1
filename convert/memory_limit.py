"""Keep this process within the memory that is free, so that too much is an error, not a kill."""

from __future__ import annotations

import sys

from runtime.memory import available_bytes

_SHARE = 0.95
"""Of the memory that is free at the start; the rest is for others."""


def limit_memory() -> int | None:
    """Limit the memory of this process and its children, where the system can.

    On Linux, `RLIMIT_DATA` counts what is taken to be written to, whether or not it is in use,
    and not the libraries and mapped files. The conversion of PP-TSM ResNet101 with 16 frames
    takes 2.4 GiB in this sense, and 2.5 GiB of memory.

    Returns:
        Bytes; None where there is no limit.
    """
    if sys.platform != "linux":
        return None
    import resource

    free = available_bytes()
    if free is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    already = [value for value in (soft, hard) if value != resource.RLIM_INFINITY]
    limit = min([int(free * _SHARE), *already])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit
