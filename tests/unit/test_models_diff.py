"""Every field that differs is reported, nothing else is, and both ways round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from models.card import ModelCard
from models.diff import card_differences, same_graphs
from tests.cards import CHECK, a_card, cards, certificate, variant

Path = tuple[str, ...]
BATCHES = {None: "", 1: ", batch 1"}


def leaves(path: Path, value: Any) -> Iterator[tuple[Path, str]]:
    """Every value inside a card's JSON as text, by its path; list entries by what they are."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves((*path, key), inner)
    elif path == ("variants",):
        for one in value:
            yield from leaves((*path, one["precision"] + BATCHES[one["batch"]]), one)
    elif path == ("certificate", "cases"):
        names = [f"{one['clip']}, {one['order']}, batch {one['batch']}" for one in value]
        for index, one in enumerate(value):
            before = names[:index].count(names[index])
            name = f"{names[index]} #{before + 1}" if before else names[index]
            yield from leaves((*path, name), one)
    else:
        yield path, repr(value)


@settings(max_examples=40, deadline=None)
@given(card=cards())
def test_a_card_does_not_differ_from_itself(card: ModelCard) -> None:
    assert card_differences(card, card) == ()
    assert card_differences(card, ModelCard.model_validate(card.model_dump())) == ()


@settings(max_examples=40, deadline=None)
@given(a=cards(), b=cards())
def test_the_other_way_round(a: ModelCard, b: ModelCard) -> None:
    there = [(one.field, repr(one.a), repr(one.b)) for one in card_differences(a, b)]
    back = [(one.field, repr(one.b), repr(one.a)) for one in card_differences(b, a)]
    assert there == back


@settings(max_examples=40, deadline=None)
@given(a=cards(), b=cards())
def test_fields_are_distinct_and_their_values_differ(a: ModelCard, b: ModelCard) -> None:
    differences = card_differences(a, b)
    assert len({one.field for one in differences}) == len(differences)
    assert all(repr(one.a) != repr(one.b) for one in differences)


@settings(max_examples=40, deadline=None)
@given(a=cards(), b=cards())
def test_exactly_what_differs_is_reported(a: ModelCard, b: ModelCard) -> None:
    flat_a = dict(leaves((), a.model_dump(mode="json")))
    flat_b = dict(leaves((), b.model_dump(mode="json")))
    everything = flat_a.keys() | flat_b.keys()
    changed = {path for path in everything if flat_a.get(path) != flat_b.get(path)}
    found = {one.path for one in card_differences(a, b)} - {("variants", "order")}
    for path in changed:
        assert sum(path[: len(one)] == one for one in found) == 1, path
    for one in found:
        assert any(path[: len(one)] == one for path in changed), one


SINGLE = {
    "name": ("name", "tiny", "other"),
    "labels": ("labels", ["still", "pan left"], ["still", "pan right"]),
    "clip": ("clip.frames", 8, 16),
    "opset": ("opset", 17, 13),
    "graph": ("graph.nodes.Conv", 55, 53),
    "certificate": ("certificate.versions.numpy", "2.2.0", None),
    "variants": ("variants.fp32.size_bytes", 97_300_000, 5),
    "provenance": ("provenance.source_kind", "pdparams", "onnx"),
}
CHANGES: dict[str, Any] = {
    "name": "other",
    "labels": ["still", "pan right"],
    "clip": {"frames": 16},
    "opset": 13,
    "graph": {"macs": 34_615_033_856, "nodes": {"LeakyRelu": 51, "Conv": 53, "Gemm": 1}},
    "certificate": certificate(versions={"paddlepaddle": "3.3.1"}),
    "variants": [variant(size_bytes=5)],
    "provenance": {
        "source": "r50.pdparams",
        "source_sha256": "2" * 64,
        "source_kind": "onnx",
        "converter": "edgecls 0.1.0",
    },
}


@pytest.mark.parametrize("key", SINGLE)
def test_one_change_is_one_difference(key: str) -> None:
    field, a, b = SINGLE[key]
    (found,) = card_differences(a_card(), a_card(**{key: CHANGES[key]}))
    assert (found.field, found.a, found.b) == (field, a, b)


def test_variants_are_found_by_what_they_are() -> None:
    fp16 = variant(precision="fp16", file="model_fp16.onnx", check=CHECK)
    fixed = variant(batch=1, file="model_b1.onnx", check=CHECK)
    a = a_card(variants=[variant(), fp16])
    b = a_card(variants=[variant(), fixed, {**fp16, "check": {**CHECK, "clips": 7}}])
    fewer, added = card_differences(a, b)
    assert (added.field, added.a) == ("variants.fp32, batch 1", None)
    assert isinstance(added.b, dict)
    assert added.b["file"] == "model_b1.onnx"
    assert (fewer.field, fewer.a, fewer.b) == ("variants.fp16.check.clips", 18, 7)


def test_order_of_the_variants_counts() -> None:
    """`run --precision fp16` takes the first."""
    ones = [variant(precision="fp16"), variant(precision="fp16", batch=1)]
    (found,) = card_differences(
        a_card(variants=[variant(), *ones]), a_card(variants=[variant(), *reversed(ones)])
    )
    assert found.field == "variants.order"
    assert found.a == ["fp32", "fp16", "fp16, batch 1"]
    assert found.b == ["fp32", "fp16, batch 1", "fp16"]


def test_order_of_cases_and_operators_does_not_count() -> None:
    turned = certificate()
    turned["cases"].reverse()
    other = {"macs": 34_615_033_856, "nodes": {"Gemm": 1, "LeakyRelu": 51, "Conv": 55}}
    assert card_differences(a_card(), a_card(certificate=turned, graph=other)) == ()


def test_a_repeated_case_is_not_lost() -> None:
    once = certificate()
    twice = certificate(cases=[*once["cases"], once["cases"][0]])
    (found,) = card_differences(a_card(certificate=once), a_card(certificate=twice))
    assert found.field == "certificate.cases.random, in_order, batch 1 #2"
    assert found.a is None


def test_a_card_without_facts() -> None:
    (found,) = card_differences(a_card(), a_card(graph=None))
    assert found.field == "graph"
    assert found.b is None


def test_same_graphs() -> None:
    fp16 = variant(precision="fp16", sha256="4" * 64)
    a = a_card(variants=[variant(), fp16])
    assert same_graphs(a, a) == ("fp32", "fp16")
    assert same_graphs(a, a_card()) == same_graphs(a_card(), a) == ("fp32",)
    assert same_graphs(a, a_card(variants=[variant(sha256="5" * 64), fp16])) == ("fp16",)
