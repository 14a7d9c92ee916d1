"""The card as people see it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from edge_cli.inspect_view import count_in_words, show_bundle
from models.bundle import Bundle
from models.card import ModelCard
from tests.cards import CHECK, a_card, cards, certificate, stages, temporal, variant

FACTS: dict[str, Any] = {"macs": 34_615_033_856, "nodes": {"Conv": 55, "Einsum": 2}}


def shown(card: ModelCard, *, width: int = 80, colour: bool = False) -> str:
    text = io.StringIO()
    system: Literal["standard"] | None = "standard" if colour else None
    console = Console(
        file=text,
        width=width,
        highlight=False,
        force_terminal=colour,
        color_system=system,
        no_color=not colour,
    )
    show_bundle(Bundle(path=Path("some/bundle"), card=card), console)
    return text.getvalue()


def said(card: ModelCard) -> str:
    """The words without the frames around them, on one line."""
    return " ".join(shown(card).replace("│", " ").split())


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (722_682, "723 k"),
        (999_499, "999 k"),
        (999_500, "1.00 M"),
        (63_820_608, "63.8 M"),
        (4_741_275_648, "4.74 G"),
        (34_615_033_856, "34.6 G"),
        (2_500_000_000_000, "2.50 T"),
    ],
)
def test_count_in_words(count: int, words: str) -> None:
    assert count_in_words(count) == words


@given(count=st.integers(1000, 999_000_000_000_000))
def test_counts_keep_three_digits(count: int) -> None:
    number, unit = count_in_words(count).split()
    assert len(number.replace(".", "")) == 3
    assert float(number) * 1000 ** (" kMGT".index(unit)) == pytest.approx(count, rel=0.0051)


def test_work_and_how_it_was_counted() -> None:
    text = said(a_card(graph=FACTS))
    assert "MACs per clip 34.6 G multiply-accumulates: those of Conv, ConvTranspose," in text
    assert "operators 57 nodes: 55 Conv, 2 Einsum" in text
    assert "not included" not in text


def test_a_lower_bound_is_called_one() -> None:
    text = said(a_card(graph={**FACTS, "uncounted": {"Einsum": 2}}))
    assert "at least 34.6 G" in text
    assert "not included, since the graph does not tell how much they do: 2 Einsum" in text


def test_a_card_of_an_older_edgecls() -> None:
    assert "MACs per clip not counted: the bundle was made before" in said(a_card(graph=None))


def test_variants_with_their_checks() -> None:
    fixed = variant(batch=1, file="model_b1.onnx", check=CHECK)
    text = said(a_card(variants=[variant(), fixed, variant(precision="fp16", check=CHECK)]))
    assert "fp32 model.onnx, 97.3 MB, sha256 333333333333… fp32, batch 1 model_b1.onnx" in text
    against = (
        "against fp32, 18 clips: probabilities differ by at most 0.0012, logits by 2.1e-03 of"
        " their range; top-1 the same for 100.0%"
    )
    assert text.count(against) == 2


def test_a_graph_that_takes_one_batch_size_only() -> None:
    assert "input float32, 4 x 8 x 3" in said(a_card(variants=[variant(batch=4)]))
    assert "input float32, N x 8 x 3" in said(a_card())


def test_certificate_against_the_framework() -> None:
    text = said(a_card())
    assert "reference paddlepaddle 3.3.1 compared with" in text
    assert "nothing is known" not in text


def test_certificate_against_the_given_file() -> None:
    card = a_card(certificate=certificate(proves="graph", reference="onnxruntime 1.23.2"))
    assert (
        "reference the given ONNX file; no comparison with the framework it was trained in:"
        " nothing is known about how faithful the file is to that run by onnxruntime 1.23.2"
    ) in said(card)
    assert "\x1b[33mthe given ONNX file" in shown(card, colour=True)
    assert "\x1b[33m" not in shown(a_card(), colour=True)


def test_many_labels_are_cut() -> None:
    text = said(a_card(labels=[f"class {number}" for number in range(400)]))
    assert "classes 400: class 0, class 1," in text
    assert "class 11, … (388 more: inspect --json)" in text


def test_text_of_the_card_is_not_markup() -> None:
    assert "[red]tiny[/]" in shown(a_card(name="[red]tiny[/]", labels=["[b]", "[/b]"]))


@settings(max_examples=20, deadline=None)
@given(card=cards(), width=st.sampled_from([60, 80, 120]))
def test_fits(card: ModelCard, width: int) -> None:
    assert all(len(line) <= width for line in shown(card, width=width).splitlines())


def test_operators_break_behind_commas_only() -> None:
    nodes = {f"Operator{number}": number for number in range(1, 40)}
    lines = shown(a_card(graph={"macs": 0, "nodes": nodes})).splitlines()
    listed = [line.strip("│ ") for line in lines if "Operator" in line]
    assert len(listed) > 5
    assert all(line.endswith(",") for line in listed[:-1])


def test_a_model_with_stages_says_what_clips_share() -> None:
    words = said(a_card(temporal=temporal(), variants=[variant(stages=stages())]))
    assert "shift by 1 frame at Concat_0, behind 34% of the work" in words
    assert "mean over all frames at ReduceMean_0, behind 100% of the work" in words
    assert "costs 1/3.5 of a whole one: 71% of the multiply-accumulates are kept" in words
    assert "fp32 2 stage graphs, 1.1 MB" in words
    assert "frame: stream.frame.onnx, 561.2 kB, 200.7 kB kept per frame" in words
    assert "fp32 model.onnx, 97.3 MB, sha256 333333333333…" in words


def test_a_model_without_stages_says_so() -> None:
    card = a_card(temporal=temporal(macs_per_step=4_741_275_648))
    assert "none in this bundle" in said(card)
    assert "costs as much as any other" in said(card)
    assert "the bundle was made before edgecls looked" in said(a_card())


def test_many_shifts_take_three_lines() -> None:
    shifts = [
        {"node": f"Concat_{at}", "kind": "shift", "reach": 1, "macs_before": at} for at in range(33)
    ]
    words = said(a_card(temporal=temporal(mixing=shifts)))
    assert "Concat_0" in words
    assert "… 31 more of the same kind" in words
    assert "Concat_32" in words
    assert "Concat_1," not in words
