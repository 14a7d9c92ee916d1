"""Which packets of a video are decoded when only some of its frames are wanted. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class PacketFacts:
    """A packet that holds exactly one frame.

    Attributes:
        pts: When its frame is shown, in units of the stream; no other packet has the same.
        entry: Decoding may start here: no frame that is decoded after this one and shown after
            it refers to one that is decoded before it.
    """

    pts: int
    entry: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """Packets that are decoded one after the other, `first` to `last`, by their numbers.

    Attributes:
        first: An entry.
        last: Holds a wanted frame.
    """

    first: int
    last: int


def presentation_order(packets: Sequence[PacketFacts]) -> tuple[int, ...] | None:
    """Numbers of the packets in the order in which their frames are shown.

    Args:
        packets: In the order of decoding.

    Returns:
        None when a decoder might not give exactly these frames: there is no packet, two have the
        same time, or the first one is no entry or is not shown first (what is shown before it
        refers to frames that are not in the file).
    """
    order = sorted(range(len(packets)), key=lambda number: packets[number].pts)
    if not order or order[0] != 0 or not packets[0].entry:
        return None
    if any(packets[a].pts == packets[b].pts for a, b in pairwise(order)):
        return None
    return tuple(order)


def stretches(
    packets: Sequence[PacketFacts], wanted: Collection[int], *, worth: int
) -> tuple[Stretch, ...]:
    """The packets to decode for some of the frames, and no others where that can be avoided.

    From the last entry before each wanted packet on that is shown no later; that is the key frame
    that a player would seek to. With entries at 0 and 12, and frames shown as they are decoded,
    5, 14 and 16 wanted give 0 to 5 and 12 to 16.

    Args:
        packets: In the order of decoding; `presentation_order` accepts them.
        wanted: Numbers of packets.
        worth: Packets that must be left out for a new stretch to begin: a decoder that starts
            anew has to be emptied first. Shorter gaps are decoded.

    Returns:
        In order, not overlapping.
    """
    entries = [number for number, packet in enumerate(packets) if packet.entry]
    found: list[Stretch] = []
    for number in sorted(wanted):
        place = bisect_right(entries, number) - 1
        while packets[entries[place]].pts > packets[number].pts:
            place -= 1
        first = entries[place]
        while found and first - found[-1].last - 1 < worth:
            first = min(first, found.pop().first)
        found.append(Stretch(first, number))
    return tuple(found)


def decoded_packets(packets: Sequence[PacketFacts], stretch: Stretch) -> Iterator[int]:
    """Numbers of the packets of a stretch that are decoded.

    What follows the entry and is shown before it may refer to frames before the entry, and no
    frame that is shown after the entry refers to it: it is left out.
    """
    start_pts = packets[stretch.first].pts
    for number in range(stretch.first, stretch.last + 1):
        if packets[number].pts >= start_pts:
            yield number
