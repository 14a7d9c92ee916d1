"""Record a camera, and keep the recording as clips to calibrate on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

from models.errors import OutputError, SourceError, UsageError
from runtime.annotate import AnnotatedVideo
from runtime.sources import FrameSource, open_source

MOST_S = 3600.0
FALLBACK_FPS = 25.0

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|m|min)?", re.ASCII)
_UNITS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0}


def seconds_of(text: str) -> float:
    """Read a length of time: "60s", "60", "1m" and "1min" are 60 seconds.

    Raises:
        UsageError: It is none, or not from 1 s to an hour.
    """
    match = _DURATION.fullmatch(text.strip())
    seconds = float(match["number"]) * _UNITS[match["unit"]] if match else 0.0
    if not 1.0 <= seconds <= MOST_S:
        raise UsageError(
            f"A recording is from 1 s to {MOST_S:g} s long, got '{text}'.", hint="--capture 60s"
        )
    return seconds


def clips_folder(bundle: Path) -> Path:
    """Where recordings for a bundle are kept: a folder beside it."""
    bundle = bundle.absolute()
    return bundle.with_name(f"{bundle.name}-clips")


def record(
    uri: str,
    folder: Path,
    *,
    length_s: float,
    on_second: Callable[[int], None],
    open_uri: Callable[[str], FrameSource] = open_source,
) -> Path:
    """Record a source as `capture-N.avi` (Motion JPEG), N being the first free number.

    The file plays in real time whatever the camera delivered: the picture before a gap is
    repeated over it. Interrupted by Ctrl-C, what was recorded so far is kept.

    Args:
        uri: Of a camera; a file works too.
        folder: Made if it is not there.
        length_s: How much to record.
        on_second: Told how many seconds are recorded.
        open_uri: Opens the source.

    Returns:
        The file.

    Raises:
        SourceError: The source fails, or ends before a second is over.
        OutputError: The folder or file cannot be written.
    """
    with open_uri(uri) as source:
        _make(folder)
        path = next(
            one
            for number in itertools.count(1)
            if not (one := folder / f"capture-{number}.avi").exists()
        )
        last_s, first_s = 0.0, None
        with AnnotatedVideo(path, source.fps or FALLBACK_FPS) as video:
            for frame in source:
                first_s = frame.time_s if first_s is None else first_s
                last_s = frame.time_s - first_s
                if last_s > length_s:
                    break
                video.write(frame, ())
                on_second(int(last_s))
            if last_s < min(1.0, length_s):
                raise SourceError(
                    f"{source.description} ended after {last_s:.2f} s; nothing was kept.",
                    hint="Check the camera: edgecls run --source camera0",
                )
    return path


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made: {error.strerror or error}.", hint=f"ls -ld {folder.parent}"
        ) from error
