"""Films of events: one file per event, or for several that overlap."""

from __future__ import annotations

import re
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from models.errors import OutputError
from models.sizes import size_in_words
from runtime.events import EventChange
from runtime.outputs.clip_recorder import ClipRecorder, ClipSettings
from runtime.outputs.film_folder import FilmFolder
from runtime.outputs.line_file import cannot_write
from runtime.records import Frame

_LONGEST_WORD = 40


@dataclass(slots=True)
class _Stream:
    """Which clip a stream is in.

    Attributes:
        recorder: Of the stream.
        active: Ids of events that last.
        name: Of the newest clip.
        until_s: End of its post-roll, once no event lasts.
    """

    recorder: ClipRecorder
    active: set[str] = field(default_factory=set)
    name: str | None = None
    until_s: float = 0.0


class EventClips:
    """Records each stream around its events, with seconds before and after.

    An event that begins while a clip of its stream is being recorded is in that clip. Names are
    `TIME-LABEL-ID-RUN.mp4`: the event's time in UTC, its label, its id and a random word of the
    run, e.g. `20260131T101500Z-fall-floor-0-17-9f3a.mp4`. What a crash leaves is called
    `....part.mp4` and plays up to its last half second.

    Args:
        settings: Of every stream that is recorded, by its number; the folder and its limit are
            those of all, and it is made if need be.
        live: Of every stream, whether it goes on while it is not read.
        now_s: Wall clock, seconds since 1970.

    Raises:
        OutputError: The folder cannot be made or written to.
    """

    def __init__(
        self,
        settings: Mapping[int, ClipSettings],
        *,
        live: Sequence[bool],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        first = next(iter(settings.values()))
        _prepare(first.folder)
        self._folder, self._limit_bytes = first.folder, first.limit_bytes
        self._settings = settings
        self._now_s = now_s
        self._run = secrets.token_hex(2)
        self._films = FilmFolder(first.folder, first.limit_bytes)
        self._streams = {
            stream: _Stream(ClipRecorder(one, self._films, live=live[stream]))
            for stream, one in settings.items()
        }

    def frame(self, frame: Frame, stream: int) -> None:
        """Take every frame of a stream; its picture must not change afterwards."""
        self._streams[stream].recorder.frame(frame)

    def event(self, change: EventChange) -> str:
        """Begin or end a recording.

        Returns:
            File name of the clip in which the event is, or will be.
        """
        event = change.event
        state, settings = self._streams[event.stream], self._settings[event.stream]
        if change.kind == "start":
            if state.name is None or not (state.active or change.time_s <= state.until_s):
                state.name = self._name(change)
            state.active.add(event.id)
            state.recorder.begin(state.name, event.start_s - settings.pre_roll_s)
        else:
            state.active.discard(event.id)
            if not state.active:
                state.until_s = change.time_s + settings.post_roll_s
                state.recorder.stop(state.until_s)
        return f"{state.name}.mp4"

    def interrupted(self, stream: int) -> None:
        """A stream broke off: its film is completed now."""
        self._streams[stream].recorder.interrupt()

    def close(self, *, grace_s: float) -> None:
        """Complete all clips; what is not coded within `grace_s` is not in them."""
        deadline_s = time.monotonic() + grace_s
        for state in self._streams.values():  # all at once
            state.recorder.close(grace_s=0.0)
        for state in self._streams.values():
            state.recorder.close(grace_s=max(0.0, deadline_s - time.monotonic()))

    def notes(self) -> tuple[str, ...]:
        """What is to be said at the end."""
        found = []
        written = sum(one.recorder.written for one in self._streams.values())
        if written:
            found.append(f"clips: {written} in {self._folder}")
        limit = self._limit_bytes
        if self._films.removed and limit is not None:
            found.append(
                f"clips: {self._films.removed} oldest removed, to stay below {size_in_words(limit)}"
            )
        left_out = sum(one.recorder.left_out for one in self._streams.values())
        if left_out:
            found.append(f"clips: {left_out} frames left out, this machine was too busy")
        unfinished = sum(one.recorder.unfinished for one in self._streams.values())
        if unfinished:
            found.append(f"clips: no time to finish {unfinished}, left as .part.mp4, which plays")
        failed = sum(one.recorder.failed for one in self._streams.values())
        if failed:
            found.append(f"clips: {failed} not recorded, or not completely")
        return tuple(found)

    def _name(self, change: EventChange) -> str:
        event = change.event
        began_s = self._now_s() - max(0.0, change.time_s - event.start_s)
        at = datetime.fromtimestamp(began_s, timezone.utc)
        return f"{at:%Y%m%dT%H%M%SZ}-{_word(event.label)}-{event.id}-{self._run}"


def _word(text: str) -> str:
    """Letters, digits and dashes that say roughly the same; never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_WORD].strip("-") or "event"


def _prepare(folder: Path) -> None:
    probe = folder / f".{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except ValueError as error:
        raise OutputError(f"{str(folder)!r} is no folder: {error}.") from error
    except OSError as error:
        raise cannot_write(folder, error) from error
