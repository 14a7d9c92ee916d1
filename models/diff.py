"""What two cards say differently. Pure: no file is read, nothing is put into words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from models.card import ModelCard, ParityCase

FieldPath = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field with two values.

    Attributes:
        path: Where it is in the card, outermost first, e.g. ("clip", "resize", "policy"). An entry
            of a list is found by what it is, not by its place: ("variants", "fp32, batch 1",
            "sha256"), ("certificate", "cases", "random, in_order, batch 2", "max_abs_diff").
        a: Its value in the first card, as in `card.json`; None also where there is no such entry.
        b: Its value in the second card.
    """

    path: FieldPath
    a: JsonValue
    b: JsonValue

    @property
    def field(self) -> str:
        """The path in one word, e.g. "clip.resize.policy"."""
        return ".".join(self.path)


def card_differences(a: ModelCard, b: ModelCard) -> tuple[Difference, ...]:
    """Every field of two cards that differs, in the order of the card.

    Labels and other plain lists are one field each. What only one card has (a variant, an
    operator, a library) is one difference, with None on the other side. `variants.order` lists
    the variants that both have, where their order differs. Comparing the other way round gives
    the same fields, with the values exchanged.

    Args:
        a: One card.
        b: Another.

    Returns:
        Nothing when the cards say the same; the order of operators, library versions and
        parity cases says nothing.
    """
    return tuple(_differences((), _keyed(a, other=b), _keyed(b, other=a)))


def same_graphs(a: ModelCard, b: ModelCard) -> tuple[str, ...]:
    """Titles of the variants whose files are the same, byte for byte, by the cards' digests."""
    digests = {variant.title: variant.sha256 for variant in b.variants}
    return tuple(
        variant.title for variant in a.variants if digests.get(variant.title) == variant.sha256
    )


def _differences(path: FieldPath, a: JsonValue, b: JsonValue) -> Iterator[Difference]:
    if isinstance(a, dict) and isinstance(b, dict):
        keys = list(a) if list(a) == list(b) else sorted({*a, *b})
        for key in keys:
            yield from _differences((*path, key), a.get(key), b.get(key))
    elif not _equal(a, b):
        yield Difference(path=path, a=a, b=b)


def _equal(a: JsonValue, b: JsonValue) -> bool:
    """As `==`, but NaN, which a damaged card may hold, is the same figure as NaN."""
    return a == b or (_is_nan(a) and _is_nan(b))


def _is_nan(value: JsonValue) -> bool:
    return isinstance(value, float) and value != value


def _keyed(card: ModelCard, *, other: ModelCard) -> dict[str, Any]:
    """The card as in `card.json`, but lists of objects as objects keyed by what they are."""
    value = card.model_dump(mode="json")
    titles = [variant.title for variant in card.variants]
    shared = {variant.title for variant in other.variants}
    value["variants"] = {
        "order": [title for title in titles if title in shared],
        **dict(zip(titles, value["variants"], strict=True)),
    }
    certificate = value["certificate"]
    certificate["cases"] = dict(
        zip(_case_keys(card.certificate.cases), certificate["cases"], strict=True)
    )
    return value


def _case_keys(cases: Iterable[ParityCase]) -> list[str]:
    """E.g. "random, in_order, batch 2"; a repeated one has its number behind it."""
    keys: list[str] = []
    for case in cases:
        key = f"{case.clip}, {case.order}, batch {case.batch}"
        again = sum(1 for known in keys if known.split(" #")[0] == key)
        keys.append(f"{key} #{again + 1}" if again else key)
    return keys
