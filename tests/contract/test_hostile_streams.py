"""Servers that answer with anything: an error in one sentence, or a source that is tried again."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import SourceError
from runtime.records import Frame, SourceEvent
from runtime.sources import SourceOptions, open_source
from tests.stream_servers import jpeg
from tests.video_files import write_numbered

CASES = 60
"""Of each kind of answer."""

_SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:stream=0\r\n"
)
_RTSP = (
    "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n"
    "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Type: application/sdp\r\n"
    f"Content-Length: {len(_SDP)}\r\n\r\n{_SDP}"
    "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 1\r\n"
    "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
    "RTSP/1.0 200 OK\r\nCSeq: 4\r\nSession: 1\r\n\r\n"
).encode()
_PLAYLIST = (
    b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
    b"#EXTINF:1.0,\nlive.m3u8\n#EXTINF:1.0,\nfile:///etc/passwd\n#EXTINF:1.0,\nconcat:a|b\n"
    b'#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/passwd"\n#EXTINF:1.0,\ndata:video/mp4;base64,AA\n'
)


def answers(kind: str, folder: Path) -> bytes:
    """A good answer, which is then spoiled."""
    if kind == "rtsp":
        return _RTSP
    if kind == "playlist":
        head, body = "application/vnd.apple.mpegurl", _PLAYLIST
    elif kind == "file":
        head, body = "video/mp4", write_numbered(folder / "clip.mp4", 10).read_bytes()
    else:
        parts = [b"--f\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(n) + b"\r\n" for n in range(4)]
        head, body = "multipart/x-mixed-replace; boundary=f", b"".join(parts)
    return f"HTTP/1.0 200 OK\r\nContent-Type: {head}\r\n\r\n".encode() + body


def spoiled(answer: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut out, doubled, or all of it cut off."""
    data = bytearray(answer)
    for _ in range(chance.choice((0, 1, 3, 30))):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 40)]
            case 2:
                data[at:at] = data[max(0, at - chance.randrange(1, 200)) : at]
            case _:
                data[at:at] = chance.choice((b"\r\n", b"\0" * 9, b"9" * 30, b"-1", b"%n%s"))
        data = data or bytearray(b"x")
    return bytes(data[: chance.randrange(len(data))] if chance.random() < 0.3 else data)


class SpoiledServer:
    """Sends the next of some answers to whoever comes, and hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            with one:
                try:
                    one.settimeout(0.2)
                    one.recv(65536)
                    one.sendall(self.answer)
                    one.shutdown(socket.SHUT_WR)
                    while one.recv(65536):
                        pass
                except OSError:
                    continue

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def server() -> Iterator[SpoiledServer]:
    one = SpoiledServer()
    yield one
    one.close()


@pytest.mark.parametrize("kind", ["rtsp", "mjpeg", "file", "playlist"])
def test_whatever_a_server_says(server: SpoiledServer, tmp_path: Path, kind: str) -> None:
    answer, chance = answers(kind, tmp_path), random.Random(len(kind))
    scheme, name = ("rtsp", "live") if kind == "rtsp" else ("http", "live.m3u8")
    uri = f"{scheme}://me:s3cret@127.0.0.1:{server.port}/{name}"
    options = SourceOptions(open_timeout_s=0.5, read_timeout_s=0.5, retries=0)
    outcomes: set[type] = set()
    for _ in range(CASES):
        server.answer = spoiled(answer, chance)
        try:
            with open_source(uri, options) as source:
                for item in source.frames():
                    outcomes.add(type(item))
                    assert isinstance(item, SourceEvent) or item.picture.size
                    if isinstance(item, Frame) and item.index > 20:
                        break
        except SourceError as error:
            said = error.message + error.hint
            assert "s3cret" not in said
            assert "\n" not in said
            outcomes.add(SourceError)
    assert SourceError in outcomes
    assert (Frame in outcomes) == (kind in ("mjpeg", "file"))
