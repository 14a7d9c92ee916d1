"""Whether the pictures of a live source are worth looking at: not frozen, not black.

Pure: times are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from runtime.records import Picture, SourceEvent, SourceEventKind

LOOK_EVERY_S = 1.0

_ROWS = 256
"""About so many rows are compared, in full: the digits of a clock in the picture are higher than
what lies between them."""

_NOISE = 2
_NOISY_SHARE = 0.03
"""A picture is another one when 3 % of its values are off by more than 2 of 255 levels from the
look before: the noise of a sensor changes more, even after a video encoder has smoothed it (5 to
30 % from one key frame to the next). Of a picture that an encoder repeats, up to 2 % change at
key frames, once the encoder has settled, and more only over many of them."""

_CLEAR = 24
_CLEAR_VALUES = 8
"""Or when 8 values are off by more than 24 levels from the last change: something small moves, or
slowly."""

_DARK = 32
_DARK_STEP = 8
_DARK_SHARE = 0.98
_LIT_SHARE = 0.95
"""A picture is black when 98 % of its values are at most 32 of 255; the rest may be lettering. It
is no longer when fewer than 95 % are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureLimits:
    """When pictures count as bad.

    Attributes:
        frozen_s: Seconds without any change, not even noise; None for never.
        black_s: Seconds of black.
    """

    frozen_s: float | None = 20.0
    black_s: float = 3.0


class PictureHealth:
    """Tells when the picture of a source freezes or goes black, and when it is good again.

    Looks once a second. Frozen is what repeats the same picture: a hung camera, a recorder that
    serves its last one. A scene in which nothing moves is not, as long as the noise of the sensor
    comes through. A black picture that also does not change is black.

    Args:
        limits: When pictures count as bad.
    """

    def __init__(self, limits: PictureLimits) -> None:
        self._limits = limits
        self.restart()

    def restart(self) -> None:
        """Forget the pictures so far, and what was wrong with them."""
        self._seen: Picture | None = None
        self._still: Picture | None = None
        self._trouble: Literal["frozen", "black"] | None = None
        self._trouble_since_s = 0.0
        self._looked_s: float | None = None
        self._still_since_s = 0.0
        self._dark_since_s: float | None = None

    def due(self, time_s: float) -> bool:
        """Whether it is time for a look."""
        return self._looked_s is None or time_s - self._looked_s >= LOOK_EVERY_S

    def look(self, picture: Picture, *, time_s: float, at_s: float) -> tuple[SourceEvent, ...]:
        """Look at a picture.

        Args:
            picture: RGB uint8 [H, W, 3]; only lent.
            time_s: Its time; not before that of the look before.
            at_s: Seconds since 1970, for the event.

        Returns:
            An event where something has changed: `frozen`, `black` or `picture`.
        """
        self._looked_s = time_s
        if self._changed(picture):
            self._still_since_s = time_s
        dark_share = _LIT_SHARE if self._trouble == "black" else _DARK_SHARE
        dark = _share_of_dark(picture) >= dark_share
        since_s = time_s if self._dark_since_s is None else self._dark_since_s
        self._dark_since_s = since_s if dark else None
        return self._turned(self._state(time_s), dark, time_s=time_s, at_s=at_s)

    def _changed(self, picture: Picture) -> bool:
        """Whether it shows more difference than a repetition does."""
        rows = picture[:: max(1, picture.shape[0] // _ROWS)].copy()
        seen, still = self._seen, self._still
        self._seen = rows
        if (
            seen is not None
            and still is not None
            and seen.shape == rows.shape
            and _off_by_more(rows, seen, _NOISE) <= _NOISY_SHARE * rows.size
            and _off_by_more(rows, still, _CLEAR) < _CLEAR_VALUES
        ):
            return False
        self._still = rows
        return True

    def _state(self, time_s: float) -> Literal["frozen", "black"] | None:
        if self._dark_since_s is not None and (
            self._trouble == "black" or time_s - self._dark_since_s >= self._limits.black_s
        ):
            return "black"
        frozen_s = self._limits.frozen_s
        if frozen_s is not None and time_s - self._still_since_s >= frozen_s:
            return "frozen"
        return None

    def _turned(
        self, state: Literal["frozen", "black"] | None, dark: bool, *, time_s: float, at_s: float
    ) -> tuple[SourceEvent, ...]:
        """The event of a change of state."""
        if state == self._trouble or (state is None and dark):
            # What moves again and is dark is either black in a moment, or good.
            return ()
        lasted_s = None
        kind: SourceEventKind = "picture"
        if state is None:
            lasted_s = time_s - self._trouble_since_s
            again = "moves again" if self._trouble == "frozen" else "is no longer black"
            text = f"the picture {again}, after {lasted_s:.0f} s"
        else:
            kind = state
            since_s = self._dark_since_s if state == "black" else self._still_since_s
            self._trouble_since_s = time_s if since_s is None else since_s
            bad_s = time_s - self._trouble_since_s
            what = "has been black" if state == "black" else "has not changed at all"
            text = f"the picture {what} for {bad_s:.0f} s"
        self._trouble = state
        event = SourceEvent(
            kind=kind,
            text=text,
            time_s=time_s,
            at_s=at_s,
            delivers=state is None,
            breaks=False,
            lasted_s=lasted_s,
        )
        return (event,)


def _off_by_more(rows: Picture, others: Picture, levels: int) -> int:
    """How many values of two pictures, uint8 of one shape, are further apart than `levels`."""
    difference = np.maximum(rows, others)
    difference -= np.minimum(rows, others)
    return int(np.count_nonzero(difference > levels))


def _share_of_dark(picture: Picture) -> float:
    few = picture[::_DARK_STEP, ::_DARK_STEP]
    return float(np.count_nonzero(few <= _DARK)) / few.size
