"""The process of a conversion: how long it may be silent, how much it may take, what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from convert import isolated, pipeline
from convert.bundle_writer import clear_away, missing_parents
from convert.isolated import QUIET_S, attempt, convert_isolated, is_limited, quiet_limit_s
from convert.pipeline import STEPS, VARIANT_STEP
from convert.request import ConvertRequest
from models.errors import CheckpointError, ConversionError, OutputError, UsageError

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux limits memory in this way")


def step(title: str, done: int = 0) -> dict[str, Any]:
    return {"event": "step", "title": title, "done": done, "total": 2}


def request(folder: Path) -> ConvertRequest:
    return ConvertRequest(source=folder / "x.pdparams", output=folder / "deep/er/bundle")


def silent(title: str, done: int, total: int) -> None:
    del title, done, total


def fake_child(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let a shell script be the child process."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\ncat >/dev/null\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(path))


LITTER = 'mkdir -p deep/er/.bundle.$$.abc && touch deep/er/.bundle.$$.abc/half "$TMPDIR/half"'
"""What a conversion has made half-way."""


@pytest.mark.parametrize(
    ("event", "limited"),
    [
        (step(STEPS[0]), False),  # libraries are being loaded
        (step(STEPS[0], 1), True),
        (step(STEPS[1]), True),
        (step(STEPS[2]), True),
        (step(STEPS[3], 1), False),
        (step(VARIANT_STEP), False),
        (step(STEPS[4]), False),
        ({"event": "done", "notes": []}, False),
    ],
)
def test_only_reading_is_limited(event: dict[str, Any], limited: bool) -> None:
    assert is_limited(event) == limited


def test_the_limit_grows_with_the_source(tmp_path: Path) -> None:
    assert quiet_limit_s(tmp_path / "absent") == QUIET_S
    (tmp_path / "m.json").write_bytes(b"x")
    (tmp_path / "m.pdiparams").write_bytes(b"x" * 4_999_999)
    (tmp_path / "other.pdiparams").write_bytes(b"x" * 5_000_000)
    assert quiet_limit_s(tmp_path / "m.json") == QUIET_S + 1
    assert quiet_limit_s(tmp_path) == QUIET_S + 2


@pytest.mark.parametrize("title", [STEPS[0], STEPS[1]])
def test_a_child_that_hangs_while_it_reads_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(isolated, "QUIET_S", 0.1)
    monkeypatch.setattr(isolated, "_ROOT", tmp_path)
    hang = f"{LITTER}\necho '{json.dumps(step(title, 1))}'\nexec sleep 60"
    fake_child(tmp_path, monkeypatch, hang)
    with pytest.raises(CheckpointError, match=rf"'{title}' had not come to an end after 0 s"):
        convert_isolated(request(tmp_path), silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["python", "scratch"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_comparing_may_take_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "QUIET_S", 0.05)
    error = {"event": "error", "kind": "UsageError", "message": "late", "hint": ""}
    fake_child(
        tmp_path,
        monkeypatch,
        f"echo '{json.dumps(step(STEPS[1]))}'\necho '{json.dumps(step(STEPS[3]))}'\nsleep 0.2\n"
        f"echo '{json.dumps(error)}'",
    )
    seen: list[str] = []
    with pytest.raises(UsageError, match="late"):
        convert_isolated(request(tmp_path), lambda title, done, total: seen.append(title))
    assert seen == [STEPS[1], STEPS[3]]


def test_a_crash_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(isolated, "_ROOT", tmp_path)
    fake_child(tmp_path, monkeypatch, f"{LITTER}\nkill -SEGV $$")
    with pytest.raises(ConversionError, match="died with signal SIGSEGV"):
        convert_isolated(request(tmp_path), silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["python", "scratch"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while native code hangs, which does not listen."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(isolated, "PATIENCE_S", 0.1)
    monkeypatch.setattr(isolated, "_ROOT", tmp_path)
    deaf = f"trap '' INT\n{LITTER}\necho '{json.dumps(step(STEPS[0], 1))}'\nexec sleep 60"
    fake_child(tmp_path, monkeypatch, deaf)

    def interrupted(title: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_isolated(request(tmp_path), interrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["python", "scratch"]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_only_what_is_the_childs_own_is_cleared_away(tmp_path: Path) -> None:
    target = tmp_path / "made/bundle"
    parents = missing_parents(target)
    assert parents == (tmp_path / "made",)
    for name in (".bundle.7.abc", ".bundle.77.abc", ".other.7.abc"):
        (target.parent / name).mkdir(parents=True)
    clear_away(target, pid=7, parents=parents)
    assert sorted(path.name for path in target.parent.iterdir()) == [
        ".bundle.77.abc",
        ".other.7.abc",
    ]
    clear_away(tmp_path / "absent/bundle", pid=7, parents=())


def test_no_room_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryDirectory", full)
    with pytest.raises(OutputError, match=r"no room for temporary files: No space left"):
        convert_isolated(request(tmp_path), silent)


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (MemoryError(), "ConversionError", "takes more memory than the 2 MiB that are free"),
        (CheckpointError("damaged", hint="mend"), "CheckpointError", "damaged"),
    ],
)
def test_what_a_conversion_raises_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, kind: str, words: str
) -> None:
    def broken(request: ConvertRequest, on_step: object) -> None:
        raise raised

    monkeypatch.setattr(pipeline, "convert", broken)
    events: list[dict[str, Any]] = []
    attempt(request(tmp_path), events.append, limit_bytes=2 << 20)
    (event,) = events
    assert (event["event"], event["kind"]) == ("error", kind)
    assert words in event["message"]


def test_a_bug_is_reported_with_its_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: ConvertRequest, on_step: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "convert", broken)
    events: list[dict[str, Any]] = []
    attempt(request(tmp_path), events.append)
    assert events[0]["event"] == "bug"
    assert "ZeroDivisionError" in events[0]["trace"]


LIMITED = """
from convert import memory_limit
memory_limit.available_bytes = lambda: {free}
print(memory_limit.limit_memory())
try:
    bytearray(10**9)
except MemoryError:
    print("refused")
"""


@LINUX
@pytest.mark.parametrize(
    ("free", "says"), [(800 << 20, ["796917760", "refused"]), (None, ["None"])]
)
def test_memory_is_limited_to_what_is_free(free: int | None, says: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(free=free)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.stdout.split() == says
