"""What servers may answer to somebody who wants to see a video over RTSP."""

# ruff: noqa: E501 (tables)
from __future__ import annotations

import base64
import random
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.hostile.case import SECRET
from tests.hostile.hosts import Answer

_NOISE = random.Random(5).randbytes(30_000)
_PARAMETERS = (
    base64.b64encode(b"\x67\x42\xc0\x1e" + b"\xff" * 40) + b"," + base64.b64encode(b"\x68")
)
_VIDEO = b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
_SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n" + _VIDEO + b"a=control:t\r\n"
_ROOM = b"Session: 7\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"


def _reply(asked: bytes, status: bytes = b"200 OK", lines: bytes = b"", body: bytes = b"") -> bytes:
    number = asked.partition(b"CSeq: ")[2].partition(b"\r\n")[0]
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return b"RTSP/1.0 %s\r\nCSeq: %s\r\n%s%s\r\n%s" % (status, number, lines, length, body)


def _good(asked: bytes, sdp: bytes = _SDP) -> bytes:
    """What an honest server says, until it is to send pictures."""
    method = asked.partition(b" ")[0]
    if method == b"OPTIONS":
        return _reply(asked, lines=b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")
    if method == b"DESCRIBE":
        return _reply(asked, lines=b"Content-Type: application/sdp\r\n", body=sdp)
    return _reply(asked, lines=_ROOM if method == b"SETUP" else b"Session: 7\r\n")


def _flood(part: bytes) -> Sequence[bytes | float]:
    return [part, 0.01] * 400


def _at(method: bytes, *parts: bytes | float, after: bool = False) -> Answer:
    """Something else to one method, instead of what it should be or after it."""

    def answer(host: str, asked: bytes) -> Iterator[bytes | float]:
        if not asked.startswith(method):
            yield _good(asked)
            return
        if after:
            yield _good(asked)
        yield from parts

    return answer


def _status(method: bytes, status: bytes, lines: bytes = b"", body: bytes = b"") -> Answer:
    def answer(host: str, asked: bytes) -> Iterable[bytes]:
        said = lines.replace(b"HOST", host.encode())
        return (_reply(asked, status, said, body) if asked.startswith(method) else _good(asked),)

    return answer


def _described(sdp: bytes) -> Answer:
    return lambda host, asked: (_good(asked, sdp),)


def _always(asked_of: bytes, part: bytes) -> Answer:
    """The same without end, after an honest answer to a method."""
    return _at(asked_of, *_flood(part), after=True)


def _rtp(payload: bytes, channel: int = 0, kind: int = 96) -> bytes:
    packet = struct.pack(">BBHII", 0x80, kind, 1, 2, 3) + payload
    return b"$" + bytes([channel]) + struct.pack(">H", len(packet)) + packet


def _header(body: bytes) -> bytes:
    return b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n" + body


_JPEG = b"m=video 0 RTP/AVP 26\r\na=control:t\r\n"

ANSWERS: Mapping[str, Answer] = {
    "nothing": lambda host, asked: (),
    "noise": lambda host, asked: (_NOISE,),
    "HTTP": lambda host, asked: (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",),
    "half an answer": lambda host, asked: (b"RTSP/1.0 200 O",),
    "half an answer, and silence": lambda host, asked: (b"RTSP/1.0 200 OK\r\nCSeq", 3.0),
    "silence": lambda host, asked: (4.0,),
    "no number": lambda host, asked: (b"RTSP/1.0 200 OK\r\n\r\n",),
    "another number": lambda host, asked: (b"RTSP/1.0 200 OK\r\nCSeq: 99999999999\r\n\r\n",),
    "headers without end": _at(b"OPTIONS", b"RTSP/1.0 200 OK\r\n", *_flood(b"X: y\r\n" * 4000)),
    "a header without end": _at(b"OPTIONS", b"RTSP/1.0 200 OK\r\nX: ", *_flood(b"y" * 50_000)),
    "answers without end": _at(b"OPTIONS", *_flood(b"RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\n" * 900)),
    **{
        f"{status.decode()} to {method.decode()}": _status(method, status)
        for method, status in (
            (b"OPTIONS", b"404 Not Found"), (b"OPTIONS", b"501 Not"), (b"OPTIONS", b"000 Zero"),
            (b"OPTIONS", b"999 Odd"), (b"OPTIONS", b"-1 Minus"), (b"DESCRIBE", b"400 Bad"),
            (b"DESCRIBE", b"401 No"), (b"DESCRIBE", b"403 No"), (b"DESCRIBE", b"404 No"),
            (b"DESCRIBE", b"454 Session"), (b"DESCRIBE", b"500 Error"), (b"DESCRIBE", b"503 Busy"),
            (b"DESCRIBE", b"200 OK"), (b"SETUP", b"404 No"), (b"SETUP", b"461 Transport"),
            (b"SETUP", b"500 Error"), (b"PLAY", b"404 No"), (b"PLAY", b"455 Not now"),
            (b"PLAY", b"500 Error"))
    },
    **{
        f"401 with {one[:16]!r}": _status(b"", b"401 No", b"WWW-Authenticate: " + one + b"\r\n")
        for one in (b'Basic realm="x"', b'Digest realm="x", nonce="y"', b"Digest", b"\x00\xff",
                    b'Digest realm="' + b"a" * 9000 + b'", nonce="b"', b'Digest nonce="%s%n"')
    },
    **{
        f"moved to {one[:20]!r}": _status(b"DESCRIBE", b"302 Moved", b"Location: " + one + b"\r\n")
        for one in (b"rtsp://HOST/c0", b"file:///etc/passwd", b"http://HOST/c0", b"", b"rtsp://",
                    b"rtsp://user:" + SECRET.encode() + b"@127.0.0.1:1/x", b"rtsp://HOST/" + b"c" * 9000)
    },
    **{
        f"a description of {length} bytes": _status(
            b"DESCRIBE", b"200 OK", b"Content-Type: application/sdp\r\nContent-Length: %s\r\n" % length.encode(), b"")
        for length in ("-1", "10000000000", "2147483647", "99999999999999999999", "abc")
    },
    **{
        f"a description with {name}": _described(sdp)
        for name, sdp in {
            "noise": _NOISE, "text": b"hello\r\n" * 90, "a page": b"<html></html>" * 90,
            "nothing in it": _header(b""), "zero bytes": _header(b"m=vi\x00deo 0 RTP/AVP 96\r\n"),
            "sound alone": _header(b"m=audio 0 RTP/AVP 0\r\na=control:t\r\n"),
            "a text track": _header(b"m=text 0 RTP/AVP 98\r\na=control:t\r\n"),
            "an unknown codec": _header(b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 WHAT/90000\r\na=control:t\r\n"),
            "no codec": _header(b"m=video 0 RTP/AVP 96\r\na=control:t\r\n"),
            "a clock of 0": _header(b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/0\r\na=control:t\r\n"),
            "a clock of less": _header(b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/-9\r\na=control:t\r\n"),
            "a clock of much": _header(b"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/99999999999\r\na=control:t\r\n"),
            "absurd parameters": _SDP + b"a=fmtp:96 sprop-parameter-sets=" + _PARAMETERS + b"\r\n",
            "parameters that are none": _SDP + b"a=fmtp:96 sprop-parameter-sets=" + b"!,=" * 3000 + b"\r\n",
            "a size of 99999x99999": _SDP + b"a=framesize:96 99999-99999\r\na=fmtp:96 width=99999;height=-1\r\n",
            "a rate of NaN": _SDP + b"a=framerate:nan\r\na=range:npt=nan-inf\r\n",
            "tracks in files": _header(_VIDEO + b"a=control:file:///etc/passwd\r\n"),
            "tracks elsewhere": _header(_VIDEO + b"a=control:rtsp://127.0.0.1:1/x\r\n"),
            "10000 tracks": _header((_VIDEO + b"a=control:t\r\n") * 10_000),
            "a line of a megabyte": _header(b"a=" + b"x" * (1 << 20) + b"\r\n" + _VIDEO),
            "a far group": _SDP + b"c=IN IP4 239.1.1.1/999\r\nb=AS:-1\r\n",
        }.items()
    },
    **{
        f"room {lines[:36]!r}": _status(b"SETUP", b"200 OK", lines + b"\r\n")
        for lines in (b"Session: 7", b"Session: " + b"s" * 60_000, b"Session: 7\r\nTransport: x",
                      b"Session: 7;timeout=-1\r\nTransport: RTP/AVP/TCP;interleaved=300-900",
                      b"Session: 7\r\nTransport: RTP/AVP;server_port=0-70000;destination=8.8.8.8",
                      b"Session: 7\r\nTransport: RTP/AVP/TCP;interleaved=" + b"9" * 4000)
    },
    "no pictures": _at(b"PLAY", 3.0, after=True),
    "the end at once": _at(b"PLAY", b"RTSP/1.0 200 OK\r\n"),
    "noise for pictures": _at(b"PLAY", _NOISE * 4, after=True),
    "half a packet": _at(b"PLAY", b"$\x00\xff\xff" + bytes(99), after=True),
    "packets of nothing": _always(b"PLAY", b"$\x00\x00\x00" * 5000),
    "packets of noise": _always(b"PLAY", _rtp(_NOISE[:1400]) * 20),
    "packets of no channel": _always(b"PLAY", _rtp(_NOISE[:1400], channel=250) * 20),
    "packets of another kind": _always(b"PLAY", _rtp(_NOISE[:1400], kind=33) * 20),
    "parts of a picture without end": _always(b"PLAY", _rtp(b"\x7c\x05" + b"\xff" * 1300) * 20),
    "answers for pictures": _always(b"PLAY", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n" * 500),
    "questions for pictures": _always(b"PLAY", b"REDIRECT rtsp://x RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 500),
    "farewells": _always(b"PLAY", b"$\x01\x00\x08\x81\xcb\x00\x01\x00\x00\x00\x03" * 900),
    "JPEG of noise": lambda host, asked: (
        _good(asked, _header(_JPEG)),
        *(_flood(_rtp(bytes(6) + b"\xff\xff" + _NOISE[:1200], kind=26 | 128) * 20)
          if asked.startswith(b"PLAY") else [])),
}  # fmt: skip
"""Where they say nothing of a method, they answer it as they should."""
