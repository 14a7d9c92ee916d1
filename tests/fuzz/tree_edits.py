"""Damage to what JSON and YAML files say: keys, types, sizes, nesting; and to how they say it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Container = dict[str, Any] | list[Any]
Place = tuple[Container, Any]
"""A container and the key or index of one value in it."""

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 256, 257, 4096, 4097, 10**5, 2**31, 2**32, -(2**31)),
    *(2**63 - 1, 2**63, 2**64, 10**20, 10**400, 0.0, -0.0, 0.5, 1e-320, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf")),
    *("", " ", "x", "0", "8", "-1", "1e999", "nan", "null", "x" * 5000, "ünïcödé", "\u202e\u0000"),
    *("\ud800", "\x1b[2J\x1b]0;owned\x07", "[bold red]x[/]", "[/]", "%s%n{0}", "a\nb\r\tc"),
    *("../../x", "/etc/passwd", "C:\\x", "model.onnx\x00.txt", "\\\\host\\share", "CON"),
    *([], {}, [[]], [None], {"": None}, [1, 2, 3], {"a": {"b": {"c": 1}}}),
)

EditTree = Callable[[Random, Place], None]


def edit_tree(rng: Random, tree: Any) -> Any:
    """A copy of a tree of dicts, lists and plain values, damaged in one to three places."""
    holder: dict[str, Any] = {"root": copy.deepcopy(tree)}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(holder))
        rng.choice(_EDITS)(rng, rng.choice(places))
        if "root" not in holder:
            return None
    return holder["root"]


def _places(container: Container) -> Iterator[Place]:
    keys = list(container) if isinstance(container, dict) else range(len(container))
    for key in keys:
        yield container, key
        value = container[key]  # type: ignore[index]
        if isinstance(value, dict | list):
            yield from _places(value)


def _replace(rng: Random, place: Place) -> None:
    container, key = place
    container[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def _delete(rng: Random, place: Place) -> None:
    container, key = place
    if key != "root":
        del container[key]


def _rename(rng: Random, place: Place) -> None:
    container, key = place
    if isinstance(container, dict) and key != "root":
        new = rng.choice((key + "x", key.upper(), "", "__class__", "schema_version", "\ud800"))
        container[new] = container.pop(key)


def _nudge(rng: Random, place: Place) -> None:
    """A number becomes another one, a word another word."""
    container, key = place
    value = container[key]
    if isinstance(value, bool) or value is None:
        container[key] = not value
    elif isinstance(value, int):
        container[key] = rng.choice(
            (value + 1, value - 1, -value, value * 2, value << 16, value // 2)
        )
    elif isinstance(value, float):
        container[key] = rng.choice((-value, value * 1e30, value * 1e-30, value + 1.0))
    elif isinstance(value, str):
        container[key] = rng.choice(
            (value[:-1], value + "x", value.upper(), value[::-1], value * 99)
        )
    else:
        _replace(rng, place)


def _multiply(rng: Random, place: Place) -> None:
    container, key = place
    value = container[key]
    if isinstance(value, list):
        container[key] = value * rng.choice((2, 3, 100, 2000))
    elif isinstance(value, dict) and value:
        name = rng.choice(list(value))
        for number in range(rng.choice((1, 300))):
            value[f"{name}{number}"] = copy.deepcopy(value[name])
    else:
        container[key] = [value] * rng.choice((1, 3, 1000))


def _wrap(rng: Random, place: Place) -> None:
    """Nest a value more deeply."""
    container, key = place
    for _ in range(rng.choice((1, 2, 60, 600))):
        container[key] = [container[key]] if rng.random() < 0.5 else {"a": container[key]}


def _exchange(rng: Random, place: Place) -> None:
    """Two values of a container change places."""
    container, key = place
    keys: list[Any] = list(container) if isinstance(container, dict) else [*range(len(container))]
    other = rng.choice(keys)
    container[key], container[other] = container[other], container[key]


_EDITS: tuple[EditTree, ...] = (
    *(_replace, _replace, _replace, _nudge, _nudge, _delete, _delete),
    *(_rename, _multiply, _wrap, _exchange),
)


def json_text(rng: Random, tree: Any) -> bytes:
    """A tree as JSON, now and then badly written."""
    text = json.dumps(tree)
    if rng.random() < 0.75:
        return text.encode()
    return rng.choice(_SPELLINGS)(rng, text)


def _key_twice(rng: Random, text: str) -> bytes:
    at = rng.choice([index for index, char in enumerate(text) if char == "{"] or [0])
    return (text[: at + 1] + '"schema_version": 1, "schema_version": 2, ' + text[at + 1 :]).encode()


def _literal(rng: Random, text: str) -> bytes:
    """Something that is a number in some readers and no JSON in others."""
    starts = [index for index, char in enumerate(text) if char.isdigit()] or [0]
    at = rng.choice(starts)
    odd = rng.choice(("NaN", "-Infinity", "1e99999", "9" * 5000, "0x10", "1_000", "'a'", "\ufeff1"))
    return (text[:at] + odd + text[at + 1 :]).encode()


def _deep(rng: Random, text: str) -> bytes:
    depth = rng.choice((500, 20_000, 200_000))
    brackets = rng.choice((("[", "]"), ('{"a":', "}")))
    at = rng.choice([index for index, char in enumerate(text) if char in "[:"] or [0])
    closing = brackets[1] * depth if rng.random() < 0.5 else ""
    return (text[: at + 1] + brackets[0] * depth + "1" + closing + "," + text[at + 1 :]).encode()


_SPELLINGS: tuple[Callable[[Random, str], bytes], ...] = (
    _key_twice,
    _literal,
    _literal,
    _deep,
    lambda _, text: text.encode("utf-16"),
    lambda _, text: b"\xef\xbb\xbf" + text.encode(),
    lambda rng, text: text.encode()[: rng.randrange(len(text))] + b"\xff\xfe" + text.encode(),
    lambda _, text: (text + text).encode(),
    lambda _, text: text.replace('"', "'").encode(),
    lambda _, text: b"",
)
