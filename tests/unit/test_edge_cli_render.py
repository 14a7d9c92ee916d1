"""Text, JSON lines and CSV of a window; the summary; words for sizes and preprocessing."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_cli.render import FORMATS, RunHeader, short_names
from edge_cli.summary import Latencies, RunSummary
from edge_cli.words import preprocessing_in_words, size_in_words
from models.spec import ClipSpec, Resize
from runtime.records import Latency, Prediction, ScoredLabel

LABELS = ("still", "pan left", "zoom in")


def header(labels: tuple[str, ...] = LABELS, top_k: int = 2) -> RunHeader:
    return RunHeader(facts={"model": "tiny"}, labels=labels, top_k=top_k, sources=("clip.mp4",))


def window(
    *top: tuple[str, float], start_s: float = 1.2, live: bool = False, infer_ms: float = 11.5
) -> Prediction:
    return Prediction(
        index=3,
        start_s=start_s,
        end_s=start_s + 1,
        top=tuple(ScoredLabel(label=label, probability=p) for label, p in top),
        latency=Latency(decode_ms=2.0, preprocess_ms=0.5, infer_ms=infer_ms),
        frame_age_ms=14.25 if live else None,
        dropped=7 if live else None,
    )


def test_text_line() -> None:
    line = FORMATS["text"](header()).window(window(("pan left", 0.971), ("zoom in", 0.014)))
    assert line == "    1.2-    2.2 s  pan left   97.1 %    12.0 ms  (zoom in 1.4 %)\n"


def test_text_without_second_or_any_class() -> None:
    text = FORMATS["text"](header())
    assert (
        text.window(window(("still", 1.0))) == "    1.2-    2.2 s  still     100.0 %    12.0 ms\n"
    )
    assert text.window(window()) == "    1.2-    2.2 s  -                    12.0 ms\n"


@given(
    labels=st.lists(st.text("abc ", min_size=1, max_size=60), min_size=2, max_size=5),
    start_s=st.floats(0, 80_000),
)
def test_text_columns_never_move(labels: list[str], start_s: float) -> None:
    text = FORMATS["text"](header(tuple(labels)))
    lines = [text.window(window((label, 0.5), start_s=start_s)) for label in labels]
    assert len({line.index(" ms") for line in lines}) == 1
    assert len({line.index(" %") for line in lines}) == 1
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("live", [False, True])
def test_json_line(live: bool) -> None:
    renderer = FORMATS["jsonl"](header())
    assert json.loads(renderer.opening()) == {"type": "header", "model": "tiny"}
    line = renderer.window(window(("pan left", 0.971), live=live))
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "type": "window",
        "stream": 0,
        "source": "clip.mp4",
        "index": 3,
        "start_s": 1.2,
        "end_s": 2.2,
        "top": [{"label": "pan left", "probability": 0.971}],
        "latency_ms": {"decode": 2.0, "preprocess": 0.5, "infer": 11.5},
        "frame_age_ms": 14.25 if live else None,
        "dropped": 7 if live else None,
        "held": None,
        "resets": 0,
        "batch": 1,
        "reused": None,
        "level": None,
        "file": None,
    }


@pytest.mark.parametrize("fmt", ["jsonl", "csv"])
def test_what_is_told_of_streams_and_the_grid(fmt: str) -> None:
    sources = ("a.mp4", "b.mp4")
    renderer = FORMATS[fmt](RunHeader(facts={}, labels=LABELS, top_k=1, sources=sources))
    one = replace(
        window(("still", 0.9)),
        stream=1,
        held=2,
        resets=3,
        batch=4,
        reused=0.123456789,
        level=5,
        file="a2.mp4",
    )
    if fmt == "jsonl":
        fields = json.loads(renderer.window(one))
    else:
        text = renderer.opening() + renderer.window(one)
        (fields,) = csv.DictReader(text.splitlines())
    names = ("stream", "source", "held", "resets", "batch", "reused", "level", "file")
    told = [str(fields[name]) for name in names]
    assert told == ["1", "b.mp4", "2", "3", "4", "0.1235", "5", "a2.mp4"]


def test_text_tells_whose_line_it_is_and_what_the_grid_did() -> None:
    sources = ("/videos/door.mp4", "camera0")
    text = FORMATS["text"](RunHeader(facts={}, labels=LABELS, top_k=1, sources=sources))
    plain, held = (
        window(("still", 1.0)),
        replace(window(("still", 1.0)), held=2, resets=1, stream=1),
    )
    line = "    1.2-    2.2 s  still     100.0 %    12.0 ms"
    assert text.window(plain) == f"door.mp4  {line}\n"
    assert text.window(held) == f"camera0   {line}  [after a gap, 2 held]\n"
    assert text.window(held) == f"camera0   {line}  [2 held]\n"
    of_several = replace(held, file="a2.mp4")
    assert text.window(of_several) == f"camera0   {line}  [a2.mp4, 2 held]\n"
    assert text.window(plain) == f"door.mp4  {line}\n"


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (("demo", "demo"), ("0 demo", "1 demo")),
        (("/a/x.mp4", "/b/x.mp4", "demo"), ("0 x.mp4", "1 x.mp4", "2 demo ")),
        (("C:\\a\\x.mp4", "camera0"), ("x.mp4  ", "camera0")),
        (("a" * 30, "b/"), ("a" * 19 + "…", "b" + " " * 19)),
    ],
)
def test_short_names(sources: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert short_names(sources) == names


def test_csv_rows_are_rectangular_and_quoted() -> None:
    renderer = FORMATS["csv"](header(('a "b", c', "d"), top_k=5))
    text = (
        renderer.opening() + renderer.window(window(('a "b", c', 0.9))) + renderer.window(window())
    )
    rows = list(csv.DictReader(text.splitlines()))
    assert rows[0]["label_1"] == 'a "b", c'
    assert float(rows[0]["probability_1"]) == 0.9
    assert rows[0]["label_2"] == rows[1]["label_1"] == rows[0]["dropped"] == ""
    assert "label_3" not in rows[0], "no more columns than classes"
    assert None not in rows[0]


def test_summary() -> None:
    summary = RunSummary()
    assert summary.line(dropped=None) == "summary: 0 windows in 0.0 s"
    for infer_ms in (10.0, 20.0, 30.0):
        summary.add(window(infer_ms=infer_ms))
    line = summary.line(dropped=1)
    assert line.startswith("summary: 3 windows in ")
    assert line.endswith(" ms, p95 30.5 ms; cost 20.5 ms per window; 1 frame dropped")
    assert "latency median 20.5 ms" in line


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300), st.floats(0.01, 1.0))
def test_percentiles_are_right_to_half_a_percent(values_ms: list[float], share: float) -> None:
    latencies = Latencies()
    for value_ms in values_ms:
        latencies.add(value_ms)
    exact = sorted(values_ms)[math.ceil(share * len(values_ms)) - 1]
    assert latencies.percentile(share) == pytest.approx(exact, rel=0.0051)


def test_percentiles_take_no_more_memory_with_time() -> None:
    latencies = Latencies()
    assert latencies.percentile(0.5) == 0.0
    for step in range(100_000):
        latencies.add(step % 1000 / 10)
    assert latencies.count == 100_000
    assert len(latencies._buckets) < 1200
    assert latencies.percentile(0.5) == pytest.approx(49.9, rel=0.006)


def test_summary_of_several_streams() -> None:
    summary = RunSummary()
    for stream in (0, 1):
        summary.add(
            replace(window(infer_ms=10.0), stream=stream, batch=2, reused=0.7, resets=1 + stream)
        )
    line = summary.line(dropped=None)
    assert "cost 5.5 ms per window; 70 % of the work reused; 3 gaps" in line


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (24_100_000, "24.1 MB"),
        (3_200_000_000, "3.2 GB"),
    ],
)
def test_sizes(size_bytes: int, words: str) -> None:
    assert size_in_words(size_bytes) == words


def test_preprocessing_names_the_traps() -> None:
    words = " ".join(preprocessing_in_words(ClipSpec(frames=8)))
    assert "8 frames, the centres of 8 equal parts of the window" in words
    assert "341x256, whatever the shape" in words
    assert "Pillow" in words
    assert "centre crop 224x224 (offset halved to even)" in words
    assert words.endswith("tested on whole files with the centre crop alone")
    kept = ClipSpec(
        frames=25,
        segment_frame="left",
        resize=Resize(policy="keep_aspect", library="opencv", long_side="nearest"),
        crop_offset="down",
        views=10,
    )
    words = " ".join(preprocessing_in_words(kept))
    assert "25 frames, the middles of 25 parts of the window, of fractional length" in words
    assert "short side 256, shape kept, long side rounded to nearest (OpenCV" in words
    assert "centre crop 224x224 (offset rounded down)" in words
    assert "tested on whole files with 10 views: centre and corners, each also mirrored" in words


@pytest.mark.parametrize("policy", ["fixed_4_3", "stretch"])
def test_rounding_is_told_only_where_it_matters(policy: Literal["fixed_4_3", "stretch"]) -> None:
    clip = ClipSpec(frames=8, resize=Resize(policy=policy, long_side="nearest"))
    assert "long side" not in " ".join(preprocessing_in_words(clip))


def test_every_value_of_the_specification_has_its_words() -> None:
    seen = {
        preprocessing_in_words(
            ClipSpec(
                frames=8,
                segment_frame=segment_frame,
                crop_offset=crop_offset,
                views=views,
                resize=Resize(policy="keep_aspect", long_side=long_side),
            )
        )
        for segment_frame in get_args(ClipSpec.model_fields["segment_frame"].annotation)
        for crop_offset in get_args(ClipSpec.model_fields["crop_offset"].annotation)
        for views in get_args(ClipSpec.model_fields["views"].annotation)
        for long_side in get_args(Resize.model_fields["long_side"].annotation)
    }
    assert len(seen) == 16
