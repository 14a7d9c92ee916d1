from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from edge_cli.stream_picture import check_picture, draw_streams
from edge_cli.stream_words import times, title_of
from models.errors import UsageError
from runtime.stream_bench import StreamRow

PADDLE = StreamRow(backend="paddle", graph="fp32", way="whole", median_ms=60.0)
ROWS = [
    PADDLE,
    StreamRow(backend="cpu", graph="fp32", way="whole", median_ms=40.0),
    StreamRow(backend="cpu", graph="fp32", way="exact", median_ms=10.0),
    StreamRow(backend="cpu", graph="int8", way="approx", reason="it failed"),
]
SVG = "{http://www.w3.org/2000/svg}"


def test_titles() -> None:
    assert [title_of(row) for row in ROWS] == [
        "Paddle Inference fp32, whole",
        "cpu fp32, whole",
        "cpu fp32, incremental",
        "cpu int8, approximate",
    ]
    assert [times(value) for value in (None, 0.851, 1.0, 12.34)] == ["-", "0.85", "1.0", "12.3"]


def test_a_picture_as_vectors(tmp_path: Path) -> None:
    path = tmp_path / "cost.svg"
    draw_streams(path, ROWS, title="Cost of <it>", subtitle="so", rival=PADDLE)
    root = ElementTree.parse(path).getroot()
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[:2] == ["Cost of <it>", "so"]
    assert "10.0 ms, 6.0x" in texts
    assert "60.0 ms" in texts
    assert not any("approximate" in (text or "") for text in texts)
    (said,) = [one.text or "" for one in root.iter(f"{SVG}desc")]
    assert "cpu fp32, incremental: 10.0 ms, 6.0x" in said
    bars = [float(one.attrib["width"]) for one in root.iter(f"{SVG}rect")][2:]
    assert bars[1] / bars[0] == pytest.approx(40 / 60, abs=0.01)
    assert bars[2] / bars[0] == pytest.approx(10 / 60, abs=0.01)


def test_a_picture_as_pixels(tmp_path: Path) -> None:
    path = tmp_path / "cost.PNG"
    draw_streams(path, ROWS[1:], title="Cost", subtitle="so", rival=None)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert (38, 110, 180) in {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    check_picture(tmp_path / "x.SVG")
    with pytest.raises(UsageError, match=r"\.svg or \.png") as caught:
        check_picture(Path("cost.jpeg"))
    assert caught.value.hint == "--picture cost.svg"
