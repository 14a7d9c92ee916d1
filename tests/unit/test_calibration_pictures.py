"""Pictures: drawn to scale, legible, and whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.clip_rows import Split
from calibration.confusion_picture import draw_confusion
from calibration.dataset_report import SplitFacts
from calibration.eval_results import Answer, ClipResult
from calibration.eval_scores import Scores, scores_of
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


# -- confusion matrices ------------------------------------------------------------------------


def scores(pairs: list[tuple[int, int]], classes: int) -> Scores:
    results = [
        ClipResult(
            index=index,
            name="",
            label=true,
            answer=Answer(top=((taken, 1.0),), decode_ms=1, preprocess_ms=1, infer_ms=1),
        )
        for index, (true, taken) in enumerate(pairs)
    ]
    return scores_of(results, [f"class {index}" for index in range(classes)])


def coloured(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Pixels that are more blue than red, and more red than blue, by far."""
    wide = picture.astype(int)
    blueish = wide[..., 2] - wide[..., 0]
    return int((blueish > 40).sum()), int((blueish < -40).sum())


def test_few_classes_have_a_cell_each(tmp_path: Path) -> None:
    right = scores([(0, 0), (1, 1), (2, 2)], 3)
    mixed = scores([(0, 0), (1, 1), (2, 0)], 3)
    for name, drawn in (("right", right), ("mixed", mixed)):
        draw_confusion(tmp_path / f"{name}.png", drawn, title="a title")
    (blue, red), (less_blue, some_red) = (
        coloured(pixels(tmp_path / f"{name}.png")) for name in ("right", "mixed")
    )
    assert red == 0
    assert less_blue / blue == pytest.approx(2 / 3, abs=0.05)
    assert some_red == pytest.approx(blue / 3, rel=0.15)


def test_many_classes_are_a_map_on_which_every_cell_shows(tmp_path: Path) -> None:
    pairs = [(place, place) for place in range(400)]
    draw_confusion(tmp_path / "right.png", scores(pairs, 400), title="t")
    draw_confusion(tmp_path / "mixed.png", scores([*pairs, (7, 301)], 400), title="t")
    (_, none), (_, one) = (coloured(pixels(tmp_path / f"{n}.png")) for n in ("right", "mixed"))
    assert (none, one) == (0, 4), "a cell of 2 by 2 pixels"
    height, width = pixels(tmp_path / "mixed.png").shape[:2]
    assert 800 < height < 1000
    assert 1000 < width < 1600


def test_more_classes_than_pixels(tmp_path: Path) -> None:
    draw_confusion(tmp_path / "map.png", scores([(0, 0), (1500, 3)], 2000), title="t")
    blue, red = coloured(pixels(tmp_path / "map.png"))
    assert (blue, red) == (1, 1)
