from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.bitstreams import BITSTREAMS

AVCC = b"\1\x64\0\x1f\xff"
"""Private data of H.264 in MP4: lengths of four bytes."""
HVCC = b"\1" + bytes(20) + b"\xff"


def with_lengths(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def with_codes(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit for unit in units)


@pytest.mark.parametrize(("packed", "private"), [(with_lengths, AVCC), (with_codes, b"")])
def test_h264(packed: object, private: bytes) -> None:
    assert callable(packed)
    h264 = BITSTREAMS["h264"]
    delimiter, parameters = b"\x09\x10", b"\x67\x64\0\x1f"
    idr, slice_ = b"\x65\x88\x84", b"\x41\x9a\x21"
    assert h264.sound(packed(delimiter, parameters, idr), private)
    assert h264.entry(packed(delimiter, parameters, idr), private)
    assert h264.sound(packed(delimiter, slice_), private)
    assert not h264.entry(packed(delimiter, slice_), private)
    assert not h264.sound(packed(delimiter, parameters), private)
    assert not h264.sound(bytes(64), private)


@pytest.mark.parametrize(("packed", "private"), [(with_lengths, HVCC), (with_codes, b"")])
def test_hevc(packed: object, private: bytes) -> None:
    assert callable(packed)
    hevc = BITSTREAMS["hevc"]
    for kind, entry in ((19, True), (20, True), (21, True), (16, True), (1, False), (8, False)):
        packet = packed(b"\x46\1\x50", bytes([kind << 1, 1]) + b"\xaf\x09")
        assert hevc.sound(packet, private)
        assert hevc.entry(packet, private) is entry
    assert not hevc.sound(packed(b"\x40\1\x0c"), private)


def test_start_codes() -> None:
    assert BITSTREAMS["mpeg2video"].sound(b"\0\0\1\xb3rest", b"")
    assert not BITSTREAMS["mpeg1video"].sound(bytes(50), b"")
    assert BITSTREAMS["mpeg4"].sound(b"\0\0\1\xb6" + b"x" * 20, b"")
    assert not BITSTREAMS["mpeg4"].sound(b"\0\0\1\xb6xyz", b"")
    assert BITSTREAMS["mjpeg"].sound(b"\xff\xd8\xff\xe0", b"")
    assert not BITSTREAMS["vp9"].sound(bytes(20), b"")


@given(st.binary(min_size=1, max_size=80), st.sampled_from([b"", AVCC, HVCC, b"\1"]))
def test_any_bytes_are_judged(packet: bytes, private: bytes) -> None:
    for bitstream in BITSTREAMS.values():
        assert bitstream.sound(packet, private) in (True, False)
        assert bitstream.entry(packet, private) in (True, False)
