"""Warnings that the runtime logs while it reads a video, caught instead of shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = "runtime"


class _Ear(logging.Handler):
    """Keeps warnings; passes everything else on."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        if record.levelno >= logging.WARNING:
            self.heard.append(record.getMessage())
        else:
            logging.getLogger().handle(record)


@contextmanager
def heard_warnings() -> Iterator[list[str]]:
    """A list that fills with the warnings of `runtime` while the block runs. One thread only."""
    ear, logger = _Ear(), logging.getLogger(_LOGGER)
    propagate = logger.propagate
    logger.addHandler(ear)
    logger.propagate = False
    try:
        yield ear.heard
    finally:
        logger.propagate = propagate
        logger.removeHandler(ear)
