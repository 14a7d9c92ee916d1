"""A hostile input, what may come of it, and how that is judged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edge_cli.app import EXIT_BUG
from models import errors
from models.errors import EdgeclsError

SECRET = "s3cr3t"
"""Stands in passwords and tokens of the inputs, and in no message."""

SOURCE, USAGE = 4, 2
DOCUMENTED = frozenset(
    one.exit_code
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, EdgeclsError)
)
_LONGEST_LINE = 2500
_LARGEST_BYTES = 300 << 20
"""Of memory, what the libraries take included."""
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the writing round, so that a line reads as another one."""

ROOT = Path(__file__).parents[2]

CANARY = f"/tmp/edgecls-canary-{os.getpid()}.ts"
"""A video that nobody asks for, and nothing may open."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input.

    Attributes:
        name: Of the case.
        words: The command line; it runs in a folder of its own.
        files: What is in that folder.
        stdin: One of these files, or None for nothing.
        codes: Exit codes it may have.
        named: What the message must tell: it must say what is wrong.
        made: Files that may be there afterwards.
        limit_s: How long it may take.
    """

    name: str
    words: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...] = ()
    stdin: str | None = None
    codes: tuple[int, ...] = (SOURCE,)
    named: str = ""
    made: tuple[str, ...] = ()
    limit_s: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Attributes:
        code: Exit code; negative for a signal.
        out: Bytes on stdout, as Latin-1.
        err: The same of stderr.
        left: Files that are there and were not.
        peak_bytes: Most memory at once.
        seconds: How long it took.
    """

    code: int
    out: str
    err: str
    left: tuple[str, ...]
    peak_bytes: int
    seconds: float


def play_all(cases: Sequence[Case], folder: Path, *, at_once: int = 3) -> dict[str, Outcome]:
    """Give cases to the command line, each in a process of its own.

    Args:
        cases: Of different names.
        folder: Empty.
        at_once: How many run at the same time.
    """
    asked = []
    for number, case in enumerate(cases):
        home = folder / f"{number}"
        home.mkdir()
        for name, data in case.files:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(data)
        asked.append({"home": str(home), **asdict(case), "files": [name for name, _ in case.files]})
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.player", str(at_once)],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=True,
    )
    found = {}
    for line in done.stdout.splitlines():
        told = json.loads(line)
        name = told.pop("name")
        found[name] = Outcome(**{**told, "left": tuple(told["left"])})
    return found


def judge(case: Case, outcome: Outcome) -> None:
    """Assert that the outcome is a clear error, or a clean success where that may be."""
    said = outcome.err.encode("latin-1").decode("utf-8")
    assert outcome.code != EXIT_BUG, said
    assert outcome.code in case.codes, (outcome.code, said[-600:])
    assert "Traceback" not in said
    assert "root:" not in outcome.out + said
    assert SECRET not in outcome.out + said
    lines = said.splitlines()
    assert said.count("\n") == len(lines), "something that ends a line"
    for line in lines:
        assert len(line) <= _LONGEST_LINE
        assert not [
            char
            for char in line
            if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs") or char in _DIRECTIONS
        ], repr(line)
    errors_said = [line for line in lines if line.startswith("error: ")]
    assert "\x1b" not in outcome.out
    if outcome.code:
        assert len(errors_said) == 1, said
        assert len(errors_said[0]) > len("error: ") + 10
        assert lines.index(errors_said[0]) >= len(lines) - 2, "at most a hint goes after it"
        assert case.named in errors_said[0]
    else:
        assert errors_said == []
    assert set(outcome.left) <= set(case.made)
    assert outcome.peak_bytes <= _LARGEST_BYTES, f"{outcome.peak_bytes >> 20} MiB"
    assert outcome.seconds <= case.limit_s


def longest_word(text: str) -> str:
    """The longest plain word of an input, which a message about it has to show."""
    words = re.findall(r"[A-Za-z0-9_.-]+", text)
    return max((word for word in words if SECRET not in word), key=len, default="")[:40]
