"""Some frames of a file, without decoding all of it, exactly as reading it through gives them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import SourceError
from runtime.bitstreams import BITSTREAMS, Bitstream
from runtime.closing import ClosesOnExit
from runtime.elapsed import since_ms
from runtime.packets import PacketFacts, decoded_packets, presentation_order, stretches
from runtime.records import Frame
from runtime.timestamps import TimestampRepair
from runtime.video_file import DECODER_THREADS, VideoFile

if TYPE_CHECKING:
    from av import Packet, VideoFrame


Choose = Callable[[int], frozenset[int]]
"""Positions of the frames that are wanted, given how many there are."""

KEPT_BYTES = 64 << 20
"""Packets up to this size in all are kept from counting to decoding; more are read twice."""


class ChosenFrames(ClosesOnExit):
    """The chosen frames of a file that was counted without decoding it.

    Args:
        video: The file; closed with this.
        facts: Of its packets.
        kept: The packets themselves; None when they are read once more.
        choose: Which frames are wanted.

    Attributes:
        total: Number of frames in the file.
        times_s: Their times.
        complete: All wanted frames were handed out, and nothing pointed to damage.
    """

    def __init__(
        self,
        video: VideoFile,
        facts: Sequence[PacketFacts],
        kept: Sequence[Packet] | None,
        choose: Choose,
    ) -> None:
        self._video = video
        self._facts = facts
        self._kept = kept
        order = presentation_order(facts) or ()
        self.total = len(order)
        repair = TimestampRepair(video.fps)
        self.times_s = tuple(
            repair.repair(position, video.seconds(facts[number].pts))
            for position, number in enumerate(order)
        )
        self._wanted = {order[position]: position for position in choose(self.total)}
        self.complete = False

    def frames(self) -> Iterator[Frame]:
        """The wanted frames in the order in which they are shown; to be called once.

        Stops early when the file turns out to be damaged, or not to hold a frame per packet:
        `complete` stays false then.
        """
        missing = {self._facts[number].pts: position for number, position in self._wanted.items()}
        started_s = time.perf_counter()
        for decoded in self._decoded():
            position = missing.pop(decoded.pts, None)
            # Fields may have packets of their own.
            if self._video.damaged or decoded.interlaced_frame:
                return
            if position is None:
                continue
            arrived_s = time.monotonic()
            picture = self._video.picture(decoded)
            yield Frame(
                picture=picture,
                index=position,
                time_s=self.times_s[position],
                arrived_s=arrived_s,
                decode_ms=since_ms(started_s),
            )
            started_s = time.perf_counter()
        self.complete = not missing and not self._video.damaged

    def close(self) -> None:
        """Close the file."""
        self._video.close()

    def _decoded(self) -> Iterator[VideoFrame]:
        """Everything that comes out of the decoder on the way to the wanted frames."""
        bitstream = BITSTREAMS[self._video.codec]
        packets = self._packets()
        at = 0
        worth = 1 if bitstream.intra else 4 * DECODER_THREADS
        for stretch in stretches(self._facts, self._wanted, worth=worth):
            if at > 0 and not bitstream.intra:
                yield from self._video.decode(None)
                self._video.start_anew()
            for number in decoded_packets(self._facts, stretch):
                packet = next(islice(packets, number - at, None), None)
                if packet is None:
                    return
                at = number + 1
                if bitstream.droppable:
                    self._video.only_if_referred_to(number not in self._wanted)
                yield from self._video.decode(packet)
        yield from self._video.decode(None)

    def _packets(self) -> Iterator[Packet]:
        if self._kept is not None:
            yield from self._kept
            return
        with VideoFile(self._video.path) as again:
            yield from again.packets()


def chosen_frames(path: Path, choose: Choose) -> ChosenFrames | None:
    """Count the frames of a file without decoding them, and prepare to decode some.

    Args:
        path: A file.
        choose: Which frames are wanted.

    Returns:
        None when the number or the frames might not be those that decoding all of it gives:
        another codec, frames that share packets, anything that looks like damage.
    """
    try:
        video = VideoFile(path)
    except SourceError:
        return None
    counted = _counted(video)
    if counted is None:
        video.close()
        return None
    facts, kept = counted
    return ChosenFrames(video, facts, kept, choose)


def _counted(video: VideoFile) -> tuple[list[PacketFacts], list[Packet] | None] | None:
    """Facts of all packets, and the packets as long as they are few enough."""
    bitstream = BITSTREAMS.get(video.codec)
    if bitstream is None or not video.presented:
        return None
    facts: list[PacketFacts] = []
    kept: list[Packet] | None = []
    size = 0
    private = video.private
    for packet in video.packets():
        fact = _fact(packet, bitstream, private)
        if fact is None:
            return None
        facts.append(fact)
        size += packet.size
        if kept is not None:
            kept.append(packet)
        if size > KEPT_BYTES:
            kept = None
    expected = video.stated_frames
    if video.damaged or len(facts) + max(2, expected // 50) < expected:
        return None
    return None if presentation_order(facts) is None else (facts, kept)


def _fact(packet: Packet, bitstream: Bitstream, private: bytes) -> PacketFacts | None:
    """What is known of a packet; None when it might not give exactly one frame."""
    if packet.pts is None or packet.is_corrupt or packet.is_discard:
        return None
    data = bytes(packet)
    if not bitstream.sound(data, private):
        return None
    return PacketFacts(packet.pts, packet.is_keyframe and bitstream.entry(data, private))
