"""Events as text, JSON and CSV; files that are gone on with; queues by address."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Literal

import pytest

from edge_cli.outputs.deliveries import DeliveredEvents, _queue_path
from edge_cli.outputs.lines import FileLines
from edge_cli.render import FILE_FORMATS, FORMATS, RunHeader
from models.errors import OutputError
from runtime.events import Event, EventChange
from runtime.outputs import EventNews
from runtime.outputs.event_record import EVENT_FIELDS
from runtime.outputs.line_file import Sync, WhenFull
from runtime.records import Latency, Prediction, ScoredLabel, SourceEvent, SourceEventKind

LABELS = ("still", "fall", "run")


def header(*, top_k: int = 2, sources: tuple[str, ...] = ("door.mp4",)) -> RunHeader:
    facts = {"edgecls": "1.0", "model": "tiny"}
    return RunHeader(facts=facts, labels=LABELS, top_k=top_k, sources=sources)


def news(*, ended: Literal["below", "reset", "end"] | None = None, stream: int = 0) -> EventNews:
    event = Event(
        id=f"{stream}-1",
        label="fall",
        start_s=2.0,
        peak=0.91234567,
        peak_s=3.0,
        end_s=None if ended is None else 5.25,
        ended=ended,
        stream=stream,
        source="door.mp4",
    )
    kind: Literal["start", "end"] = "start" if ended is None else "end"
    return EventNews(
        change=EventChange(kind=kind, event=event, time_s=5.25),
        began_at_s=1.7e9 + 0.25,
        clip="film.mp4",
    )


def befell(kind: SourceEventKind) -> SourceEvent:
    return SourceEvent(
        kind=kind,
        text="no picture for 5 s",
        time_s=12.34567,
        at_s=1.7e9,
        delivers=kind in ("file", "back"),
        breaks=True,
        lasted_s=4.5 if kind == "back" else None,
    )


def window(*probabilities: float) -> Prediction:
    return Prediction(
        index=0,
        start_s=1.0,
        end_s=2.0,
        top=tuple(
            ScoredLabel(label=label, probability=p)
            for label, p in zip(LABELS, probabilities, strict=False)
        ),
        latency=Latency(decode_ms=1.0, preprocess_ms=1.0, infer_ms=1.0),
        frame_age_ms=None,
        dropped=None,
    )


def test_text_of_events() -> None:
    text = FORMATS["text"](header())
    assert text.event(news()) == "            2.0 s  EVENT fall began, 91.2 %\n"
    ended = "            5.2 s  EVENT fall ended after 3.2 s, peak 91.2 %"
    assert text.event(news(ended="below")) == f"{ended}\n"
    assert text.event(news(ended="reset")) == f"{ended} (gap)\n"
    assert text.event(news(ended="end")) == f"{ended} (end of the run)\n"
    several = FORMATS["text"](header(sources=("a/door.mp4", "yard.mp4")))
    assert several.event(news(stream=1)).startswith("yard.mp4  ")


def test_json_and_csv_of_events() -> None:
    for kind in ("jsonl", "events-jsonl"):
        line = FILE_FORMATS[kind](header()).event(news(ended="below"))
        assert line.endswith("}\n")
        record = json.loads(line)
        assert record.pop("type") == "event"
        assert tuple(record) == EVENT_FIELDS
        assert record["peak"] == 0.912346
        assert record["began_at"] == "2023-11-14T22:13:20.250Z"
        assert (record["start_s"], record["end_s"], record["ended"]) == (2.0, 5.25, "below")
    assert FILE_FORMATS["csv"](header()).event(news()) == ""
    rows = FILE_FORMATS["events-csv"](header())
    names, values = csv.reader((rows.opening() + rows.event(news())).splitlines())
    assert tuple(names) == EVENT_FIELDS
    assert dict(zip(names, values, strict=True))["end_s"] == ""
    for kind in ("events-jsonl", "events-csv"):
        assert FILE_FORMATS[kind](header()).window(window(0.5)) == ""


def file_lines(path: Path, kind: str, *, top_k: int = 2) -> FileLines:
    return FileLines(
        path,
        kind,
        FILE_FORMATS[kind](header(top_k=top_k)),
        top_k=(top_k,),
        sync=Sync.EVENTS,
        when_full=WhenFull.FAIL,
    )


@pytest.mark.parametrize("kind", FILE_FORMATS)
def test_a_second_run_goes_on_in_the_same_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "out"
    for _ in range(2):
        output = file_lines(path, kind)
        output.prediction(window(0.5, 0.3, 0.2))
        output.event(news())
        output.close(grace_s=0.0)
        assert output.notes() == ()
    text = path.read_text()
    lines = text.splitlines()
    assert text.endswith("\n")
    if "csv" in kind:
        rows = list(csv.reader(lines))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) == 3  # names once
    elif "jsonl" in kind:
        types = [json.loads(line)["type"] for line in lines]
        one = ["header", "event"] if kind == "events-jsonl" else ["header", "window", "event"]
        assert types == one * 2
        tops = [json.loads(line).get("top", [0, 0]) for line in lines]
        assert {len(top) for top in tops} == {2}
    else:
        assert len(lines) == 4


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out"
    file_lines(path, "csv").close(grace_s=0.0)
    before = path.read_bytes()
    for kind, top_k in (("jsonl", 2), ("events-csv", 2), ("csv", 1)):
        with pytest.raises(OutputError, match="holds something else"):
            file_lines(path, kind, top_k=top_k)
    assert path.read_bytes() == before


def test_queues_are_named_by_address_without_secrets() -> None:
    folder = Path("q")
    one = _queue_path(folder, "https://user:p4ss@host.org:99/T0KEN?a=b")
    assert one == _queue_path(folder, "https://user:other@host.org:99/T0KEN?a=b")
    assert one != _queue_path(folder, "https://user:p4ss@host.org:99/other")
    assert one.name.startswith("https-host.org-99-")
    for secret in ("p4ss", "T0KEN", "user"):
        assert secret not in one.name
    strange = _queue_path(folder, "http://ho/../st\x00/\udcff")
    assert strange.parent == folder


class Posted:
    """A courier that keeps what it is given."""

    def __init__(self) -> None:
        self.posted: list[dict[str, object]] = []

    def post(self, body: bytes, *, id: str) -> None:  # noqa: A002
        self.posted.append({**json.loads(body), "id_given": id})


def test_what_befalls_a_source_is_delivered() -> None:
    courier = Posted()
    output = DeliveredEvents(courier, model="tiny", run="r1", sources=("door", "yard"))  # type: ignore[arg-type]
    for kind in ("silent", "file", "loop", "back"):
        output.source_event(befell(kind), 1)
    silent, back = courier.posted
    assert silent["type"] == "source"
    assert silent["delivery"] == silent["id_given"]
    assert (silent["change"], silent["source"], silent["stream"]) == ("silent", "yard", 1)
    assert (silent["model"], silent["run"], silent["delivers"]) == ("tiny", "r1", False)
    assert (back["change"], back["lasted_s"], back["delivers"]) == ("back", 4.5, True)


@pytest.mark.parametrize("kind", ["jsonl", "events-jsonl"])
def test_what_befalls_a_source_as_json(kind: str) -> None:
    line = FILE_FORMATS[kind](header()).source_event(befell("lost"), 0)
    assert json.loads(line) == {
        "type": "source",
        "change": "lost",
        "stream": 0,
        "source": "door.mp4",
        "time_s": 12.346,
        "at": "2023-11-14T22:13:20.000Z",
        "delivers": False,
        "breaks": True,
        "lasted_s": None,
        "text": "no picture for 5 s",
    }


@pytest.mark.parametrize("kind", ["text", "csv", "events-csv"])
def test_what_befalls_a_source_is_no_row(kind: str) -> None:
    assert FILE_FORMATS[kind](header()).source_event(befell("lost"), 0) == ""
