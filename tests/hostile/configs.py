"""Files of streams and options that make no sense, or mean harm."""

# ruff: noqa: E501 (tables)
from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.hostile.case import SECRET, SOURCE, USAGE, Case

_OUTPUT = 10
_ONE = "streams: [{source: nope.mp4, %s}]\n"

_YAML: Mapping[str, str | bytes] = {
    "nothing": "", "spaces": "  \n\n", "a comment": "# streams\n", "null": "null\n", "a word": "streams\n",
    "a number": "7\n", "a list": "- source: demo\n", "a truth": "true\n", "no streams": "defaults: {}\n",
    "streams of nothing": "streams:\n", "an empty list": "streams: []\n", "a stream of null": "streams: [~]\n",
    "streams of words": "streams: demo\n", "streams by name": "streams: {a: {source: demo}}\n",
    "streams of numbers": "streams: [1, 2]\n", "streams of lists": "streams: [[source, demo]]\n",
    "a stream without source": "streams: [{}]\n", "a source of null": "streams: [{source: }]\n",
    "a source of nothing": "streams: [{source: ''}]\n", "a source of a list": "streams: [{source: [demo]}]\n",
    "a source of fields": "streams: [{source: {a: b}}]\n", "unknown fields": "streams: [{source: demo, sauce: 1}]\n",
    "unknown parts": "streams: [{source: demo}]\nincludes: [/etc/passwd]\n", "other letters": "Streams: [{source: demo}]\n",
    "defaults of a list": "defaults: [1]\nstreams: [{source: demo}]\n", "defaults with a source": "defaults: {source: demo}\nstreams: [{}]\n",
    "python": "!!python/object/apply:os.system ['touch gone']\n", "python in a source": "streams: [{source: !!python/object/apply:os.system ['touch gone']}]\n",
    "python by name": "streams: [{source: !!python/name:os.system ''}]\n", "python new": "streams: !!python/object/new:os.system [touch gone]\n",
    "a tag": "streams: !include /etc/passwd\n", "a set": "streams: !!set {a, b}\n", "binary": "streams: !!binary aGVsbG8=\n",
    "a merge": "streams: [{<<: {source: demo}}]\n", "an anchor": "a: &a [x]\nstreams: [*a, *a]\n",
    "laughs": "a: &a [x,x,x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)) + "streams: *m\n",
    "a circle": "streams: &a [*a]\n", "a circle of fields": "streams: &a {source: *a}\n", "no anchor": "streams: *nope\n",
    "twice": "streams: [{source: demo}]\nstreams: [{source: demo}]\n", "a field twice": "streams: [{source: demo, source: demo}]\n",
    "deep lists": "streams: " + "[" * 5000 + "]" * 5000 + "\n", "deep fields": "streams: " + "{a: " * 3000 + "1" + "}" * 3000 + "\n",
    "deep indents": "".join(" " * n + "a:\n" for n in range(700)), "open lists": "streams: " + "[" * 90_000,
    "dashes": "- " * 20_000, "questions": "? " * 5000, "a key of a list": "? [a, b]\n: 1\n", "a key of null": "~: 1\n",
    "a tab": "streams:\n\t- source: demo\n", "an open quote": "streams: [{source: 'demo}]\n", "an open brace": "streams: [{source: demo\n",
    "two documents": "streams: [{source: demo}]\n---\nstreams: []\n", "a directive": "%YAML 9.9\n---\nstreams: []\n", "directives": "%TAG ! tag:x,2000:\n" * 9 + "--- 1\n",
    "zero bytes": b"streams: [{source: de\x00mo}]\n", "steering": b"streams: [{source: \x1b[31mdemo}]\n", "no UTF-8": b"streams: [{source: \xff\xfe}]\n",
    "Latin-1": "streams: [{name: \u00fc}]\n".encode("latin-1"), "UTF-16": "streams: [{source: demo}]\n".encode("utf-16"), "a surrogate": b"streams: [{source: \xed\xa0\x80}]\n",
    "noise": bytes(range(256)) * 40, "zeros": bytes(5000), "steering keys": 'streams: [{source: demo, "\\e[31m\\n\\u202e": 1}]\n', "long keys": "streams: [{source: demo, " + "a" * 50_000 + ": 1}]\n",
    "keys of two lines": 'streams: [{source: demo, "a\\nerror: b": 1}]\n', "a long value": _ONE % ("window: " + "9" * 50_000), "a megabyte": "# " + "x" * (1 << 20) + "\nstreams: []\n",
    "a million streams": "streams:\n" + "- {source: demo}\n" * 70_000, "fifty thousand mistakes": "streams:\n" + "- {sauce: demo}\n" * 9000,
    "a name twice": "streams: [{source: nope.mp4, name: a}, {source: nope2.mp4, name: a}]\n", "a name of nothing": _ONE % "name: ''", "a long name": _ONE % f"name: {'a' * 81}",
    "no variable": "streams: [{source: '${EDGECLS_NOPE}'}]\n", "a secret in no variable": f"streams: [{{source: 'rtsp://u:{SECRET}@${{EDGECLS_NOPE}}/'}}]\n",
    "a secret in a number": f"streams: [{{source: [rtsp://u:{SECRET}@x/]}}]\n", "a secret twice": _ONE % f"webhook: ['http://u:{SECRET}@127.0.0.1:1/', 'http://u:{SECRET}@127.0.0.1:1/']",
    "a secret with a camera": f"streams: [{{source: 'rtsp://u:{SECRET}@127.0.0.1:1/', camera-size: 640x480}}]\n", "stdin twice": "streams: [{source: '-'}, {source: '-'}]\n",
}  # fmt: skip

