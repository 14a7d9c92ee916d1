"""`edgecls run --streams`: streams of one file, each with settings and outputs of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import NEEDS_ENGINES, ROOT
from tests.cli.in_process import called
from tests.webhook_server import WebhookServer

pytestmark = NEEDS_ENGINES

ENGINE = ("--backend", "cpu", "--precision", "fp32")

STREAMS = """\
defaults:
  window: 2
  on: 0.6
  output: jsonl:{folder}/all.jsonl
streams:
  - source: demo
    name: front door
    stride: 0.5
    threshold: 0.2
    top: 3
    webhook: {url}
  - source: demo
    name: yard
    window: 1
    stride: 0.5
    smooth: mean
    smooth-span: 1.5
    on: {{pan left: 0.7}}
    min-duration: {{pan left: 0.4}}
    output: [jsonl:{folder}/all.jsonl, events-jsonl:{folder}/yard.jsonl, csv:{folder}/yard.csv]
    record-events: {folder}/films
    pre-roll: 0.5
  - source: demo
    on: []
    output: []
"""


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def windows_of(lines: list[dict[str, Any]], stream: int) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == "window" and line["stream"] == stream]


def test_every_stream_is_what_its_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WebhookServer() as server:
        path = tmp_path / "shop.yml"
        path.write_text(STREAMS.format(folder=tmp_path, url=server.url))
        words = ("run", "--streams", path, "--format", "jsonl", *ENGINE)
        done = called(*words, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    assert "yard: warning" not in done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    header = lines[0]
    door, yard, plain = header["sources"]
    assert [one["name"] for one in header["sources"]] == ["front door", "yard", "demo"]
    assert [one["source"] for one in header["sources"]] == ["demo"] * 3
    assert (door["window_s"], door["stride_s"], door["top"], door["threshold"]) == (2, 0.5, 3, 0.2)
    assert (yard["window_s"], yard["stride_s"], yard["top"], yard["threshold"]) == (1, 0.5, 5, 0)
    assert (door["smooth"], yard["smooth"]) == (None, {"kind": "mean", "span_s": 1.5})
    assert (door["events"]["on"], door["events"]["min_duration"]) == (["0.6"], [])
    assert yard["events"]["min_duration"] == ["pan left=0.4"]
    assert plain["events"] is None
    assert (header["window_s"], header["grid"]) == (2, door["grid"])
    for number, length_s in enumerate((2, 1, 2)):
        of_stream = windows_of(lines, number)
        assert len(of_stream) > 3
        spans = [round(one["end_s"] - one["start_s"], 6) for one in of_stream]
        assert set(spans) == {length_s}
    assert all(one["source"] == "front door" for one in windows_of(lines, 0))
    tops = [one["top"] for one in windows_of(lines, 0)]
    assert max(map(len, tops)) <= 3
    assert all(scored["probability"] >= 0.2 for top in tops for scored in top)
    assert {len(one["top"]) for one in windows_of(lines, 1)} == {5}
    # Outputs: what the first two streams ask for both, and what each asks for alone.
    both = lines_of(tmp_path / "all.jsonl")
    assert windows_of(both, 0) == windows_of(lines, 0)
    assert windows_of(both, 1) == windows_of(lines, 1)
    assert windows_of(both, 2) == []
    of_yard = lines_of(tmp_path / "yard.jsonl")
    events = [one for one in of_yard if one["type"] == "event"]
    assert {(one["stream"], one["source"], one["label"]) for one in events} == {
        (1, "yard", "pan left")
    }
    films = {one["clip"] for one in events}
    assert {film.name for film in (tmp_path / "films").iterdir()} == films
    rows = (tmp_path / "yard.csv").read_text().splitlines()
    assert len(rows) == 1 + len(windows_of(lines, 1))
    assert server.accepted
    assert {one["source"] for one in server.accepted} == {"front door"}
    # The third has events for nobody.
    assert not any(one["type"] == "event" and one["stream"] == 2 for one in lines)


def test_the_same_as_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that say nothing are sources given one by one; options go before defaults."""
    path = tmp_path / "shop.toml"
    path.write_text(
        "defaults = {stride = 2.0, top = 1}\nstreams = [{source = 'demo'}, {source = 'demo'}]\n"
    )
    options = ("--stride", 1, "--window", 2, "--format", "csv", "--max-windows", 6, *ENGINE)
    of_file = called("run", "--streams", path, *options, monkeypatch=monkeypatch)
    both = ("--source", "demo", "--source", "demo")
    of_words = called("run", *both, "--top", 1, *options, monkeypatch=monkeypatch)
    assert (of_file.code, of_words.code) == (0, 0)
    results = [
        [row.split(",")[:5] for row in done.out.splitlines()] for done in (of_file, of_words)
    ]
    assert len(results[0]) == 7
    assert results[0] == results[1]


