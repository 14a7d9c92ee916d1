"""Options about events and outputs: what goes together, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_cli.event_request import (
    EventRequest,
    OutputFile,
    OutputRequest,
    Smooth,
    output_files,
)
from models.errors import UsageError

LABELS = ("still", "fall", "run")


def test_nothing_asked_for() -> None:
    request = EventRequest()
    assert not request.given
    assert request.smoothing(1.0) is None
    assert not OutputRequest().of_events


@pytest.mark.parametrize(
    "request_",
    [
        EventRequest(on=("0.4",)),
        EventRequest(off=("0.4",)),
        EventRequest(least=("0",)),
        EventRequest(cooldown=("fall=1",)),
        EventRequest(until=("fall",)),
    ],
)
def test_every_option_asks_for_events(request_: EventRequest) -> None:
    assert request_.given
    assert any(request_.rules(LABELS))


def test_smoothing_over_four_strides() -> None:
    smoothing = EventRequest(smooth=Smooth.VOTE).smoothing(1.25)
    assert smoothing is not None
    assert (smoothing.kind, smoothing.span_s) == ("vote", 5.0)
    smoothing = EventRequest(smooth=Smooth.EMA, span_s=2.0).smoothing(1.25)
    assert smoothing is not None
    assert smoothing.span_s == 2.0


def test_options_without_the_other() -> None:
    with pytest.raises(UsageError, match="without --smooth"):
        EventRequest(span_s=1.0)
    with pytest.raises(UsageError, match="more than 0 seconds"):
        EventRequest(smooth=Smooth.EMA, span_s=-1.0).smoothing(1.0)
    with pytest.raises(UsageError, match="--pre-roll has no meaning"):
        OutputRequest(pre_roll_s=1.0)
    with pytest.raises(UsageError, match="0 to 600"):
        OutputRequest(clips=Path("c"), pre_roll_s=float("nan"))


def test_until_needs_a_class_with_events() -> None:
    with pytest.raises(UsageError, match="--until names 'fell'"):
        EventRequest(until=("fell",)).rules(LABELS)
    with pytest.raises(UsageError, match="--until waits for 'fall'"):
        EventRequest(until=("fall",), on=("run=0.3",)).rules(LABELS)


def test_output_files() -> None:
    assert output_files(["jsonl:a.jsonl", "events-csv:C:/b.csv"]) == (
        OutputFile(kind="jsonl", path=Path("a.jsonl")),
        OutputFile(kind="events-csv", path=Path("C:/b.csv")),
    )
    assert OutputRequest(files=output_files(["events-jsonl:x"])).of_events
    with pytest.raises(UsageError, match="twice"):
        OutputRequest(files=output_files(["jsonl:x", "csv:./x"]))
    with pytest.raises(UsageError, match="same address"):
        OutputRequest(webhooks=("http://a/", "http://a/"))


@pytest.mark.parametrize("word", ["", "x", "jsonl", "jsonl:", ":x", "xml:x", "JSONL:x"])
def test_words_that_are_no_output(word: str) -> None:
    with pytest.raises(UsageError, match="KIND:FILE"):
        output_files([word])