_VALUES: Mapping[str, tuple[str, ...]] = {
    "window": ("0", "-1", "nan", ".nan", "inf", "-.inf", "1e999", "abc", "''", "[1]", "{a: 1}", "1_0x", "0x10", "1:30", "true", "'\\x1b[31m'"),
    "stride": ("0", "-0.0", "NaN", "two", "[]"), "gap": ("yes", "resett", "[reset]", "7"), "gap-after": ("0", "-5", "inf"),
    "top": ("0", "-1", "1.5", "1e3", "99999999999999999999x", "all", "[1]"), "threshold": ("-0.1", "1.1", "nan", "half", "[0.5]", "1e-400x"),
    "smooth": ("gauss", "''", "[ema]"), "smooth-span": ("0", "-1", "nan"), "on": ("x", "{wave: x}", "[[1]]", "{wave: [1]}", "nope=0.5x", "true"),
    "off": ("high", "{a: b}"), "min-duration": ("long", "{a: }"), "cooldown": ("cold", "[{a: b}]"), "until": ("{a: b}", "[[a]]"),
    "output": ("x", "jsonl", "'jsonl:'", "xml:out", "[jsonl:a.x, jsonl:a.x]", "{jsonl: a}", "[[a]]"), "record-events": ("[a]", "{a: b}"),
    "pre-roll": ("-1", "601", "nan", "1", "x"), "post-roll": ("-1", "1e9", "2"), "record-limit": ("x", "-1GB", "0", "1XB", "1e99GB", "nan"),
    "webhook": ("{a: b}", "[[a]]", "['']"), "mqtt": ("{a: b}", "['']"), "drop": ("all", "[oldest]", "1"), "retries": ("-1", "1.5", "many", "inf"),
    "open-timeout": ("0", "-1", "nan", "1e9", "soon"), "read-timeout": ("0", "1e300", "x"), "rtsp-transport": ("quic", "[tcp]"),
    "frozen-after": ("-1", "nan", "x"), "camera-size": ("0x0", "640x480", "1x", "[640]"), "camera-fps": ("0", "30", "fast"), "camera-format": ("MJPG", "ABCDE"),
    "loop": ("maybe", "2", "[true]"), "image-fps": ("0", "-1", "1e9", "nan"), "raw": ("64x48@25", "x", "[1]"), "name": ("[a]", "{a: b}"),
}  # fmt: skip

