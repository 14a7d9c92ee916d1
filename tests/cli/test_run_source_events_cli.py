"""What befalls a source, in every output of a run, and what is told at its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.errors import SourceError
from runtime.records import Frame, SourceEvent, SourceEventKind
from runtime.sources import Wanted, open_source
from tests.cli.command import NEEDS_ENGINES
from tests.cli.in_process import called
from tests.fakes import FakeSource
from tests.webhook_server import WebhookServer

av = pytest.importorskip("av", reason="needs PyAV")

pytestmark = NEEDS_ENGINES

LOST_S = 4.0
BACK_S = 7.0


def befell(kind: SourceEventKind, time_s: float, *, breaks: bool = True) -> SourceEvent:
    good = kind in ("back", "picture")
    return SourceEvent(
        kind=kind,
        text=f"it is {kind}",
        time_s=time_s,
        at_s=1.7e9 + time_s,
        delivers=good,
        breaks=breaks,
        lasted_s=BACK_S - LOST_S if good else None,
    )


def story() -> list[Frame | SourceEvent]:
    """Ten seconds of the demo, as a camera would give them that is lost for three."""
    items: list[Frame | SourceEvent] = []
    with open_source("demo") as demo:
        for frame in demo:
            assert isinstance(frame, Frame)
            if LOST_S <= frame.time_s < BACK_S:
                continue
            if frame.time_s >= BACK_S and len(items) and not isinstance(items[-1], SourceEvent):
                last = items[-1]
                if last.epoch == 0:
                    items += [befell("lost", LOST_S), befell("back", BACK_S)]
            if frame.time_s > 10:
                break
            items.append(replace(frame, epoch=int(frame.time_s >= BACK_S)))
    return items


class Camera(FakeSource):
    """Live; fails at its end, if it is told to."""

    description = "camera0 (320x240, 25 fps)"

    def __init__(self, *, failure: str = "") -> None:
        super().__init__(story(), live=True)
        self._failure = failure

    def frames(self, wanted: Wanted | None = None) -> Iterator[Frame | SourceEvent]:
        yield from super().frames(wanted)
        if self._failure:
            raise SourceError(self._failure)


def run(
    monkeypatch: pytest.MonkeyPatch, *words: object, failure: str = "", code: int = 0
) -> tuple[list[dict[str, Any]], str]:
    """Lines of JSON, and stderr."""
    monkeypatch.setattr(
        "runtime.opened_sources.open_source", lambda uri, options: Camera(failure=failure)
    )
    done = called(
        *("run", "--source", "camera0", "--backend", "cpu", "--precision", "fp32"),
        *("--format", "jsonl", *words),
        monkeypatch=monkeypatch,
    )
    assert done.code == code, done.err
    return [json.loads(line) for line in done.out.splitlines()], done.err


def accounted(end: dict[str, Any]) -> bool:
    """Whether every frame became one thing."""
    (stream,) = end["streams"]
    kinds = ("used", "unused", "watched", "waiting", "skipped", "dropped", "broken")
    return bool(stream["received"] == sum(stream[kind] for kind in kinds))


def label_shown(picture: np.ndarray[Any, Any]) -> bool:
    """Whether the darkened band of the label is along the lower edge."""
    height = picture.shape[0]
    return bool(picture[int(height * 0.95) :].mean() < 0.6 * picture[: height // 2].mean())


def test_every_output_hears_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with WebhookServer() as server:
        lines, err = run(
            monkeypatch,
            *("--on", "0.2", "--save", tmp_path / "all.mp4", "--webhook", server.url),
            *("--output", f"events-jsonl:{tmp_path}/e.jsonl", "--output", f"csv:{tmp_path}/c.csv"),
            *("--record-events", tmp_path / "films", "--record-limit", "10GB"),
        )
    header, *told, end = lines
    assert header["type"] == "header"
    sources = [line for line in told if line["type"] == "source"]
    assert [(one["change"], one["delivers"], one["lasted_s"]) for one in sources] == [
        ("lost", False, None),
        ("back", True, 3.0),
    ]
    assert "camera0: it is lost" in err
    # Events end where the source broke off, and before it is told.
    lost = told.index(sources[0])
    ended = [line for line in told[:lost] if line["type"] == "event" and line["kind"] == "end"]
    assert ended[-1]["ended"] == "reset"
    # No window holds frames of before and after; a grid begins up to an interval before its frames.
    windows = [line for line in told if line["type"] == "window"]
    spans = [(one["start_s"], one["end_s"]) for one in windows]
    assert not [span for span in spans if span[1] > LOST_S + 0.13 and span[0] < BACK_S - 0.13]
    assert max(spans) > (BACK_S + 1, BACK_S + 2)
    events = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()]
    assert events == [line for line in lines if line["type"] != "window"]
    sent = [one for one in server.accepted if one["type"] == "source"]
    assert [one["change"] for one in sent] == ["lost", "back"]
    rows = (tmp_path / "c.csv").read_text().splitlines()
    assert len(rows) == 1 + len(windows)
    assert (end["type"], end["reason"], end["windows"]) == ("end", "ended", len(windows))
    assert end["streams"][0]["gaps"] == 1
    assert accounted(end)
    films = sorted(path.name for path in (tmp_path / "films").iterdir())
    assert not [name for name in films if ".part" in name]
    # Pictures behind the break bear no label until there is a result about them.
    with av.open(str(tmp_path / "all.mp4")) as film:
        pictures = [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in film.decode(video=0)
        ]
    at = {round(time_s, 1): label_shown(picture) for time_s, picture in pictures}
    assert at[3.5]
    assert not at[BACK_S + 0.3]
    assert at[9.5]


def test_why_a_run_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    *_, limit = run(monkeypatch, "--max-windows", 5)[0]
    assert (limit["reason"], limit["windows"]) == ("limit", 5)
    assert accounted(limit)
    lines, err = run(monkeypatch, "--on", "0.2", failure="camera0 is gone.", code=4)
    *_, event, gave_up, end = lines
    assert (event["kind"], event["ended"]) == ("end", "reset")
    assert (gave_up["change"], gave_up["text"]) == ("gave_up", "camera0 is gone.")
    assert (end["type"], end["reason"]) == ("end", "failed")
    assert accounted(end)
    assert "summary: " in err
    assert "error: camera0 is gone." in err


def test_a_full_disk_ends_the_film_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([10**9] * 3)
    monkeypatch.setattr(
        "runtime.annotate.shutil.disk_usage", lambda folder: SimpleNamespace(free=next(free, 1000))
    )
    lines, err = run(monkeypatch, "--save", tmp_path / "all.mp4")
    assert lines[-1]["reason"] == "ended"
    assert "all.mp4 ends after 3.8 s: only 0.0 MB are left on that disk" in err
    assert [path.name for path in tmp_path.iterdir()] == ["all.mp4"]
    with av.open(str(tmp_path / "all.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 96
