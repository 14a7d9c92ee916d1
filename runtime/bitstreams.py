"""What is read of a packet without decoding it, for codecs where a packet is a frame.

Sources: ITU-T H.264 (7.3.1, 7.4.1) and H.265 (7.3.1.2, 7.4.2.2) with ISO/IEC 14496-15 for their
lengths in MP4 and Matroska, ISO/IEC 14496-2 and 13818-2 for start codes, ITU-T T.81 for JPEG, the
VP9 bitstream specification (6.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

_START = b"\0\0\1"
_SHORTEST_MPEG4 = 12
"""Bytes. A frame that is not coded, which decoders leave out, takes about seven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bitstream:
    """How a codec is read.

    Attributes:
        sound: Whether a packet looks like one whole frame; takes its bytes and the codec's
            private data.
        entry: Whether decoding may start at a key packet (see `PacketFacts.entry`); likewise.
        droppable: Decoders leave out frames that no other refers to when told, and the others
            are the same then.
        intra: No frame refers to another one.
    """

    sound: Callable[[bytes, bytes], bool]
    entry: Callable[[bytes, bytes], bool]
    droppable: bool = False
    intra: bool = False


def _nal_units(packet: bytes, private: bytes, length_at: int) -> Iterator[bytes]:
    """First bytes of the NAL units of a packet; stops at what is none.

    Args:
        packet: Units behind start codes, or behind their lengths.
        private: Starts with 1 where it states lengths, in the two lowest bits at `length_at`.
        length_at: Position in `private`.
    """
    if private[:1] != b"\1" or len(private) <= length_at:
        at = packet.find(_START)
        while at >= 0 and at + 3 < len(packet):
            yield packet[at + 3 : at + 5]
            at = packet.find(_START, at + 3)
        return
    width = (private[length_at] & 3) + 1
    at = 0
    while at + width < len(packet):
        size = int.from_bytes(packet[at : at + width], "big")
        at += width
        if not 0 < size <= len(packet) - at:
            return
        yield packet[at : at + 2]
        at += size
    if at != len(packet):
        return


def _h264_slice(packet: bytes, private: bytes) -> int:
    """Type of the first slice's NAL unit; 0 when there is none."""
    types = (unit[0] & 0x1F for unit in _nal_units(packet, private, 4))
    return next((kind for kind in types if 1 <= kind <= 5), 0)


def _hevc_slice(packet: bytes, private: bytes) -> int:
    """Type of the first slice's NAL unit; -1 when there is none."""
    types = (unit[0] >> 1 & 0x3F for unit in _nal_units(packet, private, 21))
    return next((kind for kind in types if kind < 32), -1)


def _starts_with_code(packet: bytes, private: bytes) -> bool:
    return packet.startswith(_START)


def _mpeg4(packet: bytes, private: bytes) -> bool:
    return packet.startswith(_START) and len(packet) >= _SHORTEST_MPEG4


def _always(packet: bytes, private: bytes) -> bool:
    return True


BITSTREAMS: dict[str, Bitstream] = {
    "h264": Bitstream(
        sound=lambda packet, private: _h264_slice(packet, private) > 0,
        # Key frames that are no IDR pictures may be referred over.
        entry=lambda packet, private: _h264_slice(packet, private) == 5,
        droppable=True,
    ),
    "hevc": Bitstream(
        sound=lambda packet, private: _hevc_slice(packet, private) >= 0,
        # All random access points: what is shown after one does not refer over it.
        entry=lambda packet, private: 16 <= _hevc_slice(packet, private) <= 21,
    ),
    "mpeg4": Bitstream(sound=_mpeg4, entry=_always, droppable=True),
    "mpeg2video": Bitstream(sound=_starts_with_code, entry=_always, droppable=True),
    "mpeg1video": Bitstream(sound=_starts_with_code, entry=_always, droppable=True),
    "mjpeg": Bitstream(
        sound=lambda packet, private: packet.startswith(b"\xff\xd8"), entry=_always, intra=True
    ),
    "vp9": Bitstream(
        sound=lambda packet, private: packet[0] >> 6 == 2,
        entry=_always,
    ),
    "av1": Bitstream(sound=_always, entry=_always),
    "libdav1d": Bitstream(sound=_always, entry=_always),
}
"""By FFmpeg's names. Of other codecs every frame is decoded."""
