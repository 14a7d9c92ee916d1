"""Windows on the screen: the newest picture wins, and nothing ever waits for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runtime.outputs.window as window
from models.errors import MissingExtra, OutputError
from runtime.outputs.window import MOST_PIXELS, Windows
from runtime.records import Frame, Picture, SourceEvent
from tests.boards import prediction
from tests.fakes import frame_at
from tests.pauses import Pauses

_FAKE = """
import json, sys, time
from runtime.outputs.window_process import NEXT, READY, received, received_shot
stdin, stdout = open(0, "rb", 0), open(1, "wb", 0)
told = open({told!r}, "a", buffering=1)
told.write(json.dumps(received(stdin)) + "\\n")
{opening}
stdout.write(READY)
{before}
while (shot := received_shot(stdin)) is not None:
    top = [one.label for one in shot.top]
    facts = [shot.window, shot.picture.shape[:2], int(shot.picture[0, 0, 0]), top, shot.trouble]
    told.write(json.dumps(facts) + "\\n")
    {between}
    stdout.write(NEXT)
"""


def fake(folder: Path, *, opening: str = "", before: str = "", between: str = "") -> list[str]:
    """A process that writes down what it should show."""
    program = _FAKE.format(
        told=str(folder / "told"), opening=opening, before=before, between=between
    )
    return [sys.executable, "-c", program]


def opened(
    folder: Path, *, names: tuple[str, ...] = ("door",), ended: Callable[[], None], **what: str
) -> Windows:
    return Windows(names, top_k=1, ended=ended, command=fake(folder, **what))


def nothing() -> None:
    """Called when the windows were closed."""


def told(folder: Path, count: int) -> list[list[Any]]:
    """What the process should have shown, once there is so much."""
    for _ in range(1000):
        lines = (folder / "told").read_text().splitlines()[1:]
        if len(lines) >= count:
            return [json.loads(line) for line in lines]
        time.sleep(0.01)
    raise AssertionError(f"only {lines}")


def grey(value: int, *, width: int = 64, height: int = 48) -> Frame:
    picture: Picture = np.full((height, width, 3), value, np.uint8)
    return frame_at(value / 10, value, picture=picture)


def silence(*, breaks: bool = True, delivers: bool = False) -> SourceEvent:
    return SourceEvent(
        kind="back" if delivers else "silent",
        text="no picture for 5 s",
        time_s=1.0,
        at_s=1.0,
        delivers=delivers,
        breaks=breaks,
    )


def test_what_is_shown(tmp_path: Path) -> None:
    with opened(tmp_path, names=("door", "yard"), ended=nothing) as shown:
        assert shown.wants_frame(1)
        shown.frame(grey(1), 1)
        told(tmp_path, 1)
        shown.prediction(prediction(stream=1, top=[("wave", 0.7), ("fall", 0.2)]))
        shown.frame(grey(2), 1)
        told(tmp_path, 2)
        shown.source_event(silence(), 1)  # the picture is old now, and its class nobody's
        told(tmp_path, 3)
        shown.source_event(silence(delivers=True), 1)
        shown.frame(grey(3, width=2 * MOST_PIXELS + 2, height=90), 0)
        found = told(tmp_path, 5)
    assert json.loads((tmp_path / "told").read_text().splitlines()[0]) == {
        "titles": ["0: door - edgecls", "1: yard - edgecls"]
    }
    assert found[:3] == [
        [1, [48, 64], 1, [], ""],
        [1, [48, 64], 2, ["wave"], ""],
        [1, [48, 64], 2, [], "no picture for 5 s"],
    ]
    assert sorted(found[3:]) == [[0, [30, 854], 3, [], ""], [1, [48, 64], 2, [], ""]]
    assert shown.notes() == ()


def test_the_newest_picture_wins(tmp_path: Path) -> None:
    with opened(tmp_path, ended=nothing, between="time.sleep(0.3)") as shown:
        for value in range(1, 60):
            shown.frame(grey(value), 0)
            time.sleep(0.01)
        values = [one[2] for one in told(tmp_path, 3)]
    assert len(values) < 10
    assert values[0] < 10
    assert values == sorted(values)


def test_a_window_is_not_given_more_than_it_can_show(tmp_path: Path) -> None:
    with opened(tmp_path, ended=nothing, before="time.sleep(60)") as shown:
        shown.frame(grey(0), 0)
        time.sleep(0.3)  # until it is on its way
        shown.frame(grey(1), 0)
        assert shown.wants_frame(0)  # it may ask yet
        time.sleep(window.BEHIND_S * 1.5)
        assert not shown.wants_frame(0)


def test_a_display_that_hangs_stops_nobody(tmp_path: Path, pauses: Pauses) -> None:
    shown = opened(tmp_path, ended=nothing, before="time.sleep(60)")
    started_s = time.monotonic()
    for value in range(100):
        shown.frame(grey(value, width=1280, height=720), 0)
    assert time.monotonic() - started_s < 1.0 + pauses.lost_s
    shown.close(grace_s=0.3)
    shown.close(grace_s=0.3)
    assert time.monotonic() - started_s < 3.0 + pauses.lost_s
    assert shown.notes() == ()


def test_the_user_ends_it(tmp_path: Path) -> None:
    ended = threading.Event()
    with opened(tmp_path, ended=ended.set, before='stdout.write(b"end\\n")'):
        assert ended.wait(10)


def test_a_process_that_dies_is_a_note(tmp_path: Path) -> None:
    ended = threading.Event()
    with opened(tmp_path, ended=ended.set, between="sys.exit(1)") as shown:
        for value in range(500):
            shown.frame(grey(value % 200), 0)
            time.sleep(0.01)
            if shown.notes():
                break
        assert not shown.wants_frame(0)
    assert shown.notes() == ("window: its process ended before the run did",)
    assert not ended.is_set()


@pytest.mark.parametrize(
    ("opening", "kind", "message"),
    [
        ('stdout.write(b"no display\\n"); sys.exit()', OutputError, "no display"),
        ('stdout.write(b"headless\\n"); sys.exit()', MissingExtra, "opencv-python-headless"),
        ("sys.exit(134)", OutputError, "no window could be opened"),
        ("time.sleep(60)", OutputError, "does not answer"),
    ],
)
def test_windows_that_do_not_open(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opening: str,
    kind: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr(window, "_OPEN_S", 0.7 if "sleep" in opening else 20.0)
    with pytest.raises(kind, match=message):
        opened(tmp_path, ended=nothing, opening=opening)


def test_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutputError, match="--show has no display") as raised:
        Windows(["door"], top_k=1, ended=nothing)
    assert "--serve" in raised.value.hint


def test_a_display_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":7891")
    with pytest.raises((OutputError, MissingExtra), match=r"no window could be opened|needs an"):
        Windows(["door"], top_k=1, ended=nothing)


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The memory of a real X server's screen."""
    server = shutil.which("Xvfb")
    if server is None or shutil.which("xdotool") is None:
        pytest.skip("needs Xvfb and xdotool")
    read, write = os.pipe()
    process = subprocess.Popen(
        [server, "-displayfd", str(write), "-screen", "0", "800x600x24", "-fbdir", tmp_path],
        pass_fds=(write,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        monkeypatch.setenv("DISPLAY", f":{answer.readline().strip()}")
    yield tmp_path / "Xvfb_screen0"
    process.terminate()
    process.wait()


def is_shown(screen: Path, bgr: tuple[int, int, int], *, pixels: int) -> bool:
    """Whether so many pixels of a colour come to be on the screen within a while."""
    for _ in range(100):
        if screen.read_bytes().count(bytes(bgr)) > pixels:  # in memory a pixel is B, G, R, nothing
            return True
        time.sleep(0.01)
    return False


def found_windows() -> list[str]:
    find = ["xdotool", "search", "--name", "door - edgecls"]
    return subprocess.run(find, capture_output=True, text=True, check=True).stdout.split()


def map_again() -> None:
    """Do what a window manager does late: without one, Qt may miss that its window is mapped."""
    for one in found_windows():
        for order in ("windowunmap", "windowmap"):
            subprocess.run(["xdotool", order, one], capture_output=True, check=False)


def test_a_real_window(screen: Path) -> None:
    ended = threading.Event()
    green: Picture = np.zeros((240, 320, 3), np.uint8)
    green[:] = (10, 200, 30)
    try:
        shown = Windows(["door"], top_k=1, ended=ended.set)
    except MissingExtra:
        pytest.skip("this OpenCV has no windows")
    with shown:
        shown.prediction(prediction(top=[("wave", 0.7)]))
        shown.frame(frame_at(1.0, picture=green), 0)
        for _ in range(10):
            if is_shown(screen, (30, 200, 10), pixels=240 * 320 // 2):
                break
            map_again()
        else:
            raise AssertionError("the picture is not on the screen")
        assert not ended.is_set()
        for _ in range(20):
            for one in found_windows():
                press = ["xdotool", "key", "--window", one, "q"]
                subprocess.run(press, capture_output=True, check=False)
            if ended.wait(0.5):
                break
        assert ended.is_set()
