from __future__ import annotations

import pytest

pytest.importorskip("uvicorn", reason="needs the extra serve")

from runtime.events import Event, EventChange
from runtime.outputs import EventNews
from runtime.serve.address import address_from_text
from runtime.serve.output import PageOutput
from runtime.serve.server import WatchServer
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
        assert shown.now(0).tally.frames == 5
        assert request(server_port(output), "/state").status == 200
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


def server_port(output: PageOutput) -> int:
    return output._server.port
