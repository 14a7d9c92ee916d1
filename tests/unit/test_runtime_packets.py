from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runtime.packets import PacketFacts, Stretch, decoded_packets, presentation_order, stretches


def groups(*sizes: int) -> list[PacketFacts]:
    """Closed groups of pictures, shown in the order of decoding."""
    return [
        PacketFacts(pts=number, entry=within == 0)
        for number, within in enumerate(i for size in sizes for i in range(size))
    ]


def test_the_example() -> None:
    assert stretches(groups(12, 12), {5, 14, 16}, worth=1) == (Stretch(0, 5), Stretch(12, 16))


def test_short_gaps_are_decoded() -> None:
    packets = groups(12, 12, 12)
    assert stretches(packets, {9, 14, 35}, worth=3) == (Stretch(0, 14), Stretch(24, 35))
    assert stretches(packets, {9, 14, 35}, worth=2)[0] == Stretch(0, 9)
    assert stretches(packets, {14, 20}, worth=1) == (Stretch(12, 20),)


def test_what_is_shown_before_an_entry_is_decoded_from_the_one_before() -> None:
    # Shown: I0 B1 B2 P3 B4 B5 I6 ...; decoded: I0 P3 B1 B2 I6 B4 B5.
    packets = [PacketFacts(pts, pts in (0, 6)) for pts in (0, 3, 1, 2, 6, 4, 5, 9, 7)]
    assert stretches(packets, {6}, worth=1) == (Stretch(0, 6),)
    (only,) = stretches(packets, {8}, worth=1)
    assert only == Stretch(4, 8)
    assert list(decoded_packets(packets, only)) == [4, 7, 8]
    # B4 is wanted too.
    assert stretches(packets, {4, 5}, worth=1) == (Stretch(0, 5),)


def test_files_whose_packets_are_no_sure_frames() -> None:
    assert presentation_order([]) is None
    assert presentation_order([PacketFacts(0, entry=False)]) is None
    assert presentation_order([PacketFacts(0, entry=True), PacketFacts(0, entry=False)]) is None
    # Cut out of a longer recording: the second is shown before the first key frame.
    assert presentation_order([PacketFacts(5, entry=True), PacketFacts(3, entry=False)]) is None
    shuffled = [PacketFacts(pts, pts == 0) for pts in (0, 3, 1, 2)]
    assert presentation_order(shuffled) == (0, 2, 3, 1)


@st.composite
def videos(draw: st.DrawFn) -> tuple[list[PacketFacts], dict[int, set[int]]]:
    """Packets in the order of decoding, and for each the packets that it refers to."""
    packets: list[PacketFacts] = []
    refers: dict[int, set[int]] = {}
    shown = 0
    anchor: int | None = None
    for _ in range(draw(st.integers(1, 12))):
        bidirectional = 0 if anchor is None else draw(st.integers(0, 3))
        entry = anchor is None or draw(st.booleans())
        number = len(packets)
        packets.append(PacketFacts(shown + bidirectional, entry))
        refers[number] = set() if entry or anchor is None else {anchor}
        for place in range(bidirectional):
            assert anchor is not None
            refers[len(packets)] = {anchor, number}
            packets.append(PacketFacts(shown + place, entry=False))
        shown += bidirectional + 1
        anchor = number
    return packets, refers


@given(videos(), st.data())
def test_all_that_is_referred_to_is_decoded(
    video: tuple[list[PacketFacts], dict[int, set[int]]], data: st.DataObject
) -> None:
    packets, refers = video
    wanted = data.draw(st.sets(st.integers(0, len(packets) - 1)))
    worth = data.draw(st.integers(1, 6))
    order = presentation_order(packets)
    assert order is not None
    assert [packets[number].pts for number in order] == list(range(len(packets)))
    found = stretches(packets, wanted, worth=worth)
    decodable: set[int] = set()
    last = -1
    for stretch in found:
        # The decoder starts anew: nothing decoded before may be used.
        assert packets[stretch.first].entry
        assert stretch.first > last
        last = stretch.last
        decoded = set(decoded_packets(packets, stretch))
        for number in sorted(decoded):
            assert refers[number] <= decoded
        decodable |= decoded
    assert wanted <= decodable
    assert all(after.first - before.last > worth for before, after in pairwise(found))
