"""Open several sources at once: one that does not answer makes nobody else wait."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from runtime.sources import FrameSource, SourceOptions, open_source

_LOOK_S = 0.1


def open_sources(asked: Sequence[tuple[str, SourceOptions]]) -> list[FrameSource]:
    """Open sources, each in a thread of its own.

    Args:
        asked: Of each, how the user wrote it, and how it is read.

    Returns:
        The sources in the same order, all open.

    Raises:
        SourceError: One cannot be opened, the first of those that cannot; all others are closed.
    """
    outcomes: list[FrameSource | Exception | None] = [None] * len(asked)

    def opened(number: int, uri: str, options: SourceOptions) -> None:
        try:
            outcomes[number] = open_source(uri, options)
        except Exception as error:
            # Whatever it is, it is raised below.
            outcomes[number] = error

    threads = [
        threading.Thread(
            target=opened, args=(number, uri, options), name=f"open {number}", daemon=True
        )
        for number, (uri, options) in enumerate(asked)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        # In pieces: a signal is handled between two of them, not within a wait without an end.
        while thread.is_alive():
            thread.join(_LOOK_S)
    failures = [one for one in outcomes if isinstance(one, Exception)]
    sources = [one for one in outcomes if one is not None and not isinstance(one, Exception)]
    if failures:
        for source in sources:
            source.close()
        raise failures[0]
    return sources
