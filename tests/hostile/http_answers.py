"""What servers may answer to somebody who wants to see a video over HTTP."""

# ruff: noqa: E501 (tables)
from __future__ import annotations

import gzip
import itertools
import random
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial

import cv2
import numpy as np

from tests.hostile.case import CANARY, SECRET
from tests.hostile.hosts import Answer

_OK = b"HTTP/1.1 200 OK\r\n"
_MJPEG = _OK + b"Content-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
_HLS = _OK + b"Content-Type: application/vnd.apple.mpegurl\r\n\r\n"
_LIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"
_SEGMENT = b"#EXTINF:1,\n"
_END = b"#EXT-X-ENDLIST\n"
_FOREVER = 500


def _said(*parts: bytes | float) -> Answer:
    return lambda host, asked: parts


def _endless(start: bytes, part: bytes, wait_s: float = 0.01) -> Answer:
    def answer(host: str, asked: bytes) -> Iterator[bytes | float]:
        yield start
        for _ in range(_FOREVER):
            yield part
            yield wait_s

    return answer


def _drip(data: bytes, wait_s: float = 0.1) -> Answer:
    def answer(host: str, asked: bytes) -> Iterator[bytes | float]:
        for byte in data:
            yield bytes([byte])
            yield wait_s

    return answer


def _moved(place: bytes, status: bytes = b"302 Found") -> Answer:
    """To another place; `HOST` in it is this host."""

    def answer(host: str, asked: bytes) -> Iterable[bytes]:
        return (
            b"HTTP/1.1 %s\r\nLocation: %s\r\n\r\n"
            % (status, place.replace(b"HOST", host.encode()).replace(b"CANARY", CANARY.encode())),
        )

    return answer  # fmt: skip


def _again(host: str, asked: bytes) -> Iterable[bytes]:
    place = asked.split(b" ")[1]
    return (b"HTTP/1.1 301 Moved\r\nLocation: %s\r\n\r\n" % place,)


def _longer(host: str, asked: bytes) -> Iterable[bytes]:
    place = asked.split(b" ")[1]
    return (b"HTTP/1.1 302 Found\r\nLocation: http://%s%sx\r\n\r\n" % (host.encode(), place),)


def _playlist(body: bytes) -> Answer:
    """`HOST` is this host, and `SELF` the playlist."""

    def answer(host: str, asked: bytes) -> Iterable[bytes]:
        place = b"http://" + host.encode() + asked.split(b" ")[1]
        filled = body.replace(b"HOST", host.encode()).replace(b"CANARY", CANARY.encode())
        return (_HLS + filled.replace(b"SELF", place),)

    return answer


def _segments(*places: bytes, before: bytes = b"", end: bytes = _END) -> Answer:
    return _playlist(_LIST + before + b"".join(_SEGMENT + one + b"\n" for one in places) + end)


@cache
def jpeg() -> bytes:
    """A small picture."""
    return cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()


def jpeg_that_says(width: int, height: int) -> bytes:
    """A picture that states another size."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def png_that_says(width: int, height: int, rows: int = 0) -> bytes:
    """A picture of any stated size, with so many rows in it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes((3 * width + 1) * rows)) if rows else b""
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _part(data: bytes, length: object = None, kind: bytes = b"image/jpeg") -> bytes:
    size = str(len(data) if length is None else length).encode()
    return b"--frame\r\nContent-Type: %s\r\nContent-Length: %s\r\n\r\n%s\r\n" % (kind, size, data)


def _mjpeg(*parts: bytes) -> Answer:
    return _said(_MJPEG, *parts, 0.2)


@cache
def _bomb() -> bytes:
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    return b"".join(packed.compress(zeros) for _ in range(500)) + packed.flush()


def _bombed(kind: bytes, host: str, asked: bytes) -> Iterable[bytes]:
    return (_OK + b"Content-Encoding: " + kind + b"\r\n\r\n" + _bomb(),)


_NOISE = random.Random(3).randbytes(60_000)
_STATUS = (
    b"400 Bad Request", b"401 Unauthorized", b"402 Payment Required", b"403 Forbidden",
    b"404 Not Found", b"405 Method Not Allowed", b"407 Proxy", b"408 Timeout", b"410 Gone",
    b"416 Range", b"418 Teapot", b"429 Too Many", b"451 Legal", b"500 Error", b"501 Not",
    b"502 Bad Gateway", b"503 Busy", b"504 Timeout", b"511 Login", b"999 Odd", b"000 Zero",
    b"-1 Minus", b"abc Words", b"204 No Content", b"304 Not Modified", b"300 Choices",
    b"305 Proxy", b"101 Switching", b"206 Partial", b"200",
)  # fmt: skip

_LENGTHS = (b"-1", b"0", b"abc", b"99999999999999999999", b"10000000000", b"1e9", b"0x10", b"")

