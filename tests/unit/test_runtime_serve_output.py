from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="needs the extra serve")

from runtime.events import Event, EventChange
from runtime.outputs import EventNews
from runtime.records import SourceEvent, SourceEventKind
from runtime.serve.address import address_from_text
from runtime.serve.output import PageOutput
from runtime.serve.server import WatchServer
from runtime.serve.troubles import Troubles
from tests.boards import Clock, board, frame, prediction
from tests.http_client import request


def _event(**more: object) -> Event:
    given = {"id": "0-1", "label": "wave", "start_s": 2.0, "peak": 0.8, "peak_s": 2.0, **more}
    return Event(**given)  # type: ignore[arg-type]


def test_what_the_page_is_told() -> None:
    clock = Clock(1000.0)
    shown = board()
    output = PageOutput(shown, WatchServer(shown, address_from_text(":0"), None), wall_clock=clock)
    with output:
        output.prediction(prediction())
        output.frame(frame(4), 0)
        output.event(EventNews(change=EventChange(kind="start", event=_event(), time_s=2.0)))
        clock.now_s += 3
        ended = _event(end_s=5.0, ended="reset", peak=0.9)
        change = EventChange(kind="end", event=ended, time_s=5.0)
        output.event(EventNews(change=change, clip="0-1-wave.mp4"))
        (event,) = shown.events_after(0)[1]
        assert (event.at_s, event.end_s, event.peak) == (1000.0, 5.0, 0.9)
        assert event.text == "cut short by a gap, film 0-1-wave.mp4"
        assert shown.watch(0)[0] == 1
        assert request(output.port, "/state").status == 200
    assert shown.closed
    assert output.notes() == ()


def test_a_gap_is_shown() -> None:
    clock = Clock(1000.0)
    shown = board(("a", "b"))
    with PageOutput(
        shown, WatchServer(shown, address_from_text(":0"), None), wall_clock=clock
    ) as output:
        output.prediction(prediction(end_s=10.0))
        output.prediction(prediction(end_s=3.0, stream=1, resets=2))
        output.prediction(prediction(end_s=16.0, resets=1))
        output.prediction(prediction(end_s=17.0, resets=1))
        (event,) = shown.events_after(0)[1]
    assert (event.kind, event.label, event.stream, event.peak) == ("source", "gap", 0, None)
    assert (event.start_s, event.end_s, event.at_s) == (10.0, 14.0, 994.0)


def befell(kind: SourceEventKind, time_s: float, **more: Any) -> SourceEvent:
    troubles = ("lost", "silent", "frozen", "black", "gave_up")
    given = {"text": f"{kind}!", "delivers": kind not in troubles, "breaks": kind == "lost", **more}
    return SourceEvent(kind=kind, time_s=time_s, at_s=900.0 + time_s, **given)


def test_a_trouble_is_one_event_from_its_beginning_to_its_end() -> None:
    shown = board(("a", "b"))
    with PageOutput(shown, WatchServer(shown, address_from_text(":0"), None)) as output:
        output.prediction(prediction(end_s=10.0))
        output.source_event(befell("lost", 10.0), 0)
        assert not shown.now(0).ok
        assert shown.now(0).text == "lost!"
        assert shown.watch(0)[2] == ()
        (lost,) = shown.events_after(0)[1]
        assert (lost.label, lost.start_s, lost.end_s, lost.at_s) == ("lost", 10.0, None, 910.0)
        output.source_event(befell("lost", 12.0, text="refused"), 0)
        output.source_event(befell("file", 12.0, text="b.mp4"), 1)
        assert shown.now(1).ok
        assert shown.now(1).text == "b.mp4"
        output.source_event(befell("back", 14.0, lasted_s=4.0, text="back after 4 s"), 0)
        assert shown.now(0).ok
        assert shown.now(0).text == ""
        output.prediction(prediction(end_s=17.0, resets=1))  # the event tells of the gap
        output.source_event(befell("frozen", 20.0), 0)
        output.source_event(befell("lost", 30.0), 0)
        output.source_event(befell("resolution", 1.0), 1)
        told = shown.events_after(0)[1]
    assert [(one.label, one.start_s, one.end_s) for one in told] == [
        ("lost", 10.0, 14.0),
        ("frozen", 20.0, 30.0),
        ("lost", 30.0, None),
        ("resolution", 1.0, 1.0),
    ]
    assert told[0].text == "back after 4 s"
    counted = shown.event_counts()
    assert counted[(0, "source", "lost")] == 2
    assert counted[(0, "source", "frozen")] == 1


def test_the_end_of_a_trouble_whose_beginning_was_not_seen() -> None:
    (event,) = Troubles().events(befell("picture", 9.0, lasted_s=5.0), 0)
    assert (event.start_s, event.end_s, event.at_s) == (4.0, 9.0, 904.0)
