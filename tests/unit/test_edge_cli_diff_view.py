"""Two cards side by side as people see them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.console import Console

from edge_cli.diff_view import difference_notes, difference_rows, show_differences
from models.bundle import Bundle
from models.card import ModelCard
from models.diff import card_differences
from tests.cards import CHECK, a_card, cards, certificate, variant

Line = tuple[str, str, str, str]


def rows(a: ModelCard, b: ModelCard) -> list[Line]:
    found = difference_rows(card_differences(a, b))
    return [(row.section, row.name, row.a, row.b) for row in found]


def notes(a: ModelCard, b: ModelCard) -> tuple[str, ...]:
    return difference_notes(a, b, card_differences(a, b))


def shown(a: ModelCard, b: ModelCard, *, width: int = 80) -> str:
    text = io.StringIO()
    console = Console(file=text, width=width, highlight=False)
    left, right = (Bundle(path=Path(name), card=card) for name, card in (("a", a), ("b", b)))
    show_differences(left, right, card_differences(a, b), console=console)
    return text.getvalue()


CHANGES: dict[str, tuple[dict[str, Any], list[Line]]] = {
    "family": ({"family": "tsm"}, [("model", "family", "pp-tsm", "tsm")]),
    "parameters": ({"parameters": 1000}, [("model", "parameters", "24,320,240", "1,000")]),
    "parameters that are close": (
        {"parameters": 24_320_241},
        [("model", "parameters", "24,320,240", "24,320,241")],
    ),
    "preprocessing": (
        {
            "clip": {
                "frames": 16,
                "segment_frame": "left",
                "resize": {"library": "opencv", "short_side": 300},
                "mean": [0.5, 0.5, 0.25],
            }
        },
        [
            ("preprocessing", "frames", "8", "16"),
            ("preprocessing", "resize short side", "256 px", "300 px"),
            ("preprocessing", "resize library", "pillow", "opencv"),
            ("preprocessing", "frame of a segment", "centre", "left"),
            ("preprocessing", "mean", "0.485; 0.456; 0.406", "0.5; 0.5; 0.25"),
        ],
    ),
    "work": (
        {"graph": {"macs": 4_741_275_648, "nodes": {"Conv": 46, "LeakyRelu": 51, "Mul": 2}}},
        [
            ("model", "MACs per clip", "34.6 G", "4.74 G"),
            ("operators", "Conv", "55", "46"),
            ("operators", "Gemm", "1", "-"),
            ("operators", "Mul", "-", "2"),
        ],
    ),
    "work that is close": (
        {
            "graph": {
                "macs": 34_615_033_857,
                "nodes": {"Conv": 55, "LeakyRelu": 51, "Gemm": 1},
                "uncounted": {"Einsum": 1},
            }
        },
        [
            ("model", "MACs per clip", "34,615,033,856", "34,615,033,857"),
            ("operators", "Einsum, work not counted", "-", "1"),
        ],
    ),
    "no facts": (
        {"graph": None},
        [
            ("model", "MACs per clip", "34.6 G", "-"),
            ("operators", "nodes", "55 Conv, 51 LeakyRelu, 1 Gemm", "-"),
        ],
    ),
    "variants": (
        {
            "variants": [
                variant(size_bytes=97_300_001),
                variant(precision="fp16", file="half.onnx", size_bytes=48_000_000, check=CHECK),
            ]
        },
        [
            ("graphs", "fp16", "-", "half.onnx, 48.0 MB, sha256 333333333333…"),
            ("graphs", "fp32: size", "97,300,000 bytes", "97,300,001 bytes"),
        ],
    ),
    "opset": ({"opset": 13}, [("graphs", "opset", "17", "13")]),
    "certificate": (
        {
            "certificate": certificate(
                proves="graph",
                max_abs_diff=2.04e-5,
                max_rel_diff=1.00001e-6,
                order_sensitivity=0.5,
                repairs=["It was broken, and mended."],
                versions={"paddlepaddle": "3.3.1", "numpy": "2.3.0"},
            )
        },
        [
            (
                "certificate",
                "agrees with",
                "the framework of the training",
                "the given ONNX file only",
            ),
            ("certificate", "max diff", "1e-05", "2e-05"),
            ("certificate", "max diff of range", "1e-06", "1.00001e-06"),
            ("certificate", "effect of frame order", "25.0%", "50.0%"),
            ("certificate", "repairs", "none", "It was broken, and mended."),
            ("certificate", "numpy", "2.2.0", "2.3.0"),
        ],
    ),
    "provenance": (
        {
            "provenance": {
                "source": "other.onnx",
                "source_sha256": "2" * 63 + "3",
                "source_kind": "onnx",
                "converter": "edgecls 0.1.0",
            }
        },
        [
            ("provenance", "source", "r50.pdparams", "other.onnx"),
            ("provenance", "sha256", "2" * 64, "2" * 63 + "3"),
            ("provenance", "source kind", "pdparams", "onnx"),
        ],
    ),
}


@pytest.mark.parametrize(("changes", "expected"), CHANGES.values(), ids=CHANGES)
def test_rows(changes: dict[str, Any], expected: list[Line]) -> None:
    a, b = a_card(), a_card(**changes)
    assert rows(a, b) == expected
    assert rows(b, a) == [(section, name, right, left) for section, name, left, right in expected]


def test_first_labels_that_differ() -> None:
    many = [f"class {number}" for number in range(400)]
    other = [*many[:7], *(f"other {number}" for number in range(7, 401))]
    found = [line[1:] for line in rows(a_card(labels=many), a_card(labels=other))]
    assert found == [
        ("classes", "400", "401"),
        ("label 7", "class 7", "other 7"),
        ("label 8", "class 8", "other 8"),
        ("label 9", "class 9", "other 9"),
        ("391 more labels", "…", "…"),
    ]


def test_labels_of_which_one_has_more() -> None:
    found = rows(a_card(labels=["a"]), a_card(labels=["a", "b"]))
    assert [line[1:] for line in found] == [("classes", "1", "2"), ("label 1", "-", "b")]


def test_labels_in_another_order() -> None:
    found = rows(a_card(labels=["a", "b", "c"]), a_card(labels=["a", "c", "b"]))
    assert found[0][1:] == ("labels", "the same names", "in another order")
    assert [line[1] for line in found[1:]] == ["label 1", "label 2"]


def test_order_of_the_graphs() -> None:
    ones = [variant(precision="fp16"), variant(precision="fp16", batch=1)]
    a, b = (a_card(variants=[variant(), *some]) for some in (ones, ones[::-1]))
    expected = ("order of the graphs", "fp32; fp16; fp16, batch 1", "fp32; fp16, batch 1; fp16")
    assert [line[1:] for line in rows(a, b)] == [expected]


@settings(max_examples=50, deadline=None)
@given(a=cards(), b=cards())
def test_every_difference_is_seen(a: ModelCard, b: ModelCard) -> None:
    """No two sides read alike, and no subject is left out."""
    lines = rows(a, b)
    assert all(left != right for _, name, left, right in lines if "more label" not in name)
    differences = card_differences(a, b)
    cases = [one for one in differences if one.path[:2] == ("certificate", "cases")]
    names = [one for one in differences if one.path == ("name",)]
    assert len(lines) >= len(differences) - len(cases) - len(names)
    assert bool(cases) == any("single comparison" in note for note in notes(a, b))


def test_single_comparisons_are_summed_up() -> None:
    other = certificate()
    for case in other["cases"]:
        case.update(max_abs_diff=2e-5, max_rel_diff=2e-6)
    a, b = a_card(), a_card(certificate=other)
    assert rows(a, b) == []
    same, cases = notes(a, b)
    assert same.startswith("The graphs are the same, byte for byte")
    assert cases == (
        "The certificates also differ in 2 single comparisons of clips; --json lists them."
    )


def test_some_graphs_are_the_same() -> None:
    a = a_card(variants=[variant(), variant(precision="fp16", sha256="4" * 64)])
    b = a_card(variants=[variant(), variant(precision="fp16", sha256="5" * 64)])
    assert notes(a, b) == ("The same in both, byte for byte: the graph for fp32.",)
    assert notes(a, a_card(variants=[variant(sha256="6" * 64)])) == ()


def test_the_same_is_one_line() -> None:
    assert shown(a_card(), a_card()).splitlines() == [
        "The same: no field of the two cards differs, digests of files included."
    ]


def test_table() -> None:
    lines = shown(a_card(), a_card(name="[b]other[/b]", family="tsm")).splitlines()
    assert lines[0].split() == ["A", "B"]
    assert lines[1].split() == ["name", "tiny", "[b]other[/b]"]
    assert lines[2].split() == ["path", "a", "b"]
    assert ["family", "pp-tsm", "tsm"] in [line.split() for line in lines]
    assert " ".join(lines[-2:]).startswith("The graphs are the same, byte for byte")


@settings(max_examples=20, deadline=None)
@given(a=cards(), b=cards(), width=st.sampled_from([60, 80, 120]))
def test_fits(a: ModelCard, b: ModelCard, width: int) -> None:
    assume(card_differences(a, b))
    assert all(len(line) <= width for line in shown(a, b, width=width).splitlines())
