"""Video files for tests: written by OpenCV or PyAV, and MP4 boxes edited to make awkward ones."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.records import Picture

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
ARCHERY = SHARED / "clips" / "archery.avi"

_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def numbered_picture(number: int, *, width: int = 64, height: int = 48) -> Picture:
    """RGB picture that shows `number` (0 to 31) as eight-level stripes that survive encoding."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for bit in range(5):
        if number >> bit & 1:
            picture[:, bit * width // 5 : (bit + 1) * width // 5] = 230
    return picture


def number_of(picture: Picture) -> int:
    """Number that `numbered_picture` drew, after any encoding or resize."""
    height, width = picture.shape[:2]
    row = picture[height // 2].mean(axis=-1)
    return sum(int(row[(2 * bit + 1) * width // 10] > 115) << bit for bit in range(5))


def write_video(path: Path, pictures: Sequence[Picture], *, fps: float = 25.0) -> Path:
    """Encode RGB pictures: MPEG-4 into .mp4 and .mkv, Motion JPEG into .avi."""
    codec = "MJPG" if path.suffix == ".avi" else "mp4v"
    height, width = pictures[0].shape[:2]
    size = (width, height)
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, size)
    assert writer.isOpened()
    for picture in pictures:
        writer.write(picture[:, :, ::-1].copy())
    writer.release()
    return path


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How `encode_video` encodes.

    Attributes:
        codec: FFmpeg's name of an encoder.
        pixels: Its pixel format.
        options: Its options.
        times_ms: When each picture is shown; None for 25 pictures per second.
    """

    codec: str = "libx264"
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    times_ms: Sequence[int] | None = None


def encode_video(path: Path, pictures: Sequence[Picture], encoding: Encoding) -> Path:
    """Encode RGB pictures with any encoder of PyAV; skips the test where it is missing."""
    import av

    if encoding.codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no encoder {encoding.codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoding.codec, rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = encoding.pixels, encoding.options
        stream.codec_context.thread_count = 1
        if encoding.times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            if encoding.times_ms is not None:
                frame.pts, frame.time_base = encoding.times_ms[number], Fraction(1, 1000)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def moving_pictures(count: int, *, width: int = 96, height: int = 64) -> list[Picture]:
    """Pictures that differ and move, so that codecs have something to refer to."""
    rng = np.random.default_rng(count)
    scene = rng.integers(0, 256, (height // 4 + count, width // 4 + count, 3), dtype=np.uint8)
    large = cv2.resize(scene, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    return [
        np.ascontiguousarray(large[2 * i : 2 * i + height, 3 * i : 3 * i + width])
        for i in range(count)
    ]


def write_numbered(path: Path, count: int, *, fps: float = 25.0) -> Path:
    """A video of `count` (at most 32) numbered pictures."""
    return write_video(path, [numbered_picture(i) for i in range(count)], fps=fps)


def rotate_metadata(path: Path) -> None:
    """State in an MP4 that it is to be shown turned by a quarter (clockwise)."""
    boxes = _parse(path.read_bytes())
    body = _find(boxes, b"tkhd").body
    start = 40 if body[0] == 0 else 52
    body[start : start + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(_pack(boxes))


def set_frame_ticks(path: Path, ticks: Sequence[int]) -> None:
    """Give every frame of an MP4 its own duration, in ticks of its time scale."""
    boxes = _parse(path.read_bytes())
    entries = b"".join(struct.pack(">II", 1, tick) for tick in ticks)
    _find(boxes, b"stts").body[:] = struct.pack(">II", 0, len(ticks)) + entries
    # The edit list would cut the track off at its old length.
    _find(boxes, b"edts").kind = b"free"
    path.write_bytes(_pack(boxes))


def time_scale(path: Path) -> int:
    """Ticks per second of the video track of an MP4."""
    body = _find(_parse(path.read_bytes()), b"mdhd").body
    return int(struct.unpack_from(">I", body, 12 if body[0] == 0 else 20)[0])


class _Node:
    """A box: its kind, and its bytes or its children."""

    def __init__(self, kind: bytes, body: bytearray, children: list[_Node] | None) -> None:
        self.kind, self.body, self.children = kind, body, children


def _parse(data: bytes) -> list[_Node]:
    nodes, position = [], 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
            header = 16
        content = data[position + header : position + size]
        children = _parse(content) if kind in _CONTAINERS else None
        nodes.append(_Node(kind, bytearray(content), children))
        position += size
    # Chunk offsets point into `mdat`: whatever grows must come after it.
    kinds = [node.kind for node in nodes]
    assert b"moov" not in kinds or kinds.index(b"mdat") < kinds.index(b"moov")
    return nodes


def _find(nodes: list[_Node], kind: bytes) -> _Node:
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node.kind == kind:
            return node
        pending.extend(node.children or [])
    raise AssertionError(f"no box {kind!r}")


def _pack(nodes: list[_Node]) -> bytes:
    packed = []
    for node in nodes:
        content = bytes(node.body) if node.children is None else _pack(node.children)
        packed.append(struct.pack(">I4s", len(content) + 8, node.kind) + content)
    return b"".join(packed)
