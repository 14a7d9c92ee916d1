"""What outputs make of a step of the ladder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge_cli.render import FILE_FORMATS, FORMATS, RunHeader
from runtime.degrade import Rung, Step
from runtime.degrade.news import DegradeNews, step_in_words
from runtime.serve import feed
from runtime.serve.metrics import metrics_text
from tests.boards import board, prediction

DOWN = Step(
    direction="down",
    before=Rung(1, 0),
    after=Rung(2, 0),
    level=1,
    why="queued",
    age_ms=412.3,
    cost_ms=250.0,
)
NEWS = DegradeNews(
    step=DOWN, at_s=1_700_000_000.0, limit_ms=300.0, model="m", precision="fp32", text="late"
)
HEADER = RunHeader(facts={}, labels=("a", "b"), top_k=1, sources=("camera0",))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (DOWN, "results are 412 ms old, more than 300 ms: every 2nd window from now on (level 1)"),
        (
            replace(DOWN, before=Rung(2, 0), after=Rung(4, 0), level=2),
            "results are 412 ms old, more than 300 ms: every 4th window from now on (level 2)",
        ),
        (
            replace(DOWN, after=Rung(1, 1), why="slow"),
            "results are 412 ms old, more than 300 ms: int8 from now on (level 1)",
        ),
        (
            replace(DOWN, direction="up", before=Rung(2, 1), after=Rung(1, 1), why="room"),
            "results are 412 ms old, there is room: every window again (level 1)",
        ),
        (
            replace(DOWN, direction="up", before=Rung(1, 0), after=Rung(1, 1), why="no_gain"),
            "fp32 is no quicker here, 250 ms: int8 again (level 1)",
        ),
        (
            replace(DOWN, direction="stays", after=Rung(1, 0), level=0, why="nothing_left"),
            "results are 412 ms old, more than 300 ms, and there is no step left that would help"
            " (level 0)",
        ),
    ],
)
def test_words(step: Step, words: str) -> None:
    assert step_in_words(step, limit_ms=300.0, before="fp32", after="int8") == words


def test_formats() -> None:
    for name, renderer in {**FORMATS, **FILE_FORMATS}.items():
        line = renderer(HEADER).degraded(NEWS)
        if "jsonl" not in name:
            assert line == ""
            continue
        assert json.loads(line) == {
            "type": "degrade",
            "direction": "down",
            "why": "queued",
            "level": 1,
            "every": 2,
            "model": "m",
            "precision": "fp32",
            "at": "2023-11-14T22:13:20.000Z",
            "age_ms": 412.3,
            "cost_ms": 250.0,
            "max_latency_ms": 300.0,
            "text": "late",
        }


def test_page_shows_the_level_and_metrics_count_it() -> None:
    pytest.importorskip("prometheus_client", reason="needs the extra serve")
    shown = board()
    assert feed.state(shown)["level"] is None
    assert b"edgecls_level" not in metrics_text(shown, lambda kind: 0)[0]
    shown.prediction(prediction(level=0))
    assert feed.state(shown)["level"] == 0
    shown.degraded(2, "late")
    shown.prediction(prediction(1, level=2))
    state = feed.state(shown)
    assert (state["level"], state["level_text"]) == (2, "late")
    assert b"\nedgecls_level 2.0\n" in metrics_text(shown, lambda kind: 0)[0]
