"""Things that hold an engine, a file or a device, and let go of it when their block ends."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from typing_extensions import Self


class Closeable(Protocol):
    """What has to be closed, and may be used in a `with` block."""

    def close(self) -> None:
        """Let go. Calling it twice is fine."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class _HasClose(Protocol):
    def close(self) -> None: ...


class ClosesOnExit:
    """The two methods that make a class with `close` a context manager."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self: _HasClose,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