@pytest.mark.parametrize("reuse", ["exact", "approx"])
def test_streams_of_different_windows_share_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reuse: str
) -> None:
    """Each gives what it gives alone, in one batch with others or not."""
    cuts = ((2.0, 0.5), (1.0, 0.1))
    path = tmp_path / "shop.yml"
    path.write_text(
        "streams:\n" + "".join(f"- {{source: demo, window: {w}, stride: {s}}}\n" for w, s in cuts)
    )
    options = ("--format", "jsonl", "--reuse", reuse, *ENGINE)
    done = called("run", "--streams", path, *options, monkeypatch=monkeypatch)
    together = [json.loads(line) for line in done.out.splitlines()]
    for number, (window_s, stride_s) in enumerate(cuts):
        words = ("--window", window_s, "--stride", stride_s)
        done = called("run", "--source", "demo", *words, *options, monkeypatch=monkeypatch)
        alone = windows_of([json.loads(line) for line in done.out.splitlines()], 0)
        found = windows_of(together, number)
        assert [one["start_s"] for one in found] == [one["start_s"] for one in alone]
        assert len(alone) > 5
        for one, other in zip(found, alone, strict=True):
            assert [scored["label"] for scored in one["top"]] == [
                scored["label"] for scored in other["top"]
            ]
            assert [scored["probability"] for scored in one["top"]] == pytest.approx(
                [scored["probability"] for scored in other["top"]], abs=1e-5
            )


def test_a_note_names_the_streams_that_it_is_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(
        "defaults: {window: 1}\nstreams:\n- {source: demo, name: a, window: 9}\n"
        "- {source: demo, name: b, stride: 0.3}\n- {source: demo, name: c, stride: 0.3}\n"
    )
    done = called("run", "--streams", path, "--max-windows", 1, *ENGINE, monkeypatch=monkeypatch)
    assert done.code == 0
    assert "\na: warning: windows of 9 s" in f"\n{done.err}"
    assert "\nb, c: stride: " in done.err


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("streams:\n- source: demo\n  on: {fall: 0.5}", [], "line 3: streams[0].on.fall names"),
        ("streams:\n- source: demo\n  until: fall", [], "line 3: streams[0].until names 'fall'"),
        (
            "streams:\n- source: demo\n  min-duration: {pan lef: 3}",
            [],
            "line 3: streams[0].min-duration.pan lef names 'pan lef'",
        ),
        (
            "defaults: {off: 0.9}\nstreams:\n- source: demo\n  on: 0.5",
            [],
            "line 3: streams[0]: off 0.9 is above on 0.5",
        ),
        ("streams:\n- source: demo\n  on: 2", [], "line 2: streams[0]: on is a probability"),
        ("streams:\n- source: demo\n  smooth-span: 2", [], "line 2: streams[0]: smooth-span has"),
        ("streams:\n- source: demo\n  pre-roll: 2", [], "line 2: streams[0]: pre-roll has no"),
        ("streams:\n- source: demo\n  stride: 0.00001", [], "line 2: streams[0]: The stride"),
        (
            "streams:\n- {source: demo, name: a}\n- {source: demo, name: a}",
            [],
            "line 3: streams[1].name is also the name of streams[0]",
        ),
        (
            "streams:\n- {source: demo, output: csv:x}\n- {source: demo, output: jsonl:./x}",
            [],
            "--output names x as csv and as jsonl",
        ),
        (
            "defaults: {record-events: f}\n"
            "streams:\n- {source: demo, record-limit: 1GB}\n- {source: demo}",
            [],
            "--record-limit is another for two streams with films in f",
        ),
        ("streams: [{source: demo}]", ["--source", "demo"], "and so does --source"),
        ("streams: [{source: demo}, {source: demo}]", ["--save", "x.mp4"], "--save writes"),
        (
            "streams: [{source: demo, gap: hold}]",
            ["--sampling", "windowed"],
            "line 1: streams[0]: gap and gap-after are",
        ),
        ("streams: [{source: demo}]", ["--fsync", "always"], "--fsync has no meaning"),
        ("streams: [{source: demo}]", ["--queue-dir", "q"], "--queue-dir has no meaning"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    options: list[str],
    message: str,
) -> None:
    path = tmp_path / "shop.yml"
    path.write_text(content)
    monkeypatch.chdir(tmp_path)
    done = called("run", "--streams", "shop.yml", *options, *ENGINE, monkeypatch=monkeypatch)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""


def test_the_example_of_the_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With demo for its cameras, and classes of the built-in model."""
    text = (ROOT / "docs/cli.md").read_text()
    found = re.search(r"    # shop\.yml\n((?:    .*\n|\n)+)", text)
    assert found
    with WebhookServer() as server:
        content = re.sub(r"(?m)^    ", "", found[1]).replace("https://example.org/hook", server.url)
        content = re.sub(r"source: .*", "source: demo", content).replace("fall floor", "pan left")
        content = re.sub(r".*camera-size: .*\n", "", content)
        (tmp_path / "shop.yml").write_text(content)
        monkeypatch.chdir(tmp_path)
        done = called("run", "--streams", "shop.yml", *ENGINE, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    assert "front door" in done.out
    assert (tmp_path / "door.jsonl").exists()
    assert (tmp_path / "films").is_dir()