_TOML: Mapping[str, str | bytes] = {
    "nothing": "", "a word": "streams", "an open table": "[[streams]\nsource = 'demo'", "twice": "[[streams]]\nsource = 'a'\nsource = 'b'\n", "a table twice": "[defaults]\n[defaults]\n",
    "unknown": "[[streams]]\nsource = 'demo'\nsauce = 1\n", "a date": "[[streams]]\nsource = 1979-05-27\n window = 1979-05-27\n", "a number": "streams = 7\n", "NaN": "[[streams]]\nsource = 'a'\nwindow = nan\n",
    "inf": "[[streams]]\nsource = 'a'\nwindow = +inf\n", "much": "[[streams]]\nsource = 'a'\ntop = " + "9" * 5000 + "\n", "deep": "streams = " + "[" * 3000 + "]" * 3000 + "\n", "deep tables": "[" + ".".join("a" * 3000) + "]\n",
    "deeper": "a" + ".a" * 30_000 + " = 1\n", "an open text": 'streams = "', "open texts": '"""' * 999, "no UTF-8": b"streams = '\xff'\n", "zeros": bytes(900), "UTF-16": "streams = []\n".encode("utf-16"),
    "steering": b"streams = '\x1b[31m'\n", "steering keys": '[[streams]]\nsource = "a"\n"\\u001b[31m\\n\\u202e" = 1\n', "a truth": "[[streams]]\nsource = true\nloop = 'true?'\n", "dots": "[[streams]]\nsource.a.b = 'demo'\n",
    "a megabyte": "#" + "x" * (1 << 20), "no table": "[streams]\nsource = 'demo'\n", "numbers": "[[streams]]\nsource = 'a'\nthreshold = 1e400\n", "an empty list": "streams = []\n", "a surrogate": 'streams = "\\ud800"\n',
}  # fmt: skip

_DEMO = ("run", "--source", "nope.mp4")
_OPTIONS: tuple[tuple[str, ...], ...] = (
    ("run",), (*_DEMO, "--streams", "s.yml"), (*_DEMO, "--threshold", "-1"), (*_DEMO, "--threshold", "nan"), (*_DEMO, "--threshold", "1.01"),
    *((*_DEMO, f"--{name}", value) for name in ("window", "stride", "gap-after") for value in ("0", "-1", "nan", "inf")),
    *((*_DEMO, "--record-events", "films", f"--{name}", value) for name in ("pre-roll", "post-roll") for value in ("-1", "601", "nan", "inf")),
    *((*_DEMO, f"--{name}", value) for name in ("open-timeout", "read-timeout", "image-fps") for value in ("0", "-1", "nan", "inf", "1e300")),
    *((*_DEMO, "--frozen-after", value) for value in ("-1", "nan", "inf")), *((*_DEMO, f"--{name}", "1") for name in ("pre-roll", "post-roll", "record-limit", "smooth-span")),
    *((*_DEMO, "--max-latency", value) for value in ("", "300", "0ms", "-5ms", "nan", "1e9s", "3601s", "1 h", "٣ms", "\x1b[31m", "9" * 900 + "s")),
    *((*_DEMO, "--record-events", "films", "--record-limit", value) for value in ("", "x", "-1GB", "0", "nan", "1e99GB", "1ZB", "\x1b[2J", "9" * 400)),
    *((*_DEMO, "--serve", value) for value in ("", "x", ":", ":99999", ":-1", "0.0.0.0:8088", "[::1", "http://x:1", ":\x1b[31m", "::::", ":8o8o", "256.1.1.1:1")),
    *((*_DEMO, "--camera-size", value) for value in ("0x0", "640", "99999x1")), (*_DEMO, "--camera-fps", "0"), (*_DEMO, "--camera-fps", "nan"), (*_DEMO, "--camera-format", "\x1b[31m"),
    *((*_DEMO, "--output", value) for value in ("", "x", "jsonl:", ":x", "xml:a", "jsonl\x00:a", "\x1b[31m:a")), (*_DEMO, "--output", "jsonl:a", "--output", "csv:a"), (*_DEMO, "--output", "jsonl:a", "--output", "jsonl:a"),
    (*_DEMO, "--fsync", "always"), (*_DEMO, "--queue-dir", "q"), (*_DEMO, "--serve-token", "t"), (*_DEMO, "--fallback", "b"), (*_DEMO, "--record-size", "1GB"), (*_DEMO, "--raw", "64x48@25"),
    *((*_DEMO, "--sampling", "uniform", *more) for more in (("--window", "2"), ("--stride", "1"), ("--gap-after", "2"), ("--gap", "hold"), ("--loop",), ("--smooth", "ema"), ("--on", "0.5"), ("--max-latency", "1s"), ("--show",),
      ("--reuse", "exact"), ("--serve", ":0"), ("--record", "out.mkv"), ("--source", "b.mp4"))), ("run", "-s", "-", "-s", "-"), ("run", "-s", "-", "--sampling", "dense"), (*_DEMO, "--sampling", "dense", "--views", "10"),
    (*_DEMO, "--sampling", "windowed", "--gap", "hold"), (*_DEMO, "-s", "b.mp4", "--save", "o.mp4"), (*_DEMO, "-s", "b.mp4", "--record", "o.mkv"), ("run", "-s", "replay:a.mkv", "--record", "o.mkv"),
    (*_DEMO, "--max-latency", "1s", "--reuse", "approx"), (*_DEMO, "--webhook", "http://127.0.0.1:1/", "--webhook", "http://127.0.0.1:1/"), ("run", "-s", f"rtsp://u:{SECRET}@127.0.0.1:1/", "--camera-size", "640x480"),
    ("run", "-s", f"rtsp://u:{SECRET}@127.0.0.1:1/", "--raw", "64x48@25"), ("run", "-s", f"http://u:{SECRET}@127.0.0.1:1/", "--sampling", "uniform", "--window", "2"),
    *(("record", "-s", "nope.mp4", "-o", "o.mkv", "--duration", value) for value in ("0", "-1", "nan", "inf", "1e300")), *(("record", "-s", "nope.mp4", "-o", "o.mkv", "--size", value) for value in ("", "x", "-1", "nan")),
)  # fmt: skip

