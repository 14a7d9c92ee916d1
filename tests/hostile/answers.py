"""Commands that look at streams whose server lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tests.hostile import http_answers, rtsp_answers
from tests.hostile.case import Case
from tests.hostile.hosts import Host

_TOLD = (
    ("http", tuple(http_answers.ANSWERS.items())),
    ("rtsp", tuple(rtsp_answers.ANSWERS.items())),
)
NAMES = tuple(f"{scheme}: {name}" for scheme, answers in _TOLD for name, _ in answers)


TRIED_AGAIN = (
    "http: nothing", "http: silence", "http: noise", "http: status 503 Busy",
    "http: status 429 Too Many", "http: moved to itself", "rtsp: nothing", "rtsp: noise",
    "rtsp: no pictures", "rtsp: half a packet",
    "rtsp: 503 Busy to DESCRIBE", "rtsp: half an answer, and silence",
)  # fmt: skip
"""What a server may get over."""


def hosts() -> dict[str, Host]:
    """A server for each scheme."""
    return {scheme: Host([answer for _, answer in answers]) for scheme, answers in _TOLD}


def watched_on(cases: Iterable[Case]) -> Iterator[Case]:
    """The same commands, which try once more what may be mended meanwhile."""
    for case in cases:
        if case.name in TRIED_AGAIN:
            more = ("--retries", "1", "--duration", "7")
            yield replace(case, name=f"{case.name}, again", words=(*case.words, *more))


def watched(hosts: dict[str, Host]) -> Iterator[Case]:
    """A command for every answer, which gives the server a second and tries it once."""
    for scheme, answers in _TOLD:
        for number, (name, _) in enumerate(answers):
            yield Case(
                name=f"{scheme}: {name}",
                words=(
                    *("record", "-o", "out.mkv", "--retries", "0", "--open-timeout", "0.7"),
                    *("--read-timeout", "0.7", "--duration", "2"),
                    f"--source={scheme}://{hosts[scheme].name}/c{number}",
                ),
                named=f"{hosts[scheme].name}/c{number}",
                # Begun with the source, which may be lost before the first picture.
                made=("out.mkv",),
            )
