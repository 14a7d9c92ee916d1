"""`edgecls run` on folders, lists, pictures and stdin."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import cv2
import pytest

from models.bundle import Bundle
from tests.cli.command import NEEDS_ENGINES, environment, failing
from tests.cli.in_process import called
from tests.pauses import Pauses
from tests.video_files import Encoding, encode_video, numbered_picture, write_numbered, write_video

pytestmark = NEEDS_ENGINES


@pytest.fixture
def folder(tmp_path: Path, video: Path) -> Path:
    """Videos of 3 s, a damaged one, and one shorter than a window."""
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "2.mp4").write_bytes(video.read_bytes())
    (folder / "3.mp4").write_bytes(bytes(range(256)) * 64)
    write_numbered(folder / "10.mp4", 12)
    return folder


def json_lines(text: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Windows, and what befell the source."""
    lines = [json.loads(line) for line in text.splitlines()]
    windows = [line for line in lines if line["type"] == "window"]
    return windows, [line for line in lines if line["type"] == "source"]


def results(windows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(one["top"][0]["label"], one["top"][0]["probability"]) for one in windows]


def test_each_video_of_a_folder_is_classified_as_if_alone(
    bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", bundle.path, "--backend", "cpu", "--format", "jsonl", "-s")
    done = called(*words, folder, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    windows, events = json_lines(done.out)
    alone = []
    for name in ("2.mp4", "10.mp4"):
        alone += json_lines(called(*words, folder / name, monkeypatch=monkeypatch).out)[0]
    assert [one["file"] for one in windows] == ["2.mp4"] * 9 + ["10.mp4"]
    assert {one["file"] for one in alone} == {None}
    assert {one["source"] for one in windows} == {str(folder)}
    assert [one["index"] for one in windows] == list(range(10))
    assert results(windows) == results(alone)
    # Time runs on.
    assert windows[-1]["start_s"] == pytest.approx(3.0)
    assert [(one["change"], one["text"]) for one in events] == [
        ("file", "1 of 3: 2.mp4"),
        ("left_out", f"3.mp4 is left out: {folder}/3.mp4 is not a video that FFmpeg can read."),
        ("file", "3 of 3: 10.mp4"),
        ("left_out", "left out: 1 of 3 videos"),
    ]
    assert "3.mp4 is left out" in done.err
    assert "gap" not in done.err.splitlines()[-1]


def test_reuse_goes_on_behind_a_turn(
    bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", bundle.path, "--backend", "cpu", "--format", "jsonl", "-s", folder / "*0.mp4")
    (folder / "20.mp4").write_bytes((folder / "2.mp4").read_bytes())
    (folder / "30.mp4").write_bytes((folder / "2.mp4").read_bytes())
    windows, _ = json_lines(called(*words, monkeypatch=monkeypatch).out)
    assert [Path(one["file"]).name for one in windows] == ["10.mp4"] + ["20.mp4"] * 9 + [
        "30.mp4"
    ] * 9
    assert results(windows[1:10]) == results(windows[10:])


def test_no_video_of_a_list_can_be_read(folder: Path) -> None:
    (folder / "list.txt").write_text("3.mp4\nnone.mp4\n")
    error, hint = failing("run", "-s", folder / "list.txt", code=4)[-2:]
    assert error.startswith("error: None of the 2 videos of list.txt can be read. The first: ")
    assert hint.startswith("hint: ")


def test_loop_ends_at_the_limit(
    bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called(
        *("run", bundle.path, "-s", folder / "10.mp4", "--loop", "--format", "jsonl"),
        *("--max-windows", 3, "--backend", "cpu"),
        monkeypatch=monkeypatch,
    )
    windows, events = json_lines(done.out)
    assert [one["index"] for one in windows] == [0, 1, 2]
    assert len(set(results(windows))) == 1
    assert [one["text"] for one in events] == [
        "from the beginning, round 2",
        "from the beginning, round 3",
    ]


def test_pictures_at_a_rate_of_their_own(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(32):
        assert cv2.imwrite(str(tmp_path / f"f{number:04d}.png"), numbered_picture(number))
    words = ("run", bundle.path, "--format", "jsonl", "--image-fps", 16, "-s")
    found = called(*words, tmp_path / "f%04d.png", monkeypatch=monkeypatch)
    windows, _ = json_lines(found.out)
    assert [one["start_s"] for one in windows] == [0.0, 0.25, 0.5, 0.75, 1.0]
    same, _ = json_lines(called(*words, tmp_path, monkeypatch=monkeypatch).out)
    assert results(same) == results(windows)


def test_several_videos_are_not_one_whole(folder: Path) -> None:
    error, hint = failing("run", "-s", folder, "--sampling", "uniform", code=2)[-2:]
    assert "takes one at a time" in error
    assert "edgecls eval --clips FOLDER" in hint
    assert "stdin comes once" in failing("run", "-s", "-", "--sampling", "dense", code=2)[0]


def piped(bundle: Bundle, *words: object, stdin: int | IO[bytes]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "edge_cli", "run", str(bundle.path), "-s", "-"),
            *("--backend", "cpu", "--format", "jsonl"),
            *map(str, words),
        ],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_stdin_gives_what_the_file_gives(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = [numbered_picture(number) for number in range(32)]
    path = encode_video(tmp_path / "a.mkv", pictures, Encoding())
    words = ("run", bundle.path, "--backend", "cpu", "--format", "jsonl", "-s", path)
    expected, _ = json_lines(called(*words, monkeypatch=monkeypatch).out)
    with path.open("rb") as stdin, piped(bundle, stdin=stdin) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    windows, _ = json_lines(out)
    assert results(windows) == results(expected)
    assert {one["source"] for one in windows} == {"-"}


@pytest.mark.parametrize(
    ("sent", "number"),
    [(0, signal.SIGINT), (1, signal.SIGTERM), (40, signal.SIGINT)],
    ids=["nothing", "half a picture", "pictures"],
)
def test_stopping_while_the_pipe_says_nothing(
    bundle: Bundle, sent: int, number: signal.Signals, pauses: Pauses
) -> None:
    data = b"".join(numbered_picture(one % 32).tobytes() for one in range(sent))
    data = data[: len(data) // 2] if sent == 1 else data
    words = ("--raw", "64x48@20", "--read-timeout", 0.3)
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb") as stdin, os.fdopen(writes, "wb") as writer:
        process = piped(bundle, *words, stdin=stdin)
        assert process.stderr
        said = process.stderr.readline()
        assert said.startswith("backend: ")
        writer.write(data)
        writer.flush()
        while sent > 1 and "nothing came for 0.3 s" not in said:
            said = process.stderr.readline()
        time.sleep(0.1)
        process.send_signal(number)
        started_s = time.monotonic()
        out, err = process.communicate(timeout=20)
        took_s = time.monotonic() - started_s
    assert process.returncode == 0, err
    assert took_s < 2 + pauses.lost_s
    assert "summary: " in err
    windows, _ = json_lines(out)
    assert len(windows) == (5 if sent > 1 else 0)


def test_pictures_of_other_sizes_and_a_film_of_them(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_numbered(clips / "a.mp4", 30)
    large = [numbered_picture(number, width=80, height=60) for number in range(30)]
    write_video(clips / "b.mp4", large)
    done = called(
        *("run", bundle.path, "-s", clips, "--save", tmp_path / "out.mp4", "--backend", "cpu"),
        monkeypatch=monkeypatch,
    )
    assert done.code == 0, done.err
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    count = 0
    while capture.grab():
        count += 1
    assert count == 60
