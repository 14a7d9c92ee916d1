"""Windows on the screen of this machine that show a run: `--show`."""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import runtime
from models.errors import MissingExtra, OutputError
from runtime.closing import ClosesOnExit
from runtime.degrade.news import DegradeNews
from runtime.outputs.base import EventNews
from runtime.outputs.run_end import RunEnd
from runtime.outputs.window_process import END, HEADLESS, NEXT, NO_DISPLAY, READY, message
from runtime.records import Frame, Picture, Prediction, ScoredLabel, SourceEvent

MOST_PIXELS = 1280
"""Longer side of what is shown; larger pictures are halved until they fit."""

BEHIND_S = 0.1
"""A display that has not asked for a picture for so long is given no others meanwhile."""

_OPEN_S = 20.0
_CLOSE_S = 0.3
_ROOT = Path(runtime.__file__).parent.parent
_COMMAND = (sys.executable, "-m", "runtime.outputs.window_process")
_INSTEAD = "--serve :8088 shows the run in a browser, of another machine too"


@dataclass(slots=True)
class _Shown:
    """What a window is to show.

    Attributes:
        picture: The newest; None before the first.
        top: Best classes of the newest result.
        trouble: Why no picture comes.
        changed: Whether it was not sent yet.
        since_s: Since when it was not.
    """

    picture: Picture | None = None
    top: tuple[ScoredLabel, ...] = ()
    trouble: str = ""
    changed: bool = False
    since_s: float = 0.0


class Windows(ClosesOnExit):
    """An output with a window for each source, in a process of its own.

    The newest picture wins: one is sent when the one before has been shown, so that a slow display
    shows fewer, never old ones, and nothing ever waits for it. A process that dies costs the
    windows, and a note at the end.

    Args:
        names: Of the sources.
        top_k: Classes shown.
        ended: Called, once, in a thread of its own, when the user presses q or Esc or closes a
            window.
        command: Starts the process.

    Raises:
        OutputError: There is no display, or it cannot be used.
        MissingExtra: This OpenCV has no windows.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        top_k: int,
        ended: Callable[[], None],
        command: Sequence[str] = _COMMAND,
    ) -> None:
        self._top_k = top_k
        self._ended = ended
        self._shown = [_Shown() for _ in names]
        self._changed = threading.Condition()
        self._asked = True
        self._closing = False
        self._died = False
        self._threads: list[threading.Thread] = []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_ROOT,
            start_new_session=True,  # Ctrl-C is for the run alone
        )
        several = len(names) > 1
        titles = [f"{at}: {name}" if several else name for at, name in enumerate(names)]
        try:
            self._send({"titles": [f"{title} - edgecls" for title in titles]})
            _check_opened(self._answer(_OPEN_S))
        except BaseException:
            self._end_process()
            raise
        self._threads = [
            threading.Thread(target=work, name="windows", daemon=True)
            for work in (self._write, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    def prediction(self, prediction: Prediction) -> None:
        """Label what comes from now on."""
        with self._changed:
            self._shown[prediction.stream].top = prediction.top[: self._top_k]

    def event(self, news: EventNews) -> None:
        """Windows show classes, and no events."""

    def source_event(self, event: SourceEvent, stream: int) -> None:
        """Show that a picture is old; and no class of before a break with one after it."""
        with self._changed:
            shown = self._shown[stream]
            shown.trouble = "" if event.delivers else event.text
            if event.breaks:
                shown.top = ()
            if shown.picture is not None:
                self._change(shown)

    def degraded(self, news: DegradeNews) -> None:
        """Windows do not show it."""

    def ended(self, end: RunEnd) -> None:
        """Windows close with the run."""

    def source_ended(self, stream: int) -> None:
        """Its last picture stays."""

    def wants_frame(self, stream: int) -> bool:
        """Whether the display keeps up; sources may ask for several frames ahead."""
        with self._changed:
            shown = self._shown[stream]
            behind = shown.changed and time.monotonic() - shown.since_s > BEHIND_S
            return not (self._died or behind)

    def frame(self, frame: Frame, stream: int) -> None:
        """Show a frame, unless a newer one comes before the window asks for it."""
        with self._changed:
            if self._died:
                return
            shown = self._shown[stream]
            shown.picture = frame.picture
            self._change(shown)

    def close(self, *, grace_s: float = 0.0) -> None:
        """Close the windows."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._end_process()

    def notes(self) -> tuple[str, ...]:
        """That the windows died."""
        return ("window: its process ended before the run did",) if self._died else ()

    def _change(self, shown: _Shown) -> None:
        """What a window shows is another, from now on if it was up to date."""
        if not shown.changed:
            shown.changed, shown.since_s = True, time.monotonic()
        self._changed.notify_all()

    def _write(self) -> None:
        """Send the newest pictures, one at a time, each when it is asked for."""
        try:
            while (due := self._next()) is not None:
                self._send(*due)
        except (OSError, ValueError):  # it died, or was closed
            self._lost()

    def _next(self) -> tuple[Mapping[str, object], Picture] | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or (self._asked and any(one.changed for one in self._shown))
            )
            if self._closing:
                return None
            self._asked = False
            # Of several that wait, the one that has waited longest.
            window = min(
                (at for at, one in enumerate(self._shown) if one.changed),
                key=lambda at: self._shown[at].since_s,
            )
            shown = self._shown[window]
            shown.changed = False
            top = [(one.label, one.probability) for one in shown.top]
            picture, trouble = shown.picture, shown.trouble
        assert picture is not None
        small = _small(picture)
        facts = {"window": window, "size": small.shape[:2], "top": top, "trouble": trouble}
        return facts, small

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for answer in self._process.stdout:
            if answer == END:
                self._ended()
            elif answer == NEXT:
                with self._changed:
                    self._asked = True
                    self._changed.notify_all()
        self._lost()

    def _lost(self) -> None:
        """The process is gone; which is no loss when it was sent away."""
        with self._changed:
            self._died = not self._closing
            self._closing = True
            self._changed.notify_all()

    def _send(self, facts: Mapping[str, object], picture: Picture | None = None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(message(facts, picture))
        self._process.stdin.flush()

    def _answer(self, timeout_s: float) -> bytes | None:
        """The first answer; empty when it died, None when it says nothing."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            return None
        return self._process.stdout.readline()

    def _end_process(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._process.terminate()
        try:
            self._process.wait(_CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(_CLOSE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _check_opened(answer: bytes | None) -> None:
    """Raise if the windows are not open."""
    if answer == READY:
        return
    if answer == NO_DISPLAY:
        raise OutputError(
            "--show has no display: neither DISPLAY nor WAYLAND_DISPLAY is set.", hint=_INSTEAD
        )
    if answer == HEADLESS:
        raise MissingExtra(
            "--show needs an OpenCV with windows; the one installed has none"
            " (opencv-python-headless?).",
            hint="pip uninstall opencv-python-headless && pip install --force-reinstall"
            " opencv-python",
        )
    if answer is None:
        raise OutputError(
            f"--show: the display does not answer within {_OPEN_S:g} s.", hint=_INSTEAD
        )
    raise OutputError(
        "--show: no window could be opened on the display that DISPLAY names.", hint=_INSTEAD
    )


def _small(picture: Picture) -> Picture:
    """A picture that fits, by leaving out pixels: quick, and good enough to look at."""
    step = -(-max(picture.shape[:2]) // MOST_PIXELS)
    return np.ascontiguousarray(picture[::step, ::step])
