"""The page of a calibration report: whatever the report holds, well formed and escaped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.markup import Markup, element, number
from calibration.report import Answer, Report
from calibration.report_page import page, write_page
from calibration.report_plots import Picture, Step, cut_to, gate_plot, heat_map, share_cut
from calibration.report_words import noise_share, verdict
from tests.calibration_reports import (
    CLASSES,
    a_clip,
    a_race,
    a_range,
    a_recipe,
    a_report,
    a_target,
    figures,
)
from tests.html_page import Page

HOSTILE = (
    "</script><script>alert(1)</script>",
    "</title></style><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)' x=\"",
    "a & b < c &amp; d",
    "javascript:alert(1)",
    "]]>--><!--",
)


def shown(report: Report) -> Page:
    text = page(report)
    assert text.startswith("<!DOCTYPE html>\n")
    assert text == page(Report.model_validate_json(report.model_dump_json()))
    text.encode()
    return Page(text)


def test_a_full_report_shows_everything() -> None:
    text = shown(a_report(a_target())).text
    for expected in (
        "model.int8.onnx, 65% smaller, was added with 3 layers back in fp32",
        "gets 75.0% of 8 labelled held-out clips right where fp32 gets 87.5% (12.5 points lost",
        "runs 2.20 times as fast as fp32 on cpu but 0.50 times on openvino",
        "measured on Xeon, 2 threads; weights use all 8 bits: avx512_vnni adds products",
        "accuracy from 50.0% to 75.0%; 75.0% must be reached",
        "In fp32 from the start, by rule: squeeze-excitation.",
        "Conv_3 fp32 again",
        "25.12%",  # noise of Conv_3: 10 ** (-12 / 20)
        "same class for 7 of 8 held-out clips",
        "12.50%",  # one of eight values is cut off
        "same range as 1 other",
        "Race on OpenVINO: nncf 5.9 ms.",
        "avx2, avx512_vnni",
        "edgecls 0.1.0, numpy 2.0, onnx 1.17",
        "a clip one frame further than the last reuses 71% of its work; on 120 clips of a random"
        " walk equal to the whole graph on cpu, within 2e-06 of the range on openvino.",
    ):
        assert expected in text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_are_text_and_nothing_else(hostile: str) -> None:
    names = (hostile, f"{hostile}2")
    target = a_target(
        names,
        file=hostile,
        writer=hostile,
        engine=hostile,
        advice=hostile,
        recipe=a_recipe(fp32_layers=(hostile,), skipped=(hostile,)),
        ranges=(a_range(hostile, operator=hostile),),
        races=(a_race(hostile, 2.0, 1.0),),
    )
    clips = tuple(a_clip(hostile, "held_out", hostile) for _ in range(20))
    report = a_report(target, clips=clips, notes=(hostile,), model=hostile, family=hostile)
    found, plain = shown(report), shown(a_report(a_target()))
    assert set(found.tags) <= {*plain.tags}
    # From markup and from nothing else: each place where it is shown is one piece of text.
    assert sum(hostile in words for words in found.words) > 20
    assert {name for name, _ in found.attributes} == {name for name, _ in plain.attributes}


def test_letters_that_cannot_be_shown_are_spelled() -> None:
    text = page(a_report(model="a\x1b[31m\x00\udcff\u2028b"))
    assert r"a\x1b[31m\x00\udcff\u2028b" in text
    assert "<bdi>\u202eevil</bdi>" in page(a_report(model="\u202eevil"))


@pytest.mark.parametrize(
    "changes",
    [
        {"repairs": (), "sensitivity": ()},
        {"ranges": ()},
        {"races": ()},
        {"candidates": ()},
        {"answers": ()},
        {"gate": figures(accuracy=None)},
        {"recipe": a_recipe(fp32_layers=(), skipped=())},
        {"size_bytes": 50_000_000},
        {"fp32_size_bytes": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_parts_that_are_missing(changes: dict[str, Any]) -> None:
    shown(a_report(a_target(**changes)))


def test_what_is_missing_is_said() -> None:
    unlabelled = figures(accuracy=None)
    bare = a_target(
        repairs=(), sensitivity=(), ranges=(), races=(), candidates=(), answers=(), gate=unlabelled
    )
    text = shown(a_report(bare, clips=(), notes=(), versions={})).text
    for expected in (
        "gives the same class as fp32 for 87.5% of 8 held-out clips (12.5 points lost, 12.5",
        "was not timed",
        "No class of the held-out clips is known",
        "None: as first quantized it loses 12.5 points",
        "Not measured: no layer had to be put back",
        "onnxruntime 1.0 does not tell the ranges",
        "One: minmax ranges, 8-bit weights per channel, u8 activations.",
    ):
        assert expected in text
    assert "No INT8 graph was added." in shown(a_report()).text


def test_two_graphs_and_7_bit_weights() -> None:
    own = a_target(target="openvino", file="model.int8.openvino.xml", ranges=())
    both = (a_target(recipe=a_recipe(reduce_range=True)), own)
    found = shown(a_report(*both))
    assert found.text.count("was added with 3 layers back in fp32") == 2
    assert "minmax ranges, 7-bit weights per channel" in found.text
    assert {"onnx", "openvino", "openvino-speed"} <= set(found.ids)


def test_slower_everywhere_and_noise() -> None:
    report = a_report(a_target(races=(a_race("cpu", 1.0, 1.0),)))
    noisy = report.settings.model_copy(update={"random_data": True})
    sentence = verdict(report.model_copy(update={"settings": noisy}))
    assert "8 labelled noise clips" in sentence
    assert "is not faster than fp32 (1.00 times as fast on cpu)" in sentence
    assert sentence.count(".\n") == 0
    assert sentence.endswith(".")


def test_one_class_and_four_hundred() -> None:
    assert "same class for 8 of 8" in shown(a_report(a_target(("only",)), classes=("only",))).text

    names = [f"class {place:03}" for place in range(400)]
    answers = tuple(
        Answer(
            clip=place,
            fp32=name,
            fp32_probability=0.5,
            int8=names[(place + (place % 16 == 0)) % 400],
            int8_probability=0.5,
        )
        for place, name in enumerate(names)
    )
    found = shown(a_report(a_target(names, answers=answers), classes=names))
    assert "Of 400 classes that occur, the 12 most frequent of the 50" in found.text
    assert "same class for 375 of 400 held-out clips" in found.text
    same = tuple(one.model_copy(update={"int8": one.fp32}) for one in answers)
    found = shown(a_report(a_target(names, answers=same), classes=names))
    assert "Classes named by fp32" not in found.text  # no picture of 400 equal cells
    assert "The same class: 400 rows" in found.text


def test_it_is_written_whole_and_the_same_each_time(tmp_path: Path) -> None:
    report = a_report(a_target())
    one, two = tmp_path / "one" / "report.html", tmp_path / "report.html"
    write_page(report, one)
    write_page(report, two)
    assert one.read_bytes() == two.read_bytes() == page(report).encode()
    assert [path.name for path in one.parent.iterdir()] == ["report.html"]


def test_the_look_fetches_nothing() -> None:
    text = page(a_report(a_target()))
    assert not re.findall(r"url\(|@import|https?://|//", text)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert "default-src &#x27;none&#x27;" in text


COORDINATES = frozenset(
    ("x", "y", "x1", "x2", "y1", "y2", "width", "height", "r", "cx", "cy", "d", "points", "viewBox")
)

finite = st.floats(allow_nan=False, allow_infinity=False)
share = st.floats(min_value=0, max_value=1)
names = st.text(max_size=12)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_figures_give_a_page(data: st.DataObject) -> None:
    """Ranges that overflow, times of zero, ratios without end: figures are finite, no more."""
    agreement = figures(
        agreement=data.draw(share), accuracy=data.draw(st.none() | share)
    ).model_copy(update={"logit_snr_db": data.draw(st.none() | finite)})
    ranges = tuple(
        a_range(
            data.draw(names),
            minimum=data.draw(finite),
            maximum=data.draw(finite),
            low=data.draw(finite),
            high=data.draw(finite),
            histogram=data.draw(st.lists(st.integers(0, 10**12), max_size=6).map(tuple)),
        )
        for _ in range(data.draw(st.integers(0, 3)))
    )
    race = a_race(data.draw(names), 1.0, 1.0).model_copy(
        update={
            "fp32_ms": data.draw(st.floats(0, 1e300)),
            "int8_ms": data.draw(st.floats(0, 1e300)),
            "ratio": data.draw(st.floats(0, 1e300)),
        }
    )
    base = a_target(data.draw(st.lists(names, min_size=1, max_size=20, unique=True)))
    target = base.model_copy(
        update={
            "gate": agreement,
            "repairs": tuple(
                one.model_copy(update={"agreement": agreement, "lost_points": data.draw(finite)})
                for one in base.repairs
            ),
            "sensitivity": tuple(
                one.model_copy(update={"logit_snr_db": data.draw(st.none() | finite)})
                for one in base.sensitivity
            ),
            "ranges": ranges,
            "races": (race,),
        }
    )
    text = page(a_report(target, model=data.draw(names), duration_s=data.draw(finite)))
    for name, value in Page(text).attributes:
        if name in COORDINATES:
            assert re.fullmatch(r"[-\d.,\sMhvz]*", value), (name, value)


@given(value=finite)
def test_coordinates_are_plain_decimals(value: float) -> None:
    assert re.fullmatch(r"-?\d+(\.\d{1,2})?", number(value))
    assert number(-0.001) == "0"


def test_markup_is_escaped_once() -> None:
    inner = element("b.x.y", "<&>", attributes={"title": '"<'})
    assert inner == '<b class="x y" title="&quot;&lt;">&lt;&amp;&gt;</b>'
    assert element("p", inner, "<") == f"<p>{inner}&lt;</p>\n"
    assert isinstance(inner, Markup)


def test_noise_of_a_layer() -> None:
    assert noise_share(None) == 0.0
    assert noise_share(20.0) == pytest.approx(0.1)
    assert noise_share(-1e300) == noise_share(-400.0)


@pytest.mark.parametrize(
    ("low", "high", "histogram", "cut"),
    [
        (0.0, 4.0, (1, 1, 1, 1), 0.0),
        (0.0, 2.0, (1, 1, 1, 1), 0.5),
        (1.0, 3.0, (10, 0, 0, 30), 1.0),
        (0.0, 4.0, (), 0.0),
        (0.0, 4.0, (0, 0), 0.0),
    ],
)
def test_share_cut_off(low: float, high: float, histogram: tuple[int, ...], cut: float) -> None:
    tensor = a_range(minimum=0.0, maximum=4.0, low=low, high=high, histogram=histogram)
    assert share_cut(tensor) == cut


PICTURE = Picture(key="k", title="t", description="d")


def test_a_better_step_is_drawn_higher() -> None:
    steps = [Step(layers=0, share=0.5), Step(layers=3, share=0.9)]
    drawn = gate_plot(steps, fp32=1.0, limit=0.8, picture=PICTURE, axis="accuracy of INT8")
    (corners,) = re.findall(r'points="([^"]+)"', drawn)
    (x0, y0), (x1, y1) = (map(float, corner.split(",")) for corner in corners.split())
    assert x0 < x1
    assert y0 > y1
    assert "must be reached" in drawn
    far = gate_plot(steps, fp32=1.0, limit=-9.0, picture=PICTURE, axis="accuracy of INT8")
    assert "must be reached" not in far


def test_cells_of_the_heat_map() -> None:
    drawn = heat_map(CLASSES, {(0, 0): 3, (0, 1): 1, (2, 2): 5}, PICTURE)
    assert drawn.count("rect") == 2 * (16 + 3)
    assert drawn.count('class="same"') == 2
    shades = [float(one) for one in re.findall(r'fill-opacity="([^"]+)"', drawn)]
    assert shades[2] > shades[0] > shades[1]


def test_long_names_are_cut_to_their_room() -> None:
    assert cut_to("pan left", 100, 12) == "pan left"
    assert cut_to("a name that is far too long for it", 60, 12).endswith("\N{HORIZONTAL ELLIPSIS}")
    assert len(cut_to("打" * 40, 60, 12)) < len(cut_to("x" * 40, 60, 12))