_PLACES = (
    b"file://CANARY", b"FILE://CANARY", b"file:CANARY", b"CANARY", b"",
    b"rtsp://HOST/c0", b"ftp://HOST/x", b"gopher://HOST/x", b"concat:CANARY|CANARY",
    b"subfile,,start,0,end,0,,:CANARY", b"crypto:file://CANARY", b"data:text/plain,x",
    b"cache:file://CANARY", b"tcp://HOST", b"udp://127.0.0.1:9", b"http://127.0.0.1:1/x",
    b"//", b"http://", b"http://[::1", b"http://HOST:99999/", b"\x1b[31m", b"%00", b"?" * 30_000,
    b"http://user:" + SECRET.encode() + b"@127.0.0.1:1/x", b"../../../../CANARY", b"pipe:0",
)  # fmt: skip

ANSWERS: Mapping[str, Answer] = {
    "nothing": _said(),
    "an empty line": _said(b"\r\n\r\n"),
    "thousands of empty lines": _endless(b"", b"\r\n" * 1000),
    "noise": _said(_NOISE),
    "noise without end": _endless(b"", _NOISE),
    "half a status": _said(b"HTTP/1.1 20"),
    "half a status, and silence": _said(b"HTTP/1.1 20", 3.0),
    "silence": _said(4.0),
    "half a head": _said(_OK + b"Content-Type: video/mp4\r\n"),
    "half a head, and silence": _said(_OK + b"Content-Type: video/mp4\r\n", 3.0),
    "headers without end": _endless(_OK, b"X: y\r\n" * 4000),
    "a header without end": _endless(_OK + b"X: ", b"y" * 60_000),
    "a cookie of a megabyte": _said(_OK + b"Set-Cookie: a=" + b"b" * (1 << 20) + b"\r\n\r\n"),
    "headers drop by drop": _drip(_OK + b"X: " + b"y" * 200),
    "a body drop by drop": _drip(_MJPEG + _part(jpeg())),
    "a picture without a head": _said(jpeg()),
    "a head without a body": _said(_OK + b"\r\n"),
    "a head, and silence": _said(_OK + b"\r\n", 3.0),
    "zero bytes in the head": _said(_OK + b"Content\x00-Type: a\x00b\r\n\x00: \x00\r\n\r\n"),
    "another protocol": _said(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "RTSP": _said(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"),
    "ICY": _said(b"ICY 200 OK\r\nicy-metaint: 1\r\n\r\n" + b"\xff" * 5000),
    "100 Continue without end": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    **{f"status {one.decode()}": _said(b"HTTP/1.1 " + one + b"\r\n\r\n") for one in _STATUS},
    **{
        f"401 with {one[:20]!r}": _said(
            b"HTTP/1.1 401 No\r\nWWW-Authenticate: " + one + b"\r\n\r\n"
        )
        for one in (b'Digest realm="' + b"a" * 9000, b"Basic", b"Digest nonce=", b"\x00", b"NTLM x")
    },
    **{
        f"length {one.decode()!r}": _said(_OK + b"Content-Length: " + one + b"\r\n\r\n0123456789")
        for one in _LENGTHS
    },
    "ten gigabytes, and silence": _said(_OK + b"Content-Length: 10000000000\r\n\r\nabc", 3.0),
    "two lengths": _said(_OK + b"Content-Length: 5\r\nContent-Length: 9\r\n\r\n0123456789"),
    "a range of nothing": _said(b"HTTP/1.1 206 P\r\nContent-Range: bytes 9-1/0\r\n\r\nabc"),
    **{
        f"chunk {one[:12]!r}": _said(_OK + b"Transfer-Encoding: chunked\r\n\r\n" + one)
        for one in (b"zz\r\nabc", b"-5\r\nabc", b"FFFFFFFFFFFFFFFF\r\nabc", b"5;" + b"x" * 60_000,
                    b"3\r\nabcdef\r\n0\r\n\r\n", b"0\r\n\r\n", b"7fffffff\r\n" + b"a" * 50_000)
    },
    "a bomb of gzip": partial(_bombed, b"gzip"),
    "a bomb of deflate": partial(_bombed, b"deflate"),
    "gzip that is none": _said(_OK + b"Content-Encoding: gzip\r\n\r\n" + _NOISE),
    "gzip of a page": _said(_OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"<p>" * 99)),
    "moved to itself": _again,
    "moved ever further": _longer,
    "moved nowhere": _said(b"HTTP/1.1 302 Found\r\n\r\n"),
    "moved without end": _moved(b"http://HOST/c0?" + b"a" * 2000, b"307 Temporary"),
    **{f"moved to {one[:30]!r}": _moved(one) for one in _PLACES},
    **{
        f"a {kind}": _said(_OK + b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        for kind, body in {
            "text/html": b"<html><body>root: not here</body></html>" * 50,
            "text/plain": b"hello\n" * 400, "application/json": b'{"a": 1}' * 200,
            "application/pdf": b"%PDF-1.7\n" + _NOISE, "application/zip": b"PK\x03\x04" + _NOISE,
            "image/jpeg": jpeg(), "image/png": png_that_says(64, 48, 48), "image/gif": b"GIF89a" + _NOISE,
            "image/svg+xml": b"<svg xmlns='http://www.w3.org/2000/svg'/>" * 30,
            "image/webp": b"RIFF\xff\xff\xff\xffWEBPVP8 " + _NOISE, "audio/mpeg": b"\xff\xfb\x90\x00" * 9000,
            "audio/wav": b"RIFF\x24\x80\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00"
                         b"\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x80\x00\x00" + bytes(30_000),
            "video/mp4": b"\xff\xff\xff\xffmoov" + _NOISE, "video/x-flv": b"FLV\x01\x05" + bytes(9000),
            "video/mp2t": (b"G\x1f\xff\x10" + bytes(184)) * 300, "application/sdp": b"v=0\nm=video 9 RTP/AVP 96\n",
            "application/dash+xml": b"<MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>" * 9,
            "text/ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n" * 40,
            "video/x-ms-asf": b"<ASX><REF HREF='file:///etc/passwd'/></ASX>" * 30,
            "audio/x-scpls": b"[playlist]\nFile1=file:///etc/passwd\n" * 30,
        }.items()
    },
    "parts without a boundary": _said(_OK + b"Content-Type: multipart/x-mixed-replace\r\n\r\n" + _part(jpeg())),
    "another boundary": _mjpeg(b"--other\r\n\r\n" + jpeg() + b"\r\n"),
    "boundaries only": _endless(_MJPEG, b"--frame\r\n" * 500),
    "parts of nothing": _endless(_MJPEG, _part(b"") * 100),
    "a part of ten gigabytes": _said(_MJPEG, _part(jpeg(), 10_000_000_000), 0.5),
    "a part of two gigabytes": _endless(_MJPEG + b"--frame\r\nContent-Length: 2147483647\r\n\r\n", _NOISE),
    "a part of less than nothing": _mjpeg(_part(jpeg(), -1), _part(jpeg(), -99999999999)),
    "a part of no number": _mjpeg(_part(jpeg(), "abc")),
    "a head of a part without end": _endless(_MJPEG + b"--frame\r\nX: ", b"y" * 60_000),
    "heads of a part without end": _endless(_MJPEG + b"--frame\r\n", b"X: y\r\n" * 900),
    "parts of noise": _mjpeg(*[_part(_NOISE)] * 3),
    "parts of text": _mjpeg(*[_part(b"<html>", kind=b"text/html")] * 3),
    "a part cut short": _mjpeg(_part(jpeg()[:150])),
    "parts that say 65500x65500": _mjpeg(*[_part(jpeg_that_says(65500, 65500))] * 3),
    "parts that say 16000x16000": _mjpeg(*[_part(jpeg_that_says(16000, 16000))] * 3),
    "parts that say 65535x1": _mjpeg(*[_part(jpeg_that_says(65535, 1))] * 3),
    "parts that say 0x0": _mjpeg(*[_part(jpeg_that_says(0, 0))] * 3),
    "parts of ever other sizes": _mjpeg(*[_part(jpeg_that_says(n * 997 % 4000 + 1, n * 31 % 4000 + 1)) for n in range(20)]),
    "parts of large PNG": _mjpeg(_part(png_that_says(30000, 30000, 30), kind=b"image/png")),
    "a boundary of a megabyte": _said(_OK + b"Content-Type: multipart/x-mixed-replace; boundary=" + b"b" * (1 << 20) + b"\r\n\r\n"),
    **{
        f"a playlist with {one[:34]!r}": _segments(one)
        for one in (*_PLACES[:4], *_PLACES[6:16], b"HOST", b"SELF", b"http://HOST/c0", b"\x00", b"a" * 9000)
    },
    "a playlist of itself": _playlist(b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nSELF\n"),
    "a playlist of nothing": _playlist(b"#EXTM3U\n"),
    "a playlist that is over": _segments(),
    "a playlist that waits": _segments(end=b""),
    "a playlist without end": _endless(_HLS + _LIST, _SEGMENT * 500),
    "a playlist of 100000 parts": _segments(*[b"x.ts"] * 100_000),
    "a playlist of NaN": _playlist(_LIST + b"#EXTINF:nan,\nx.ts\n#EXTINF:-1e308,\ny.ts\n" + _END),
    "a key in a file": _segments(b"http://HOST/c0", before=b'#EXT-X-KEY:METHOD=AES-128,URI="file://CANARY"\n'),
    "a key that is the list": _segments(b"http://HOST/c0", before=b'#EXT-X-KEY:METHOD=AES-128,URI="SELF",IV=0x\n'),
    "a map in a file": _segments(b"http://HOST/c0", before=b'#EXT-X-MAP:URI="file://CANARY"\n'),
    "a range of a part": _segments(b"SELF", before=b"#EXT-X-BYTERANGE:99999999999@-5\n"),
    "sound in a file": _playlist(b'#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="file://CANARY"\n'
                                 b'#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nSELF\n'),
    "1000 variants of itself": _playlist(b"#EXTM3U\n" + b"#EXT-X-STREAM-INF:BANDWIDTH=1\nSELF?\n" * 1000),
}  # fmt: skip


def places() -> Iterator[tuple[str, int]]:
    """Names of the answers and their numbers."""
    return zip(ANSWERS, itertools.count(), strict=False)
