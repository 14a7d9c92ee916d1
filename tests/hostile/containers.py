"""Files and pipes that are no videos, or were."""

# ruff: noqa: E501 (tables)
from __future__ import annotations

import functools
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

from tests.hostile import seeds
from tests.hostile.case import CANARY, SECRET, USAGE, Case
from tests.hostile.http_answers import jpeg, jpeg_that_says, png_that_says

_NOISE = random.Random(11).randbytes(50_000)
_RECORD = ("record", "-o", "out.mkv")
_DAMAGED = (0, 4)


def _altered(data: bytes, every: int) -> bytes:
    found = bytearray(data)
    for at in range(every, len(found), every):
        found[at] ^= 0xFF
    return bytes(found)


def _with(data: bytes, at: float, part: bytes) -> bytes:
    start = int(len(data) * at)
    return data[:start] + part + data[start + len(part) :]


_DAMAGE: Mapping[str, Callable[[bytes], bytes]] = {
    "a quarter of": lambda data: data[: len(data) // 4],
    "half of": lambda data: data[: len(data) // 2],
    "almost all of": lambda data: data[: len(data) * 97 // 100],
    "noise at the start of": lambda data: _NOISE[:64] + data[64:],
    "noise in": lambda data: _with(data, 0.4, _NOISE[: len(data) // 4]),
    "zeros in": lambda data: _with(data, 0.3, bytes(len(data) // 3)),
    "noise at the end of": lambda data: _with(data, 0.8, _NOISE[: len(data) // 6]),
    "every 97th byte of": lambda data: _altered(data, 97),
    "large numbers in": lambda data: _with(_with(data, 0.02, b"\xff" * 8), 0.9, b"\xff" * 8),
    "from behind": lambda data: data[::-1],
    "all but the start of": lambda data: data[200:],
}


@functools.cache
def png_bomb(side: int) -> bytes:
    """A whole picture of one colour, 3 bytes of memory for each 1/1000 of the file."""
    size = (3 * side + 1) * side
    unit = bytes(1 << 20)
    packed = zlib.compressobj(9)
    first = packed.compress(unit) + packed.flush(zlib.Z_FULL_FLUSH)
    again = packed.compress(unit) + packed.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = first + again * (size // len(unit) - 1)
    body += rest.compress(bytes(size % len(unit))) + rest.flush()
    body += struct.pack(">I", (size % 65521) << 16 | 1)
    head = png_that_says(side, side)[: 8 + 25]
    crc = zlib.crc32(b"IDAT" + body)
    return head + struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", crc)


def _avi_that_says(width: int, height: int) -> bytes:
    data = bytearray(seeds.video("avi"))
    at = data.index(b"strf") + 8
    data[at + 4 : at + 12] = struct.pack("<ii", width, height)
    return bytes(data)


def _swapped(kind: str, old: bytes, new: bytes) -> bytes:
    data = seeds.video(kind)
    assert old in data
    assert len(old) == len(new)
    return data.replace(old, new)


def _after(kind: str, mark: bytes, skip: int, part: bytes) -> bytes:
    """Other bytes so far behind a mark."""
    data = bytearray(seeds.video(kind))
    at = data.index(mark) + len(mark) + skip
    data[at : at + len(part)] = part
    return bytes(data)


def _files() -> Iterator[tuple[str, str, bytes]]:
    """Names of cases, names of files, and what is in them."""
    for kind in seeds.KINDS:
        for name, damage in _DAMAGE.items():
            yield f"{name} {kind}", f"clip.{kind}", damage(seeds.video(kind))
    list_ = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n%s\n#EXT-X-ENDLIST\n"
    canary = CANARY.encode()
    everywhere = {
        "m3u8": (list_ % canary, list_ % (b"file://" + canary), list_ % b"http://127.0.0.1:1/x.ts",
                 list_ % b"clip.m3u8", list_ % (b"concat:" + canary)),
        "ffconcat": (b"ffconcat version 1.0\nfile '%s'\n" % canary, b"ffconcat version 1.0\nfile clip.ffconcat\n"),
        "mpd": (b"<?xml version='1.0'?><MPD><Period><BaseURL>file://%s</BaseURL></Period></MPD>" % canary,),
        "sdp": (b"v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",),
        "asx": (b"<ASX><REF HREF='file://%s'/></ASX>" % canary,),
        "idx": (b"# VobSub index file, v7\nid: en\ntimestamp: 00:00:00:000, filepos: 0\n",),
    }  # fmt: skip
    for ending, texts in everywhere.items():
        for number, text in enumerate(texts):
            yield f"{ending} {number}", f"clip.{ending}", text
            # What is no text passes for a video until it is looked at.
            yield f"{ending} {number}, not a text", f"clip.{ending}", text + b"\x00\x01" * 40
    for name, data in {
        "nothing": b"",
        "a byte": b"\x00",
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        "noise": _NOISE,
        "a page": b"<html>\x00</html>" * 900,
        "a text": b"hello\n" * 900,
        "UTF-16": "hello".encode("utf-16") * 900,
        "PDF": b"%PDF-1.7\n" + _NOISE,
        "zip": b"PK\x03\x04" + _NOISE,
        "gzip": b"\x1f\x8b\x08\x00" + _NOISE,
        "a program": b"\x7fELF\x02\x01\x01" + _NOISE,
        "sqlite": b"SQLite format 3\x00" + _NOISE,
        "mp3": b"\xff\xfb\x90\x00" + bytes(30_000),
        "wav": b"RIFF\xff\xff\xff\xffWAVEfmt " + _NOISE,
        "flac": b"fLaC\x80\x00\x00\x22" + _NOISE,
        "ogg": b"OggS\x00\x02" + _NOISE,
        "flv": b"FLV\x01\x05" + _NOISE,
        "swf": b"FWS\x09" + _NOISE,
        "ps": b"\x00\x00\x01\xba" + _NOISE,
        "matroska": b"\x1a\x45\xdf\xa3" + b"\xff" * 5000,
        "webm of boxes": b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff"
        + b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" * 900,
        "boxes in boxes": b"\x00\x00\x00\x08moov" * 9000,
        "a box of everything": b"\xff\xff\xff\xffmoov" + _NOISE,
        "a box of nothing": b"\x00\x00\x00\x00moov" + _NOISE,
        "a box of less": b"\x00\x00\x00\x01moov" + b"\xff" * 8 + _NOISE,
        "boxes ever deeper": b"".join(
            struct.pack(">I4s", 8 * (5000 - n), b"moov") for n in range(5000)
        ),
        "a large picture of y4m": b"YUV4MPEG2 W99999 H99999 F25:1\nFRAME\n" + bytes(9000),
        "y4m of less than nothing": b"YUV4MPEG2 W-64 H-48 F0:0\nFRAME\n" + bytes(9000),
        "y4m of a rate": b"YUV4MPEG2 W64 H48 F4294967295:1\n" + (b"FRAME\n" + bytes(4608)) * 3,
        "avi of 16000x16000": _avi_that_says(16000, 16000),
        "avi of 60000x60000": _avi_that_says(60000, 60000),
        "avi of -5x-5": _avi_that_says(-5, -5),
        "avi of 0x0": _avi_that_says(0, 0),
        "avi of 2147483647x1": _avi_that_says(2**31 - 1, 1),
        "mp4 of another codec": _swapped("mp4", b"avc1", b"zzzz"),
        "mp4 of text": _swapped("mp4", b"avc1", b"tx3g"),
        "mp4 of sound": _swapped("mp4", b"vide", b"soun"),
        "mp4 without samples": _swapped("mp4", b"stsz", b"free"),
        "mp4 without places": _swapped("mp4", b"stco", b"free"),
        "mp4 without times": _swapped("mp4", b"stts", b"free"),
        "mp4 of many samples": _after("mp4", b"stsz", 8, b"\x7f\xff\xff\xff"),
        "mp4 of large samples": _after("mp4", b"stsz", 4, b"\x7f\xff\xff\xff"),
        "mp4 of many times": _after("mp4", b"stts", 4, b"\x7f\xff\xff\xff" * 3),
        "mp4 of no clock": _after("mp4", b"mdhd", 12, bytes(4)),
        "mp4 of a fast clock": _after("mp4", b"mdhd", 12, b"\xff" * 4),
        "mp4 of far places": _after("mp4", b"stco", 8, b"\xff" * 4),
        "mp4 of long": _after("mp4", b"mdhd", 16, b"\xff" * 4),
        "mp4 of 65535x65535": _after("mp4", b"avc1", 24, b"\xff" * 4),
        "mp4 of a bad head": _after("mp4", b"avcC", 0, b"\xff" * 30),
        "avi of no rate": _after("avi", b"strh", 4 + 20, bytes(8)),
        "avi of a rate": _after("avi", b"strh", 4 + 20, b"\x01\0\0\0\xff\xff\xff\xff"),
    }.items():
        yield name, "clip.mp4", data
    bomb = png_bomb(16000)
    for name, file, data in (
        ("a bomb", "clip.png", bomb), ("a bomb called mp4", "clip.mp4", bomb), ("a stated bomb", "clip.png", png_that_says(60000, 60000)),
        ("a bomb of JPEG", "clip.jpg", jpeg_that_says(65500, 65500)), ("a large JPEG", "clip.jpg", jpeg_that_says(9000, 9000)),
        ("half a picture", "clip.jpg", jpeg()[:200]), ("a GIF of 65535", "clip.gif", b"GIF89a\xff\xff\xff\xff\x80\0\0" + _NOISE),
        ("a BMP of much", "clip.bmp", b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 1, 1, 0, 0) + _NOISE),
        ("a TIFF", "clip.tif", b"II*\x00\x08\x00\x00\x00\xff\xff" + _NOISE), ("a WebP", "clip.webp", b"RIFF\xff\xff\xff\xffWEBPVP8X" + b"\xff" * 900),
        ("mp4 called avi", "clip.avi", seeds.video("mp4")), ("avi called png", "clip.png", seeds.video("avi")),
        ("mkv called nothing", "clip", seeds.video("mkv")), ("ts called gz", "clip.gz", seeds.video("ts")),
        ("a name that steers", "clip\x1b[31m\x9b2J\u202e.mp4", seeds.video("mp4")), ("a name of two lines", "clip\nerror: x.mp4", seeds.video("mp4")),
        ("half, of a name that steers", "clip\x1b[31m\u2028.mp4", _DAMAGE["half of"](seeds.video("avi"))),
        ("mp4 in a name of an address", "clip:x@y.mp4", seeds.video("mp4")),
    ):  # fmt: skip
        yield name, file, data


def _folders() -> Iterator[tuple[str, str, dict[str, bytes]]]:
    """Sources that are several files."""
    good, bomb = png_that_says(64, 48, 48), png_bomb(16000)
    bad = {f"clip/{n}.png": _NOISE[n:] for n in range(4)}
    yield "a folder of noise", "clip/", bad
    yield "a folder of bombs", "clip/", {f"clip/{n}.png": bomb for n in range(3)}
    yield (
        "a bomb among pictures",
        "clip/",
        {"clip/1.png": good, "clip/2.png": bomb, "clip/3.png": good},
    )
    yield "noise among pictures", "clip/", {**bad, "clip/9.png": good}
    yield "nothing of the kind", "clip/", {"clip/notes.doc": _NOISE}
    yield "broken videos", "clip/", {f"clip/{n}.mp4": _NOISE[n:] for n in range(5)}
    yield "a video among noise", "clip/", {"clip/a.mp4": _NOISE, "clip/b.mp4": seeds.video("mp4")}
    yield (
        "names that steer",
        "clip/",
        {"clip/a\x1b[2J\n.mp4": _NOISE, "clip/b\u202e.mp4": seeds.video("mp4")},
    )
    yield "a name that is not UTF-8", "clip\udcff/", {"clip\udcff/1.png": good}
    yield "noise by pattern", "clip/*.png", bad
    yield "bombs by pattern", "clip/?.png", {"clip/1.png": bomb}
    yield "noise by number", "clip/%d.png", bad
    yield "far numbers", "clip/%d.png", {"clip/1.png": good, f"clip/{10**18}.png": good}
    yield "numbers of ten thousand digits", "clip/%d.png", {f"clip/{'9' * 240}.png": good}
    yield (
        "sizes that change",
        "clip/%d.png",
        {f"clip/{n}.png": png_that_says(n * 9 + 1, n + 1, n + 1) for n in range(9)},
    )
    lines = {
        "itself": b"clip.txt\n", "addresses": f"rtsp://user:{SECRET}@127.0.0.1/x\n".encode(), "devices": b"/dev/zero\n/dev/stdin\n",
        "a secret file": b"/etc/passwd\n", "noise": _NOISE, "nothing": b"", "comments": b"# a\n" * 9, "zeros": bytes(900),
        "zero bytes in names": b"a\x00b.mp4\n", "what is not there": b"nope.mp4\n" * 2000, "a long line": b"a" * 900_000,
        "UTF-16": "x.mp4\n".encode("utf-16"), "steering": b"\x1b[31mclip.mp4\n\xe2\x80\xaex.mp4\n", "itself in a loop": b"./clip.txt 1\n" * 90,
        "pipes": b"-\npipe:0\nconcat:a|b\n", "patterns": b"*\n**/*\n%d.png\n", "half a character": b"\xff\xfe.mp4\n",
    }  # fmt: skip
    for name, data in lines.items():
        yield f"a list of {name}", "clip.txt", {"clip.txt": data}


_RAW: Mapping[str, tuple[str, int]] = {
    "nothing": ("64x48@25", 0), "a byte": ("64x48@25", 1), "almost a picture": ("64x48@25:rgb24", 9215),
    "a picture and a byte": ("64x48@25:rgb24", 9217), "one and a half": ("64x48@25:gray", 4608),
    "a large picture": ("16384x16384@1:gray", 40_000), "a row": ("16384x1@1000:gray", 16383),
    "half of nv12": ("64x48@25:nv12", 2304), "one of yuv420p and less": ("64x48@25:yuv420p", 9000),
}  # fmt: skip
_NO_RAW = (
    "", "x", "64x48", "64x48@", "0x48@25", "64x0@25", "-1x48@25", "64x48@0", "64x48@nan", "64x48@inf",
    "64x48@1e9", "99999x99999@25", "64x48@25:", "64x48@25:rgb", "65x48@25:nv12", "64x47@25:yuv420p",
    "64x48@25:rgb24:x", "64x48@25@25", "\uff16\uff14x48@25", "64x48@25:rgb24\n", "64X48@25", "64x48@.", "64x48@1.2.3",
    "999999999999x1@1", "64x48@25:\x1b[31m", "64 x 48 @ 25", "64x48@25:RGB24", "64x48@1001", "16385x1@1",
)  # fmt: skip


def _recordings() -> Iterator[tuple[str, bytes]]:
    data = seeds.recording()
    for name, damage in _DAMAGE.items():
        yield f"{name} a recording", damage(data)
    swaps = {
        "another version": (b'"version":1', b'"version":9'), "no opening": (b'"entry":"opening"', b'"entry":"closing"'),
        "unknown entries": (b'"entry":"picture"', b'"entry":"pixture"'), "no truth": (b'"live":true', b'"live":nope'),
        "a clock gone back": (b'"time_s":2.625', b'"time_s":0.125'), "a clock of no number": (b'"time_s":0.75', b'"time_s":-nan'),
        "a clock without end": (b'"time_s":0.75', b'"time_s":1e999'), "a clock of text": (b'"time_s":0.875', b'"time_s":"9.8"'),
        "a clock far ahead": (b'"time_s":0.625', b'"time_s":9e300'), "another epoch": (b'"epoch":0', b'"epoch":9'),
        "an epoch of less": (b'"epoch":0,', b'"epoch":-1'), "another index": (b'"index":3', b'"index":0'),
        "another checksum": (b'"checksum":', b'"checksun":'), "another size": (b'"width":64', b'"width":99'),
        "no size": (b'"height":48', b'"height":00'), "unknown events": (b'"kind":"lost"', b'"kind":"last"'),
        "counts of less": (b'"received":4', b'"received":-'), "other counts": (b'"delivered":4', b'"delivered":9'),
        "words that steer": (b'"a fake camera"'[1:-1], rb"\u001b[2Jxxxxx"), "another ending": (b'"how":"ended"', b'"how":"bang!"'),
        "zero bytes": (b'"answer":"yes"', b'"answer":"y\x00\x00'), "half an entry": (b'"entry":"asked"', b'"entry":"aske\xff'),
        "another rate": (b'"fps":30.0', b'"fps":-9.0'), "no answer": (b'"answer":"yes"', b'"answer":"all'  + b'"'),
        "unknown fields": (b'"breaks":true', b'"brakes":true'), "two openings": (b'"entry":"ended"', b'"entry":"ende\x0a'),
    }  # fmt: skip
    for name, (old, new) in swaps.items():
        if old in data and len(old) == len(new):
            yield f"a recording with {name}", data.replace(old, new)


def recorded() -> Iterator[Case]:
    """A command for each."""
    for name, file, data in _files():
        yield Case(
            name=name, words=(*_RECORD, "-s", file), files=((file, data),), codes=_DAMAGED,
            named="clip", made=("out.mkv",),
        )  # fmt: skip
        if name.endswith((" mkv", " ts", "not a text")):
            yield Case(
                name=f"{name}, piped in", words=(*_RECORD, "-s", "-"), files=((file, data),),
                codes=_DAMAGED, stdin=file, named="stdin", made=("out.mkv",),
            )  # fmt: skip
    for name, word, files in _folders():
        yield Case(
            name=name, words=(*_RECORD, "-s", word), files=tuple(files.items()), codes=_DAMAGED,
            # What is said is about the one entry of a list.
            named="" if word.endswith(".txt") else "clip", made=("out.mkv",),
        )  # fmt: skip
    for name, (layout, length) in _RAW.items():
        yield Case(
            name=f"{name}, raw", words=(*_RECORD, "-s", "-", "--raw", layout), stdin="clip",
            files=(("clip", _NOISE[:length]),), codes=_DAMAGED, named="stdin", made=("out.mkv",),
        )  # fmt: skip
    for layout in _NO_RAW:
        yield Case(
            name=f"raw as {layout!a}", words=(*_RECORD, "-s", "-", "--raw", layout),
            codes=(USAGE,), named="--raw",
        )  # fmt: skip
    for name, data in _recordings():
        yield Case(
            name=name, words=(*_RECORD, "-s", "replay:clip.mkv"), files=(("clip.mkv", data),),
            codes=_DAMAGED, named="", made=("out.mkv",),
        )  # fmt: skip
