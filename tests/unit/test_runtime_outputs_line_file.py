"""Line files: whole lines only, after crashes and on full disks; foreign files are left alone."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import OutputError
from runtime.outputs.line_file import LineFile, Sync, WhenFull

ROOT = Path(__file__).parents[2]
HEAD = '{"type": "header"'


def opened(
    path: Path,
    *,
    begins: str | None = HEAD,
    sync: Sync = Sync.NEVER,
    when_full: WhenFull = WhenFull.FAIL,
) -> LineFile:
    return LineFile(path, begins=begins, sync=sync, when_full=when_full)


def test_appends_to_what_it_wrote_before(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for number in range(3):
        file = opened(path)
        assert file.was_empty == (number == 0)
        assert file.write(f"{HEAD}, {number}\n")
        assert file.write("")
        file.close()
        file.close()
    assert path.read_text().splitlines() == [f"{HEAD}, {number}" for number in range(3)]


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 200))
def test_a_file_cut_anywhere_goes_on_with_whole_lines(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "out.jsonl"
    lines = [f"{HEAD}, 1\n", *(f'{{"number": {number}, "ä": 1}}\n' for number in range(5))]
    whole = "".join(lines).encode()
    path.write_bytes(whole[:cut])
    file = opened(path)
    file.write("last\n")
    file.close()
    kept = whole[:cut].rpartition(b"\n")
    assert path.read_bytes() == kept[0] + kept[1] + b"last\n"


def test_a_half_line_without_a_mark_is_ended_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("dear diary")
    file = opened(path, begins=None)
    file.write("line\n")
    file.close()
    assert path.read_text() == "dear diary\nline\n"


@pytest.mark.parametrize("content", [b"dear diary", b"\x89PNG\r\n" * 100, b"\x00" * 9, b"[]\n"])
def test_other_peoples_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "precious"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="holds something else"):
        opened(path)
    assert path.read_bytes() == content


def test_text_is_not_appended_to_other_kinds_of_files(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\0\0\0 ftypisom" * 9)
    with pytest.raises(OutputError, match="not a text file"):
        opened(path, begins=None)
    assert path.read_bytes() == b"\0\0\0 ftypisom" * 9


def test_a_file_without_any_line_end(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(HEAD.encode())
    os.truncate(path, 20 * 1024 * 1024)
    with pytest.raises(OutputError, match="holds no lines"):
        opened(path)
    assert path.stat().st_size == 20 * 1024 * 1024


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        opened(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OutputError, match="not a regular file"):
        opened(tmp_path / "fifo")
    with pytest.raises(OutputError, match="no folder") as refused:
        opened(tmp_path / "absent" / "out")
    assert refused.value.hint.startswith("mkdir -p")
    with pytest.raises(OutputError):
        opened(tmp_path / ("x" * 300))
    with pytest.raises(OutputError, match="no file name"):
        opened(tmp_path / "a\x00b")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OutputError):
        opened(file / "below")


def test_one_run_at_a_time(tmp_path: Path) -> None:
    file = opened(tmp_path / "out")
    with pytest.raises(OutputError, match="Another run writes"):
        opened(tmp_path / "out")
    file.close()
    opened(tmp_path / "out").close()


@pytest.mark.parametrize(
    ("sync", "important", "expected"),
    [
        (Sync.NEVER, True, [0, 0, 0]),
        (Sync.EVENTS, True, [0, 1, 2]),
        (Sync.ALWAYS, False, [1, 2, 3]),
    ],
)
def test_sync(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sync: Sync,
    important: bool,
    expected: list[int],
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    file = opened(tmp_path / "out", sync=sync)
    counts = []
    file.write("a\n")
    counts.append(len(calls))
    file.write("b\n", important=important)
    counts.append(len(calls))
    file.close()
    counts.append(len(calls))
    assert counts == expected


def limited(path: Path, when_full: str) -> str:
    """Write lines in a process whose files may grow to 4096 bytes; what it says."""
    program = f"""
import logging, pathlib, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
logging.basicConfig(format="%(message)s", stream=sys.stdout)
from models.errors import OutputError
from runtime.outputs.line_file import LineFile, Sync, WhenFull
file = LineFile(pathlib.Path({str(path)!r}), begins={HEAD!r}, sync=Sync.ALWAYS,
                when_full=WhenFull({when_full!r}))
file.write({HEAD!r} + "\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    for number in range(100):
        file.write(f"{{number:099d}}\\n")
except OutputError as error:
    print("error:", error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
if {when_full!r} == "drop":
    file.write("again\\n")
print(file.dropped)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_room_is_an_error_and_never_a_half_line(tmp_path: Path) -> None:
    said = limited(tmp_path / "out", "fail")
    assert said.startswith("error:")
    assert "File too large" in said
    assert "Traceback" not in said
    content = (tmp_path / "out").read_text()
    assert content.endswith("\n")
    assert content.count("\n") == 1 + 40


def test_or_lines_are_left_out_said_once_and_counted(tmp_path: Path) -> None:
    said = limited(tmp_path / "out", "drop").splitlines()
    assert [line.partition(": ")[2] for line in said[:-1]] == [
        "File too large; leaving lines out until it works again",
        "works again, 60 lines were left out so far",
    ]
    assert said[-1] == "60"
    lines = (tmp_path / "out").read_text().splitlines()
    assert len(lines) == 1 + 40 + 1
    assert lines[-1] == "again"


def test_a_real_full_disk(tmp_path: Path) -> None:
    """On a file system of its own, where this machine allows one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        file = opened(folder / "out", when_full=WhenFull.DROP)
        written = 1 + sum(file.write("x" * 999 + "\n") for _ in range(100))
        assert 0 < file.dropped < 100
        content = (folder / "out").read_bytes()
        assert len(content) % 1000 == 0
        assert written + file.dropped == 101
        failing = opened(folder / "other", begins=None)
        with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
            failing.write("y" * 70_000 + "\n")
        assert (folder / "other").stat().st_size == 0
        failing.close()
        file.close()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("round_number", range(3))
def test_kill_9_leaves_whole_lines(tmp_path: Path, round_number: int) -> None:
    path = tmp_path / "out"
    program = f"""
import pathlib
from runtime.outputs.line_file import LineFile, Sync, WhenFull
file = LineFile(pathlib.Path({str(path)!r}), begins=None, sync=Sync.NEVER, when_full=WhenFull.FAIL)
while True:
    file.write("x" * 5000 + "\\n")
"""
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    for _ in range(500):
        if path.exists() and path.stat().st_size > 10_000:
            break
        time.sleep(0.02)
    time.sleep(0.013 * round_number)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    opened(path, begins=None).close()
    content = path.read_bytes()
    assert content.endswith(b"\n")
    assert {len(line) for line in content.splitlines()[:-1]} == {5000}
