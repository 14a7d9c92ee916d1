"""Damaged and hostile pickles: what a `.pdparams` may be, written instruction by instruction."""

from __future__ import annotations

import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.byte_edits import edit_bytes

Attack = Callable[[Random, Path, bytes], bytes]
"""Makes a pickle; told the canary and an honest pickle."""


def edit_pickle(rng: Random, content: bytes, *, other: bytes, canary: Path) -> bytes:
    """A pickle that is wrong in some way.

    Args:
        rng: Decides everything.
        content: An honest one.
        other: Another file, of which pieces may be put in.
        canary: File that hostile content tries to make.
    """
    choice = rng.random()
    if choice < 0.3:
        return edit_bytes(rng, content, other=other)
    if choice < 0.5:
        return _edit_instructions(rng, content, canary)
    return rng.choice(_ATTACKS)(rng, canary, content)


def _edit_instructions(rng: Random, content: bytes, canary: Path) -> bytes:
    """Instructions left out, doubled, exchanged or put in; what stands between them stays whole."""
    starts = [position for _, _, position in pickletools.genops(content) if position is not None]
    pieces = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        edit = rng.randrange(5)
        if edit == 0:
            pieces[at] = b""
        elif edit == 1:
            pieces[at] += pieces[at] * rng.choice((1, 100))
        elif edit == 2:
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif edit == 3:
            pieces[at] = rng.choice(_SNIPPETS)
        else:
            module, name = rng.choice(_DANGEROUS)
            pieces[at] += f"c{module}\n{name}\n".encode()
    return b"".join(pieces)


_SNIPPETS = (
    *(b"(", b")", b"]", b"}", b"0", b"2", b"1", b"a", b"e", b"s", b"u", b"l", b"d", b"t", b"R"),
    *(b"b", b"o", b"\x81", b"\x92", b"Q", b"\x82\x01", b"\x8f", b"\x90", b"\x91", b"\x94", b"\x93"),
    *(b"h\x00", b"h\xff", b"j\xff\xff\xff\xff", b"r\xff\xff\xff\xff", b"N", b"I01\n", b"."),
    *(b"B\xff\xff\xff\xff", b"\x8e" + b"\xff" * 8, b"T\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f"),
    *(b"X\xff\xff\xff\xff", b"\x8d" + b"\xff" * 8, b"\x96" + b"\xff" * 8, b"\x97", b"\x98"),
    *(b"L" + b"9" * 9000 + b"L\n", b"Fnan\n", b"S'x'\n", b"Vx\\ud800\n", b"\x95" + b"\xff" * 8),
)

