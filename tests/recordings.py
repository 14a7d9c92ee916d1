"""Recordings of streams that have it all: gaps, epochs, other sizes, drops, events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from runtime.closing import ClosesOnExit
from runtime.recording.entries import Opening
from runtime.records import Frame, Picture, SourceCounts, SourceEvent, SourceEventKind
from runtime.sources import Wanted, only_frames


def opening(*, live: bool = True) -> Opening:
    """The first entry of a recording."""
    return Opening(
        edgecls="1.0",
        source="fake",
        description="a fake camera",
        live=live,
        fps=30.0,
        duration_s=None,
        began_at_s=1_700_000_000.25,
    )


def noise(seed: int, *, width: int = 64, height: int = 48) -> Picture:
    """A picture of which no bit can be guessed."""
    shape = (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def shown(index: int, time_s: float, *, epoch: int = 0, picture: Picture | None = None) -> Frame:
    """A frame of noise."""
    return Frame(
        picture=noise(index) if picture is None else picture,
        index=index,
        time_s=time_s,
        arrived_s=time_s,
        decode_ms=0.0,
        epoch=epoch,
    )


def befell(kind: SourceEventKind, time_s: float, *, delivers: bool, breaks: bool) -> SourceEvent:
    """Something that befell a source."""
    return SourceEvent(
        kind=kind,
        text=f"{kind} at {time_s:.3f} s",
        time_s=time_s,
        at_s=1_700_000_000.0 + time_s,
        delivers=delivers,
        breaks=breaks,
        lasted_s=3.5 if kind == "back" else None,
    )


@dataclass
class FaultyCamera(ClosesOnExit):
    """A live source with drops, broken pictures, gaps, epochs and other sizes, as a script.

    Args:
        seconds: How long it lasts.
        seed: Of the faults.
        small: Width and height of its pictures.
        large: The same after every other outage.
    """

    seconds: float = 12.0
    seed: int = 0
    small: tuple[int, int] = (64, 48)
    large: tuple[int, int] = (80, 62)
    live: bool = field(default=True, init=False)
    description: str = field(default="a faulty camera", init=False)
    fps: float | None = field(default=30.0, init=False)
    duration_s: float | None = field(default=None, init=False)
    counts: SourceCounts = field(default_factory=SourceCounts, init=False)
    interrupted: bool = field(default=False, init=False)

    def __iter__(self) -> Iterator[Frame]:
        """All frames."""
        return only_frames(self.frames())

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        """Thirty pictures a second that jitter, one in ten lost, and an outage every 4 s."""
        random = np.random.default_rng(self.seed)
        epoch, outage_s, size = 0, 4.0, self.small
        time_s = 0.0123
        for index in range(round(self.seconds * 30)):
            if self.interrupted:
                return
            time_s += float(random.uniform(0.02, 0.0467))
            if time_s > outage_s:
                yield befell("lost", time_s, delivers=False, breaks=True)
                time_s += float(random.uniform(0.3, 2.5))
                outage_s, epoch = time_s + 4.0, epoch + 1
                size = self.large if epoch % 2 else self.small
                yield befell("back", time_s, delivers=True, breaks=False)
            chance = float(random.uniform())
            needed = wanted is None or wanted(time_s)
            now = replace(self.counts, received=self.counts.received + 1)
            if not needed:
                self.counts = replace(now, skipped=now.skipped + 1)
            elif chance < 0.1:
                self.counts = replace(now, dropped=now.dropped + 1)
            elif chance < 0.15:
                self.counts = replace(now, broken=now.broken + 1)
            else:
                self.counts = replace(now, delivered=now.delivered + 1)
                picture = noise(index, width=size[0], height=size[1])
                yield shown(index, time_s, epoch=epoch, picture=picture)

    def interrupt(self) -> None:
        """Let `frames` end."""
        self.interrupted = True

    def close(self) -> None:
        """Nothing is held."""
