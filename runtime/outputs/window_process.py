"""The process that owns the windows of `--show`, see `runtime.outputs.window`.

It reads messages from stdin and answers in lines on stdout. Qt ends a process that cannot open a
window, and a display at the other end of a slow network may stop it for seconds: neither must
befall the process that classifies.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from runtime.annotate import annotated, interrupted
from runtime.records import Picture, ScoredLabel

LENGTH = struct.Struct("<I")
"""Before every message; then JSON of that length, then the picture, if there is one."""

READY, NEXT, END = b"ready\n", b"next\n", b"end\n"
NO_DISPLAY, HEADLESS = b"no display\n", b"headless\n"

_POLL_S = 0.03
_END_KEYS = frozenset((ord("q"), ord("Q"), 27))
_BLANK = (360, 640, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What one window is to show.

    Attributes:
        window: Its number.
        picture: RGB uint8 [H, W, 3].
        top: Best classes first; empty for none.
        trouble: Why no picture comes; empty when they do.
    """

    window: int
    picture: Picture
    top: tuple[ScoredLabel, ...]
    trouble: str

    def drawn(self) -> Picture:
        """As it is shown: a picture that is old is dim, and without its classes."""
        if self.trouble:
            return interrupted(self.picture, self.trouble)
        return annotated(self.picture, self.top)


def message(facts: Mapping[str, Any], picture: Picture | None = None) -> bytes:
    """A message to this process."""
    header = json.dumps(dict(facts)).encode()
    body = b"" if picture is None else picture.tobytes()
    return LENGTH.pack(len(header)) + header + body


def received(stream: BinaryIO) -> Mapping[str, Any] | None:
    """The next message, without its picture; None at the end.

    Args:
        stream: Blocking, and not read ahead.
    """
    length = _exactly(stream, LENGTH.size)
    if length is None:
        return None
    header = _exactly(stream, LENGTH.unpack(length)[0])
    facts: Mapping[str, Any] | None = None if header is None else json.loads(header)
    return facts


def received_shot(stream: BinaryIO) -> Shot | None:
    """The next picture; None at the end."""
    facts = received(stream)
    if facts is None:
        return None
    height, width = facts["size"]
    pixels = _exactly(stream, height * width * 3)
    if pixels is None:
        return None
    return Shot(
        window=facts["window"],
        picture=np.frombuffer(pixels, np.uint8).reshape(height, width, 3),
        top=tuple(ScoredLabel(label=label, probability=share) for label, share in facts["top"]),
        trouble=facts["trouble"],
    )


def _exactly(stream: BinaryIO, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        more = stream.read(size - len(data))
        if not more:
            return None
        data += more
    return bytes(data)


class _Windows:
    """OpenCV's windows, one for each title."""

    def __init__(self, titles: list[str]) -> None:
        import cv2

        self._titles = titles
        self._sizes: dict[str, tuple[int, int]] = {}
        for at, title in enumerate(titles):
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.moveWindow(title, 40 * at, 40 * at)
            blank = np.full(_BLANK, 24, np.uint8)
            self._draw(title, interrupted(blank, "no picture yet"))

    def show(self, shot: Shot) -> None:
        """Show a picture."""
        self._draw(self._titles[shot.window], shot.drawn())

    def ended(self) -> bool:
        """Let the windows live for a moment; whether the user wants to end."""
        import cv2

        if cv2.waitKey(1) & 0xFF in _END_KEYS:
            return True
        shown = [cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) for title in self._titles]
        return min(shown) < 1

    def _draw(self, title: str, picture: Picture) -> None:
        import cv2

        size = (picture.shape[1], picture.shape[0])
        if self._sizes.get(title) != size:
            self._sizes[title] = size
            cv2.resizeWindow(title, *size)
        cv2.imshow(title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _opened(titles: list[str]) -> _Windows | bytes:
    """The windows, or why there are none."""
    import cv2

    on_linux = sys.platform.startswith("linux")
    if on_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return NO_DISPLAY
    try:
        windows = _Windows(titles)
        cv2.waitKey(1)
    except cv2.error:
        return HEADLESS
    return windows


def main() -> None:
    """Show pictures until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print is no answer
    messages = os.fdopen(os.dup(0), "rb", buffering=0)
    order = received(messages)
    if order is None:
        return
    windows = _opened(order["titles"])
    if isinstance(windows, bytes):
        answers.write(windows)
        return
    answers.write(READY)
    told = False
    while True:
        if windows.ended() and not told:
            answers.write(END)
            told = True
        if not select.select([messages], [], [], _POLL_S)[0]:
            continue
        shot = received_shot(messages)
        if shot is None:
            return
        windows.show(shot)
        answers.write(NEXT)


if __name__ == "__main__":
    main()