_DANGEROUS = (
    ("os", "system"),
    ("posix", "system"),
    ("nt", "system"),
    ("builtins", "eval"),
    ("builtins", "exec"),
    ("__builtin__", "eval"),
    ("builtins", "getattr"),
    ("builtins", "__import__"),
    ("builtins", "open"),
    ("builtins", "bytearray"),
    ("subprocess", "Popen"),
    ("runpy", "run_path"),
    ("pickle", "loads"),
    ("copyreg", "_reconstructor"),
    ("copyreg", "__newobj__"),
    ("functools", "partial"),
    ("operator", "attrgetter"),
    ("pathlib", "Path"),
    ("numpy", "load"),
    ("numpy", "fromfile"),
    ("numpy", "memmap"),
    ("numpy", "ones"),
    ("numpy", "frombuffer"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "fromfile"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.lib.npyio", "NpzFile"),
    ("numpy.testing._private.utils", "runstring"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("_codecs", "decode"),
    ("collections", "OrderedDict"),
    ("collections", "namedtuple"),
    ("paddle.base.core", "eager.Tensor"),
    ("paddle", "load"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("convert.pickled", "load_plain"),
    ("", ""),
    ("numpy.dtype", "type"),
)


def _system_call(rng: Random, canary: Path, content: bytes) -> bytes:
    """Calls that make the canary, each written in one of the ways there are to call."""
    command = f"touch {canary}"
    module, name, argument = rng.choice(
        (
            ("os", "system", command),
            ("posix", "system", command),
            ("subprocess", "getoutput", command),
            ("builtins", "eval", f"__import__('os').system({command!r})"),
            ("builtins", "exec", f"open({str(canary)!r}, 'w')"),
            ("__builtin__", "eval", f"open({str(canary)!r}, 'w')"),
            ("numpy.testing._private.utils", "runstring", f"open({str(canary)!r}, 'w')"),
            ("numpy", "memmap", str(canary)),
            ("runpy", "run_path", str(canary)),
            ("code", "interact", command),
        )
    )
    text = argument.encode().replace(b"\n", b"\\n")
    named = f"c{module}\n{name}\n".encode()
    stacked = b"\x8c" + bytes([len(module)]) + module.encode()
    stacked += b"\x8c" + bytes([len(name)]) + name.encode() + b"\x93"
    value = b"X" + struct.pack("<I", len(text)) + text
    call = rng.choice(
        (
            named + value + b"\x85R",
            b"\x80\x04" + stacked + value + b"\x85R",
            b"(" + value + f"i{module}\n{name}\n".encode(),
            b"(" + named + value + b"o",
            named + value + b"\x85\x81",
            named + value + b"\x85}\x92",
            named + b"(" + value + b"tR",
            named + b"q\x00" + value + b"\x85q\x01h\x00h\x01R",
            b"}" + value + named + value + b"\x85Rs",
            b"cnumpy.core.multiarray\n_reconstruct\n" + named + value + b"\x85R\x85R",
            b"cnumpy\ndtype\n" + named + value + b"\x85R\x85R" + named + b"b",
            b"ccopyreg\n_reconstructor\n(" + named + b"cbuiltins\nobject\nNtR" + value + b"b",
            b"ccollections\nOrderedDict\n]" + value + named + value + b"\x85R\x86a\x85R",
            value + b"Q" + named + value + b"\x85R",
            b"\x82\x01" + value + b"\x85R",
            b"}(" + value + named + value + b"\x85Ru",
        )
    )
    if rng.random() < 0.3:  # behind honest data
        return content[:-1] + b"0" + call + b"."
    return call + b"."


def _huge_sizes(rng: Random, canary: Path, content: bytes) -> bytes:
    """Lengths that the file does not have, or that would be terabytes."""
    size = rng.choice((2**31 - 1, 10**9, 2**40, 2**62, 2**64 - 1))
    four, eight = struct.pack("<I", min(size, 2**32 - 1)), struct.pack("<Q", size)
    return rng.choice(
        (
            b"\x80\x04B" + four + b"x.",
            b"\x80\x04\x8e" + eight + b"x.",
            b"\x80\x05\x96" + eight + b"x.",
            b"\x80\x04X" + four + b"x.",
            b"\x80\x04\x8d" + eight + b"x.",
            b"T" + struct.pack("<i", min(size, 2**31 - 1)) + b"x.",
            b"\x8b" + struct.pack("<i", min(size, 2**31 - 1)) + b"\x01.",
            b"\x80\x04\x95" + eight + b"N.",
            b"Nr" + four + b"}j" + four + b".",
            b"cbuiltins\nbytearray\nI" + str(size).encode() + b"\n\x85R.",
            b"cbuiltins\nbytes\nI" + str(size).encode() + b"\n\x85R.",
            b"cbuiltins\nrange\nI" + str(size).encode() + b"\n\x85R.",
            b"cnumpy\nones\nI" + str(size).encode() + b"\n\x85R.",
        )
    )


def _shapes(rng: Random, canary: Path, content: bytes) -> bytes:
    """Arrays whose shape, type and data do not agree."""
    shape = rng.choice(
        (
            (2**40,),
            (-1,),
            (0, 2**62),
            (1,) * 70,
            (2**32, 2**32),
            (3, 3),
            (),
            ("a",),
            ((1,),),
            (1.5,),
        )
    )
    kind = rng.choice(("f4", "O8", "V8", "M8", "U9", "f4,(9999,9999)i4", "f16", "c8", "x", "", "O"))
    data = rng.choice((b"", b"\x00" * 4, b"\x00" * 36, "text", None, 3, [b""], [1.0] * 9))
    order = rng.choice(("<", ">", "|", "=", "!", "", None, 7))
    state: object = (3, order, None, None, None, -1, -1, 0)
    if rng.random() < 0.2:
        state = rng.choice(((), (1,), (3, order), (3, order, ("x",), None, ("x", "y"), 8, 1, 16)))
    return _array(shape, kind, data, state)


def _array(shape: object, kind: str, data: object, state: object) -> bytes:
    """`{"w": array}` with all its parts given."""

    def inside(value: object) -> bytes:
        return pickle.dumps(value, protocol=2)[2:-1]  # without PROTO and STOP

    dtype = b"cnumpy\ndtype\n" + inside((kind, False, True)) + b"R" + inside(state) + b"b"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    made += b"K\x00\x85" + inside(b"b") + b"\x87R"
    whole = b"(K\x01" + inside(shape) + dtype + b"\x89" + inside(data) + b"tb"
    return b"\x80\x02}" + inside("w") + made + whole + b"s."


def _growth(rng: Random, canary: Path, content: bytes) -> bytes:
    """A few bytes that double something again and again."""
    rounds = rng.choice((10, 40, 70, 5000))
    return rng.choice(
        (
            b"(lp0\n" + b"".join(b"(h\x00h\x00lq\x00" for _ in range(rounds)) + b".",
            b")q\x00" + b"h\x00h\x00\x86q\x00" * rounds + b".",
            b"X\x04\x00\x00\x00aaaaq\x00" + b"h\x00h\x00\x86q\x00" * rounds + b".",
            b"]" + b"]a" * 0 + b"2" * rounds + b".",
            b"]" * (rounds * 30) + b"a" * (rounds * 30 - 1) + b".",
            b"(" * (rounds * 30) + b"t" * (rounds * 30) + b".",
            b"}q\x00" + b"X\x01\x00\x00\x00ah\x00s.",
            b"]q\x00h\x00a.",
            b"]q\x00" + b"h\x00" * 9 + b"\x85a.",
            b"cbuiltins\ntuple\n]q\x00h\x00a\x85R.",
            b"\x8fq\x00(h\x00\x90.",
            b"N" * (rounds * 400) + b".",
            b"(" + b"K\x01" * (rounds * 400) + b"l.",
            b"ccollections\nOrderedDict\n]q\x00(K\x01h\x00\x86h\x00\x86" + b"e\x85R.",
        )
    )


def _old_and_new(rng: Random, canary: Path, content: bytes) -> bytes:
    """Instructions and protocols that data seldom needs."""
    return rng.choice(
        (
            b"\x80\xff.",
            b"\x80\x05\x97.",
            b"\x80\x05N\x98.",
            b"P0\n.",
            b"I9\nQ.",
            b"\x82\x01.",
            b"\x83\x01\x02.",
            b"\x84\xff\xff\xff\x7f.",
            b"L99999L\n.",
            b"L" + b"9" * 100_000 + b"L\n.",
            b"\x8a\xff" + b"\xff" * 255 + b".",
            b"\x8b\x00\x00\x10\x00" + b"\x7f" * (1 << 20) + b".",
            b"Fabc\n.",
            b"S'\\x'\n.",
            b"Sabc\n.",
            b"V\\u12\n.",
            b"cos\n" + b"a" * 100_000 + b"\n.",
            b"c\n\n.",
            b"cbuiltins\nobject\n)\x81}b.",
            b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8\x85RC\x08"
            + b"a" * 8,
            b"}(h\x05.",
            b".",
            b"",
            b"N.N.",
            b"\x80\x02\x80\x03\x80\x04}.",
        )
    )


def _other_shapes_of_data(rng: Random, canary: Path, content: bytes) -> bytes:
    """Honest pickles of what is no checkpoint, or of an odd one."""
    import numpy as np

    w = np.zeros((2, 2), np.float32)
    values: tuple[Any, ...] = (
        *({}, [], None, 3, "text", b"bytes", (), [w], (w,), w, {"w": 3}, {"w": None}, {"w": "x"}),
        *({1: w}, {None: w}, {("a", "b"): w}, {b"w": w}, {"": w}, {"\ud800": w}, {"w\x00\n": w}),
        {"backbone." + "x" * 5000: w},
        {f"backbone.{i}": w for i in range(3000)},
        {"model": {"model": {"model": {"model": {"model": {"w": w}}}}}},
        {"state_dict": None, "model": {"w": w}},
        {"ema": w, "model": {}},
        {"Student.x": w, "Teacher.x": w},
        {"epoch": 3, "optimizer": {"x_moment1_0": w}, "LR_Scheduler": {"last_lr": 0.1}},
        {"StructuredToParameterName@@": {"w": "x"}, "w": w},
        {"StructuredToParameterName@@": 3, "w": w},
        {"StructuredToParameterName@@": {"w": ["x"]}, "w": w},
        {
            "UnpackBigParamInfor@@": {"w": {"OriginShape": (2**40,), "slices": ["w@@.0"]}},
            "w@@.0": w,
        },
        {"UnpackBigParamInfor@@": {"w": {"OriginShape": (2, 2), "slices": ["gone"]}}},
        {"UnpackBigParamInfor@@": [1], "w": w},
        {"UnpackBigParamInfor@@": {"w": {"OriginShape": "x", "slices": 3}}, "w": w},
        {"w": ("linear_0.w_0", w)},
        {"w": ("linear_0.w_0", w, 1)},
        {"w": np.array([], np.float32), "v": np.array(3.0)},
        {"w": w.astype(np.complex64)},
        {"w": w.astype(np.float16), "v": w.astype(np.int8)},
        {"w": np.array(["a"]), "v": np.array([True])},
        {"w": np.float32(3), "v": np.int64(4)},
        {"w": w > 0},
        {"module.w": w, "_layers.v": w},
        {"0.w": w, "1.w": w},
    )
    return pickle.dumps(rng.choice(values), protocol=rng.choice((0, 1, 2, 3, 4, 5)))


_ATTACKS: tuple[Attack, ...] = (
    *(_system_call, _system_call, _system_call, _huge_sizes, _shapes, _shapes),
    *(_growth, _old_and_new, _other_shapes_of_data, _other_shapes_of_data),
)
