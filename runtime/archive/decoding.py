"""Decode files of an archive in a process of its own, which a file may crash or hang."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

import runtime
from models.errors import SourceError
from runtime.archive.decode_worker import LENGTH
from runtime.closing import ClosesOnExit
from runtime.preprocess import Preparation
from runtime.records import Clip, Frame

LIMIT_S, LIMIT_BYTES_PER_S = 60.0, 1_000_000
"""How long a file may take: so long, and 1 s more per 1 MB. Decoders are many times as quick."""

COMMAND: Sequence[str] = (sys.executable, "-m", "runtime.archive.decode_worker")
"""Starts the process."""

_ROOT = Path(runtime.__file__).parent.parent
"""Where the child looks for modules first: a folder `runtime` where the user stands must not
shadow ours."""

_PATIENCE_S = 2.0


class DecoderDied(Exception):
    """The process died while it read a file; the text says how, e.g. "with SIGSEGV"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedFile:
    """A file that was read.

    Attributes:
        clip: What is kept of its frames.
        warnings: What was wrong with it.
    """

    clip: Clip
    warnings: tuple[str, ...]


class DecodeProcess(ClosesOnExit):
    """A process that reads one file after the other.

    `send` and `receive` alternate; between them the process works, and the caller may too. After
    `DecoderDied` or a file that took too long, the next `send` starts a new process.

    Args:
        preparation: What is kept of the frames.
        limit_s: How long a file may take, besides 1 s per 1 MB.
    """

    def __init__(
        self,
        preparation: Preparation,
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._order = {
            "clip": preparation.clip.model_dump(mode="json"),
            "views": preparation.views,
        }
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: threading.Timer | None = None
        self._path = ""
        self._late_s: float | None = None

    def send(self, path: Path, size_bytes: int) -> None:
        """Begin to read a file.

        Args:
            path: Absolute.
            size_bytes: Of the file, by which it is known how long it may take.
        """
        limit_s = self._limit_s + size_bytes / LIMIT_BYTES_PER_S
        self._path, self._late_s = str(path), None
        if self._process is None:
            self._process = self._started()
            self._write(self._order)
        self._timer = threading.Timer(limit_s, self._end_late, [self._process, limit_s])
        self._timer.daemon = True
        self._timer.start()
        self._write(self._path)

    def receive(self) -> DecodedFile:
        """Wait for the file.

        Raises:
            SourceError: It cannot be used, or took too long.
            DecoderDied: The process died over it.
        """
        assert self._process is not None, "nothing was sent"
        assert self._process.stdout is not None
        try:
            answer = _received(self._process.stdout)
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if answer is not None:
            return answer
        how = self._end()
        if self._late_s is not None:
            raise SourceError(
                f"{self._path} was not read within {self._late_s:.0f} s, the limit for its size."
            )
        raise DecoderDied(how)

    def abort(self) -> None:
        """Let a `receive` in another thread end at once."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process; twice is fine."""
        if self._timer is not None:
            self._timer.cancel()
        self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            start_new_session=True,  # Ctrl-C is for the command
        )

    def _write(self, value: object) -> None:
        """A process that is dead already is noticed when its answer does not come."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(value).encode() + b"\n")
            self._process.stdin.flush()

    def _end_late(self, process: subprocess.Popen[bytes], limit_s: float) -> None:
        self._late_s = limit_s
        process.kill()

    def _end(self) -> str:
        """End the process; how it ended, e.g. "with SIGSEGV"."""
        process, self._process = self._process, None
        if process is None:
            return ""
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            code = process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code >= 0:
            return f"with exit status {code}"
        with contextlib.suppress(ValueError):
            return f"with {signal.Signals(-code).name}"
        return f"with signal {-code}"


def _received(stream: IO[bytes]) -> DecodedFile | None:
    """The next answer; None when the process ended instead.

    Raises:
        SourceError: The answer is that the file cannot be used.
    """
    lengths = stream.read(LENGTH.size)
    if len(lengths) < LENGTH.size:
        return None
    header_bytes, picture_bytes = LENGTH.unpack(lengths)
    header, pictures = stream.read(header_bytes), stream.read(picture_bytes)
    if len(header) < header_bytes or len(pictures) < picture_bytes:
        return None
    facts = json.loads(header)
    if "error" in facts:
        raise SourceError(facts["error"])
    frames, at = [], 0
    for number, shape in enumerate(facts["shapes"]):
        size = int(np.prod(shape))
        picture = np.frombuffer(pictures, np.uint8, count=size, offset=at).reshape(shape)
        frames.append(
            Frame(picture=picture, index=number, time_s=0.0, arrived_s=0.0, decode_ms=0.0)
        )
        at += size
    clip = Clip(
        frames=tuple(frames[number] for number in facts["order"]),
        start_s=facts["start_s"],
        end_s=facts["end_s"],
        available=facts["available"],
        index=0,
    )
    return DecodedFile(clip=clip, warnings=tuple(facts["warnings"]))
