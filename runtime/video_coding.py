"""What both kinds of recordings share: codecs, the fragmented MP4, plain errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from runtime.raw_file import RawFile

FRAGMENTED_MP4 = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "500000",  # microseconds
    "flush_packets": "1",
}
"""A fragment every half second, complete in itself: what was written before a crash plays."""

CODECS: tuple[tuple[str, dict[str, str]], ...] = (
    ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "crf": "23"}),
    ("mpeg4", {"qmin": "3", "qmax": "6"}),
)
"""Name and options; the first one that this PyAV was built with. Neither holds pictures back."""


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """What FFmpeg says as an OSError."""
    import av

    try:
        yield
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error
    except ValueError as error:
        raise OSError(None, str(error)) from error


@contextlib.contextmanager
def finishing(file: RawFile) -> Iterator[None]:
    """Close a file after what completes it, whatever that meets.

    Raises:
        OSError: The end could not be written, or something before it.
    """
    try:
        with plain_errors():
            yield
    finally:
        file.sync()
        file.close()
    file.check()


def usable_codec() -> tuple[str, dict[str, str]]:
    """The codec of recordings on this machine, and its options."""
    import av

    return next(one for one in CODECS if one[0] in av.codecs_available)


def coded_size(width: int, height: int, *, most_lines: int | None = None) -> tuple[int, int]:
    """Width and height of what is coded: even, no more than `most_lines` high, same shape."""
    scale = 1.0 if most_lines is None else min(1.0, most_lines / height)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
