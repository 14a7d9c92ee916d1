"""Pictures: drawn to scale, legible, and whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.clip_rows import Split
from calibration.dataset_report import SplitFacts
from calibration.histogram_picture import COLOURS, draw_histogram
from calibration.sheet import Sheet, fitted, shown_name, text_width
from models.errors import OutputError


def pixels(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)


def longest_runs(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> list[int]:
    """Length in pixels of the longest run of a colour in every row that has one of >= 30."""
    lengths = []
    for row in (picture == np.array(colour, np.uint8)).all(-1):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], row.astype(np.int8), [0]))))
        runs = edges[1::2] - edges[::2]
        if runs.size and runs.max() >= 30:
            lengths.append(int(runs.max()))
    return lengths


def half(split: Split, counts: list[int]) -> SplitFacts:
    return SplitFacts(
        split=split, origin=split, samples=sum(counts), counts=tuple(counts), sources=()
    )


def test_bars_are_to_scale(tmp_path: Path) -> None:
    path = tmp_path / "new" / "histogram.png"
    draw_histogram(path, [half("train", [40, 10, 20]), half("val", [4, 20, 0])], ("a", "b", "c"))
    train, val = (sorted(set(longest_runs(pixels(path), colour))) for colour in COLOURS)
    assert [length / train[-1] for length in train] == pytest.approx([0.25, 0.5, 1.0], abs=0.01)
    assert [length / train[-1] for length in val] == pytest.approx([0.1, 0.5], abs=0.01)
    assert [one.name for one in path.parent.iterdir()] == ["histogram.png"]


def test_four_hundred_classes_fit_a_screen_or_two(tmp_path: Path) -> None:
    path = tmp_path / "histogram.png"
    names = [f"class with a rather long name {index}" for index in range(400)]
    draw_histogram(path, [half("train", list(range(400)))], names)
    height, width = pixels(path).shape[:2]
    assert 1000 < width < 2500
    assert 1000 < height < 2500


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        Sheet(10, 10).save(tmp_path / "file" / "picture.png")


@pytest.mark.parametrize("anchor", ["left", "middle", "right"])
def test_text_stands_where_it_should(tmp_path: Path, anchor: str) -> None:
    sheet = Sheet(200, 40)
    sheet.text(100, 20, "WWW", anchor=anchor)  # type: ignore[arg-type]
    sheet.save(tmp_path / "text.png")
    dark: NDArray[np.bool_] = np.any(pixels(tmp_path / "text.png") < 128, axis=2)
    columns = np.flatnonzero(np.any(dark, axis=0))
    expected = {"left": columns[0], "middle": columns.mean(), "right": columns[-1]}[anchor]
    assert expected == pytest.approx(100, abs=3)


def test_upright_text_grows_upwards(tmp_path: Path) -> None:
    sheet = Sheet(60, 200)
    sheet.upright(30, 150, "upright")
    sheet.save(tmp_path / "text.png")
    dark: NDArray[np.bool_] = np.any(pixels(tmp_path / "text.png") < 128, axis=2)
    rows, columns = np.flatnonzero(np.any(dark, axis=1)), np.flatnonzero(np.any(dark, axis=0))
    assert 140 <= rows[-1] <= 150
    assert np.ptp(rows) > 2 * np.ptp(columns)
    assert columns.mean() == pytest.approx(30, abs=4)


def test_text_is_cut_to_fit() -> None:
    cut = fitted("a very long class name indeed", 100)
    assert cut.endswith("...")
    assert text_width(cut) <= 100
    assert fitted("short", 100) == "short"


def test_names_that_no_font_has_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.sheet._system_fonts", lambda size: ())
    assert shown_name("pan left", 3) == "pan left"
    assert shown_name("跑步", 3) == "#3"
