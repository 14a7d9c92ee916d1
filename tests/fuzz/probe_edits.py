"""Damaged and hostile probe files: archives of arrays."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.fuzz.byte_edits import edit_bytes
from tests.fuzz.pickle_edits import edit_pickle

Members = dict[str, bytes]


def edit_probe(rng: Random, content: bytes, *, other: bytes, canary: Path) -> bytes:
    """A `probe.npz` that is wrong in some way.

    Args:
        rng: Decides everything.
        content: An honest one.
        other: Another file, of which pieces may be put in.
        canary: File that hostile content tries to make.
    """
    if rng.random() < 0.4:
        return edit_bytes(rng, content, other=other)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    compression = zipfile.ZIP_STORED
    choice = rng.random()
    if choice < 0.35:
        members[rng.choice(list(members))] = _saved(rng.choice(_arrays()))
    elif choice < 0.6:
        name = rng.choice(list(members))
        members[name] = rng.choice(_HEADERS)(rng, members[name])
    elif choice < 0.75:
        name = rng.choice(list(members))
        members[name] = edit_bytes(rng, members[name], other=other)
    elif choice < 0.85:
        members[rng.choice(list(members))] = edit_pickle(
            rng, b"\x80\x04]q\x00K\x01a.", other=other, canary=canary
        )
    elif choice < 0.95:
        compression = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        side = rng.choice((10, 9_000))  # 81 million zeros make 80 kB
        members[rng.choice(list(members))] = _header((side, side), "|u1") + b"\x00" * side**2
    else:
        members.pop(rng.choice(list(members)))
        members[rng.choice(("seeds", "../x.npy", "logits.npy", "x" * 900))] = b""
    return _zipped(rng, members, compression)


def _zipped(rng: Random, members: Members, compression: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    content = target.getvalue()
    if rng.random() < 0.15:  # one of the sizes, methods or flags of an entry
        at = content.rfind(b"PK\x01\x02") + rng.choice((8, 10, 20, 24, 42))
        odd = struct.pack("<H", rng.choice((0, 1, 9, 12, 99, 0xFFFF)))
        content = content[:at] + odd + content[at + 2 :]
    return content


def _saved(array: Any) -> bytes:
    target = io.BytesIO()
    np.save(target, array, allow_pickle=True)
    return target.getvalue()


def _arrays() -> tuple[Any, ...]:
    seeds, logits = np.zeros((3, 4, 3, 4, 4), np.float32), np.zeros((3, 4), np.float32)
    return (
        *(seeds, logits, seeds[:0], logits[:0], seeds[:1], np.float32(3), seeds.astype(np.int8)),
        *(logits.astype(np.complex64), logits.astype("U9"), logits.astype(object), logits > 0),
        *(np.array([{"a": 1}], object), np.array("2001", "M8[D]"), np.zeros(3, "i4,f8")),
        *(np.full_like(seeds, np.nan), np.full_like(logits, np.inf), seeds.T, logits[..., None]),
        *(seeds.astype(np.float16), logits.astype(np.float64) * 1e300, np.zeros((0, 0))),
        *(seeds.astype("V4"), np.array(b"bytes"), np.zeros((1,) * 30), logits.astype("O")),
        *(np.zeros((9000, 4, 3, 4, 4), np.float32), np.zeros((3, 2**20), np.float32)),
    )


def _header(shape: Any, kind: str, *, fortran: bool = False) -> bytes:
    text = f"{{'descr': {kind!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    return _with_header(text.encode())


def _with_header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n"


def _odd_shape(rng: Random, member: bytes) -> bytes:
    shape = rng.choice(
        ("(2**40,)", "(1099511627776,)", "(-1,)", "(0, 4611686018427387904)", "3", "()", "(3.5,)")
    )
    return _header(shape, rng.choice(("<f4", "|u1"))) + member[128:]


def _odd_type(rng: Random, member: bytes) -> bytes:
    kind = rng.choice(
        ("|O", "<U9999999", "|V0", "<f4,<f4", ">f4", "|S0", "<M8[ns]", "<c16", "x", "")
    )
    return _header("(3, 4)", kind) + member[128:]


def _odd_header(rng: Random, member: bytes) -> bytes:
    text = rng.choice(
        (
            "",
            "[]",
            "{}",
            "(" * 200 + ")" * 200,
            "(" * 60_000,
            "__import__('os').system('id')",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (3,)}",
            "{'descr': [('a', '<f4'), ('a', '<f4')], 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), 'x': 1}",
            "9" * 9000,
            "-" * 9000 + "1",
            "\x00",
        )
    )
    return _with_header(text.encode()[:65_000]) + member[128:]


_HEADERS: tuple[Callable[[Random, bytes], bytes], ...] = (
    _odd_shape,
    _odd_type,
    _odd_header,
    lambda rng, member: b"\x93NUMPY" + bytes([rng.choice((0, 2, 3, 9)), 0]) + member[8:],
    lambda _, member: b"",
)
