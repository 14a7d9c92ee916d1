"""Honest files, from which damaged ones are made."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np

from runtime.recording.entries import Asked, Ended, Happened
from runtime.recording.recorder import Recorder
from runtime.records import Frame, SourceCounts
from tests.recordings import befell, opening
from tests.video_files import Encoding, encode_video, moving_pictures

_PICTURES = 12
_CODECS = {"avi": "mjpeg", "mkv": "mpeg4", "mp4": "libx264", "ts": "mpeg2video", "mjpeg": "mjpeg"}
KINDS = tuple(_CODECS)


@functools.cache
def video(kind: str) -> bytes:
    """A short video in a container."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip.{kind}"
        codec = _CODECS[kind]
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        encode_video(path, moving_pictures(_PICTURES), Encoding(codec=codec, pixels=pixels))
        return path.read_bytes()


@functools.cache
def recording() -> bytes:
    """A recording with a gap, events and counts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mkv"
        recorder = Recorder(path, opening())
        for index in range(6):
            time_s = 0.5 + index / 8 + 2.0 * (index > 3)
            recorder.note(Asked(time_s=time_s, answer="yes"))
            if index == 4:
                recorder.note(Happened.of(befell("lost", 1.5, delivers=False, breaks=False)))
                recorder.note(Happened.of(befell("back", 2.5, delivers=True, breaks=True)))
            picture = np.full((48, 64, 3), index * 40, np.uint8)
            frame = Frame(
                picture=picture, index=index, time_s=time_s, arrived_s=time_s, decode_ms=0.0
            )
            counts = SourceCounts(received=index + 1, delivered=index + 1)
            recorder.picture(frame, counts, stopping=lambda: False)
        recorder.close(Ended(how="ended"), grace_s=5.0)
        return path.read_bytes()