_MISTYPED: tuple[tuple[str, ...], ...] = (
    *((*_DEMO, f"--{name}", value) for name in ("window", "top", "retries", "threshold", "max-windows", "threads") for value in ("", "x", "1e", "\x1b[31m", "\u202e1", "1\nerror: x")),
    *((*_DEMO, f"--{name}", value) for name in ("gap", "smooth", "drop", "format", "sampling", "reuse", "views", "precision", "fsync", "rtsp-transport") for value in ("", "\x1b[31mno")),
    *((*_DEMO, f"--{name}", value) for name in ("top", "retries", "max-windows") for value in ("-1", "9" * 5000)), (*_DEMO, "--nope"), (*_DEMO, "--\x1b[31m"), (*_DEMO, "--window"), ("nope",), ("\x1b[31m",), ("run", "a", "b", "c"),
    ("record", "-s", "demo"), ("record", "-o", "x.mkv"), ("run", "--source"), (*_DEMO, "--win\ndow", "1"), (*_DEMO, "-" + "q" * 900), ("--nope",), ("",),
)  # fmt: skip


def asked() -> Iterator[Case]:
    """A command for each."""
    for ending, texts in (("yml", _YAML), ("toml", _TOML)):
        for name, text in texts.items():
            data = text.encode() if isinstance(text, str) else text
            yield _of_file(f"{ending}: {name}", f"s.{ending}", data)
    for field, values in _VALUES.items():
        for value in values:
            yield _of_file(f"{field} of {value}", "s.yml", (_ONE % f"{field}: {value}").encode())
            if field in ("window", "threshold", "top", "on"):
                text = f"defaults: {{{field}: {value}}}\nstreams: [{{source: nope.mp4}}]\n"
                yield _of_file(f"{field} of {value} for all", "s.yaml", text.encode())
    yield _of_file("another ending", "s.json", b'{"streams": []}')
    yield _of_file("no ending", "s", b"streams: []")
    for name in (
        "nope.yml",
        "nope.toml",
        "/dev/null/x.yml",
        "\x1b[31m.yml",
        "a" * 300 + ".yml",
        ".",
        "/",
    ):
        yield Case(name=f"file {name!a:.30}", words=("run", "--streams", name), codes=(USAGE,))
    for number, words in enumerate(_OPTIONS):
        yield Case(
            name=f"option {number}: {words[-2:]!a:.60}", words=words, codes=(USAGE,),
            named=_option(words), files=(("s.yml", b"streams: [{source: demo}]"),),
        )  # fmt: skip


def mistyped() -> Iterator[Case]:
    """Commands that the parser of options refuses, in its own words."""
    for number, words in enumerate(_MISTYPED):
        yield Case(name=f"{number}: {words[-2:]!a:.60}", words=words, codes=(USAGE,))


def _of_file(name: str, file: str, data: bytes) -> Case:
    codes = (USAGE, SOURCE) if name in _ALLOWED else (USAGE,)
    return Case(
        name=name, words=("run", "--streams", file), files=((file, data),), codes=codes,
        named="" if name in _ALLOWED else file,
    )  # fmt: skip


_ALLOWED: frozenset[str] = frozenset()
"""Odd, and understood all the same."""


def _option(words: tuple[str, ...]) -> str:
    """The option that a message is about: the last one, unless another says what it may not be."""
    if "--sampling" in words and "--record" not in words:
        return "--sampling"
    return next((word for word in reversed(words) if word.startswith("--")), "")
