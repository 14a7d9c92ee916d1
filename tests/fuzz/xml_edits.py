"""Damaged and hostile XML files: graphs in OpenVINO's own format."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

_VALUES = (
    *(
        "",
        "0",
        "-1",
        "1",
        "7",
        "99999",
        "2147483648",
        "4611686018427387904",
        "-9223372036854775808",
    ),
    *(
        "1e999",
        "nan",
        "x",
        "f32",
        "i64",
        "u4",
        "dynamic",
        "1,2,3",
        "-1,-1",
        "9999999999,9999999999",
    ),
    *(
        "Convolution",
        "Loop",
        "TensorIterator",
        "Parameter",
        "Result",
        "opset99",
        "../../x",
        "a" * 5000,
    ),
)
_ATTRIBUTE = re.compile(rb'(\w+)="([^"]*)"')
_TAG = re.compile(rb"<(/?)(\w+)[^>]*>")
_ENTITIES = b"".join(
    b'<!ENTITY e%d "%s">' % (level, b"&e%d;" % (level - 1) * 10) for level in range(1, 12)
)


def edit_xml(rng: Random, content: bytes) -> bytes:
    """An XML file that is wrong in one to three places."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(_EDITS)(rng, content)
    return content


def _attribute(rng: Random, content: bytes) -> bytes:
    """Another value of one attribute, or none."""
    found = list(_ATTRIBUTE.finditer(content))
    if not found:
        return content
    one = rng.choice(found)
    value = rng.choice(_VALUES).encode()
    new = b"" if rng.random() < 0.1 else one[1] + b'="' + value + b'"'
    return content[: one.start()] + new + content[one.end() :]


def _number(rng: Random, content: bytes) -> bytes:
    """Another number, in an attribute or in a text."""
    found = list(re.finditer(rb"(?<=[\">])-?\d+(?=[\"<])", content))
    if not found:
        return content
    one = rng.choice(found)
    value = int(one[0])
    new = rng.choice((value + 1, value - 1, -value, value * 2**16, 0, 2**31, 2**62))
    return content[: one.start()] + b"%d" % new + content[one.end() :]


def _tag(rng: Random, content: bytes) -> bytes:
    """A tag that is lost, doubled or exchanged for another."""
    found = list(_TAG.finditer(content))
    if not found:
        return content
    one, other = rng.choice(found), rng.choice(found)
    new = rng.choice((b"", one[0] * 2, other[0], b"<" + other[2] + b"/>"))
    return content[: one.start()] + new + content[one.end() :]


def _element(rng: Random, content: bytes) -> bytes:
    """A layer or an edge that is lost, doubled, or there many times."""
    name = rng.choice((b"layer", b"edge", b"port", b"dim", b"data"))
    pattern = rb"<" + name + rb"\b[^>]*?/>|<" + name + rb"\b.*?</" + name + rb">"
    found = list(re.finditer(pattern, content, re.DOTALL))
    if not found:
        return content
    one = rng.choice(found)
    return content[: one.start()] + one[0] * rng.choice((0, 0, 2, 500)) + content[one.end() :]


def _preamble(rng: Random, content: bytes) -> bytes:
    """What readers of XML have been attacked with."""
    attack = rng.choice(
        (
            b'<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
            b'<!DOCTYPE net [<!ENTITY e0 "ha">' + _ENTITIES + b"]>",
            b"<a>" * 100_000,
            b'<?xml version="1.0" encoding="UTF-16"?>',
            b"\x00",
        )
    )
    return attack + content.replace(b"Convolution", b"&x;", rng.choice((0, 1)))


_EDITS: tuple[Callable[[Random, bytes], bytes], ...] = (
    *(_attribute, _attribute, _attribute, _number, _number, _tag, _element, _element, _preamble),
)
