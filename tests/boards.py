"""A board of a run that never was, for the tests of the watch page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runtime.records import Frame, Latency, Picture, Prediction, ScoredLabel, SourceCounts
from runtime.serve.board import BoardEvent, LiveBoard, RunFacts, StreamFacts

FACTS = RunFacts(model="Tiny", engine="fake 1.0 CPU, fp32", version="0.1.0", window_s=2.0)


COUNTS = SourceCounts(received=40, delivered=20, skipped=10, dropped=8, broken=2)


def board(names: Sequence[str] = ("camera0",), *, live: bool = True, **options: Any) -> LiveBoard:
    streams = [StreamFacts(name=name, live=live) for name in names]
    return LiveBoard(FACTS, streams, **{"counts": lambda stream: COUNTS, **options})


def prediction(
    index: int = 0,
    *,
    top: Sequence[tuple[str, float]] = (("wave", 0.75), ("clap", 0.2)),
    stream: int = 0,
    age_ms: float | None = 30.0,
    dropped: int | None = 0,
    end_s: float | None = None,
    **more: Any,
) -> Prediction:
    end_s = index + 2.0 if end_s is None else end_s
    return Prediction(
        index=index,
        start_s=end_s - 2.0,
        end_s=end_s,
        top=tuple(ScoredLabel(label=label, probability=share) for label, share in top),
        latency=Latency(decode_ms=4.0, preprocess_ms=2.0, infer_ms=11.0),
        frame_age_ms=age_ms,
        dropped=dropped,
        stream=stream,
        **more,
    )


def frame(index: int = 0, *, picture: Picture | None = None) -> Frame:
    if picture is None:
        picture = np.full((48, 64, 3), (index * 40) % 256, dtype=np.uint8)
    return Frame(picture=picture, index=index, time_s=index / 10, arrived_s=0.0, decode_ms=1.0)


def event(id_: str = "1", *, end_s: float | None = None, **more: Any) -> BoardEvent:
    given: dict[str, Any] = {
        "stream": 0,
        "kind": "action",
        "label": "wave",
        "at_s": 1000.0,
        "start_s": 3.0,
        "peak": 0.9,
        **more,
    }
    return BoardEvent(id=id_, end_s=end_s, **given)


class Clock:
    """A clock that goes when told."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
