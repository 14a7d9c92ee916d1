"""Films of events: what is in them, after crashes too; bounded, and never in the way."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import runtime.outputs.clip_recorder as clip_recorder
import runtime.video_coding as video_coding
from models.errors import OutputError
from runtime.events import Event, EventChange
from runtime.outputs.clip_coding import ClipEncoder
from runtime.outputs.clip_recorder import ClipSettings
from runtime.outputs.clip_ring import CodedPicture
from runtime.outputs.clips import EventClips
from runtime.records import Frame, Picture
from tests.pauses import Pauses

av = pytest.importorskip("av", reason="needs PyAV")

ROOT = Path(__file__).parents[2]


def grey(tick: int, *, width: int = 160, height: int = 120) -> Picture:
    """A picture that tells its tick by its brightness, 0 to 199."""
    return np.full((height, width, 3), 20 + tick % 200, np.uint8)


def frame(tick: int, *, epoch: int = 0, width: int = 160) -> Frame:
    """A tenth of a second each."""
    return Frame(
        picture=grey(tick, width=width),
        index=tick,
        time_s=tick / 10,
        arrived_s=0.0,
        decode_ms=0.0,
        epoch=epoch,
    )


def change(
    kind: str, tick: int, *, since: int | None = None, number: int = 1, stream: int = 0
) -> EventChange:
    start = tick if since is None else since
    ended = kind == "end"
    event = Event(
        id=f"{stream}-{number}",
        label="Sturz: übel/../böse",
        start_s=start / 10,
        peak=0.9,
        peak_s=start / 10,
        end_s=tick / 10 if ended else None,
        ended="below" if ended else None,
        stream=stream,
    )
    return EventChange(kind="end" if ended else "start", event=event, time_s=tick / 10)


def ticks(path: Path) -> list[int]:
    """The ticks of the pictures of a film, by their brightness."""
    with av.open(str(path)) as film:
        return [
            round(float(one.to_ndarray(format="rgb24").mean())) - 20 for one in film.decode(video=0)
        ]


def near(found: list[int], first: int, last: int, *, within: int = 2) -> bool:
    """Whether these are all ticks of a span; brightness is coded with a loss."""
    return len(found) == last - first + 1 and all(
        abs(one - tick) <= within for one, tick in zip(found, range(first, last + 1), strict=True)
    )


def settings(folder: Path, **changed: float) -> ClipSettings:
    values = ClipSettings(folder=folder, pre_roll_s=2.0, post_roll_s=1.0, held_back_s=1.0)
    return replace(values, **changed)  # type: ignore[arg-type]


def clips(folder: Path, *, live: bool = False, **changed: float) -> EventClips:
    both = dict.fromkeys((0, 1), settings(folder, **changed))
    return EventClips(both, live=[live, live], now_s=lambda: 1.7e9)


def test_a_clip_begins_before_and_ends_after_its_event(tmp_path: Path) -> None:
    recorder = clips(tmp_path / "new" / "folder")
    for tick in range(150):
        recorder.frame(frame(tick), 0)
        if tick == 73:  # told later than it began
            name = recorder.event(change("start", 73, since=70))
        if tick == 90:
            assert recorder.event(change("end", 90, since=70)) == name
    recorder.close(grace_s=20.0)
    assert name.startswith("20231114T221319Z-sturz-ubel-bose-0-1-")
    (path,) = (tmp_path / "new" / "folder").iterdir()
    assert path.name == name
    # Pre-roll reaches back to the key picture before 70 - 20; post-roll to 90 + 10.
    assert near(ticks(path), 50, 100)
    assert recorder.notes() == (f"clips: 1 in {tmp_path / 'new' / 'folder'}",)


def test_events_that_overlap_or_follow_closely_share_a_clip(tmp_path: Path) -> None:
    recorder = clips(tmp_path)
    names = set()
    for tick in range(160):
        recorder.frame(frame(tick), 0)
        if tick == 30:
            names.add(recorder.event(change("start", 30, number=1)))
        if tick == 40:
            names.add(recorder.event(change("start", 40, number=2)))
        if tick == 50:
            names.add(recorder.event(change("end", 50, number=1)))
        if tick == 60:
            names.add(recorder.event(change("end", 60, number=2)))
        if tick == 65:  # in the post-roll
            names.add(recorder.event(change("start", 65, number=3)))
        if tick == 75:
            names.add(recorder.event(change("end", 75, number=3)))
        if tick == 120:  # on its own
            other = recorder.event(change("start", 120, number=4))
    recorder.close(grace_s=20.0)
    (name,) = names
    assert other != name
    assert {one.name for one in tmp_path.iterdir()} == {name, other}
    assert near(ticks(tmp_path / name), 10, 85)
    assert near(ticks(tmp_path / other), 100, 159)  # the source ended


def test_streams_are_recorded_apart(tmp_path: Path) -> None:
    recorder = clips(tmp_path)
    for tick in range(50):
        recorder.frame(frame(tick), 0)
        recorder.frame(frame(tick + 100), 1)
        if tick == 30:
            first = recorder.event(change("start", 30, stream=0))
            second = recorder.event(change("start", 130, stream=1))
    recorder.close(grace_s=20.0)
    assert near(ticks(tmp_path / first), 10, 49)
    assert near(ticks(tmp_path / second), 110, 149)


def test_a_break_or_another_size_goes_on_in_another_file(tmp_path: Path) -> None:
    recorder = clips(tmp_path)
    for tick in range(120):
        at = frame(tick, epoch=int(tick >= 60), width=160 if tick < 90 else 200)
        recorder.frame(at, 0)
        if tick == 30:
            name = recorder.event(change("start", 30))
    recorder.close(grace_s=20.0)
    stem = name.removesuffix(".mp4")
    assert near(ticks(tmp_path / name), 10, 59)
    assert near(ticks(tmp_path / f"{stem}-2.mp4"), 60, 89)
    assert near(ticks(tmp_path / f"{stem}-3.mp4"), 90, 119)
    assert len(list(tmp_path.iterdir())) == 3


def test_long_clips_are_split(tmp_path: Path) -> None:
    recorder = clips(tmp_path, longest_s=4.0)
    for tick in range(130):
        recorder.frame(frame(tick), 0)
        if tick == 30:
            name = recorder.event(change("start", 30))
    recorder.close(grace_s=20.0)
    films = sorted(tmp_path.iterdir(), key=lambda one: (len(one.name), one.name))
    assert films[0].name == name
    found = [tick for film in films for tick in ticks(film)]
    assert near(found, 10, 129)
    assert len(films) == 3


def test_frames_that_come_too_fast_or_not_at_all(tmp_path: Path) -> None:
    recorder = clips(tmp_path)
    recorder.event(change("start", 0))  # before any frame
    for tick in range(1000):  # 1000 pictures a second are thinned out
        recorder.frame(replace(frame(tick // 10), time_s=tick / 1000), 0)
    recorder.close(grace_s=20.0)
    (film,) = tmp_path.iterdir()
    assert 25 <= len(ticks(film)) <= 33


def test_pictures_are_scaled_to_even_sizes() -> None:
    assert video_coding.coded_size(1920, 1080, most_lines=720) == (1280, 720)
    assert video_coding.coded_size(641, 361, most_lines=720) == (640, 360)
    assert video_coding.coded_size(1, 1, most_lines=720) == (2, 2)
    assert video_coding.coded_size(300, 3000, most_lines=720) == (72, 720)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2000, 17), (17, 900)])
def test_pictures_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    recorder = clips(tmp_path)
    for tick in range(20):
        picture = np.full((size[1], size[0], 3), 100, np.uint8)
        recorder.frame(replace(frame(tick), picture=picture), 0)
    recorder.event(change("start", 20))
    recorder.close(grace_s=20.0)
    (film,) = tmp_path.iterdir()
    assert len(ticks(film)) == 20


def test_without_x264(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_coding, "CODECS", video_coding.CODECS[1:])
    recorder = clips(tmp_path)
    for tick in range(60):
        recorder.frame(frame(tick), 0)
    name = recorder.event(change("start", 50))
    recorder.close(grace_s=20.0)
    assert near(ticks(tmp_path / name), 30, 59, within=4)


def test_a_thread_that_is_too_slow_costs_frames_not_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_recorder, "_WAITING", 5 * grey(0).nbytes)
    recorder = clips(tmp_path, live=True)
    recorder._streams[0].recorder._changed.acquire()  # the thread stands still
    for tick in range(50):
        recorder.frame(frame(tick), 0)
    recorder._streams[0].recorder._changed.release()
    recorder.event(change("start", 3))
    recorder.close(grace_s=20.0)
    assert recorder.notes() == (
        f"clips: 1 in {tmp_path}",
        "clips: 45 frames left out, this machine was too busy",
    )


def test_a_clip_that_cannot_be_finished_in_time_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    encode = ClipEncoder.encode

    def stuck(self: ClipEncoder, picture: Picture, time_s: float) -> list[CodedPicture]:
        if time_s >= 4:
            goes_on.wait(20)
        return encode(self, picture, time_s)

    monkeypatch.setattr(ClipEncoder, "encode", stuck)
    recorder = clips(tmp_path)
    for tick in range(50):
        recorder.frame(frame(tick), 0)
        if tick == 10:
            recorder.event(change("start", 10))
    time.sleep(0.5)
    with Pauses() as pauses:
        started_s = time.monotonic()
        recorder.close(grace_s=0.2)
        assert time.monotonic() - started_s < 0.5 + pauses.lost_s
    assert recorder.notes() == (
        f"clips: 1 in {tmp_path}",
        "clips: no time to finish 1, left as .part.mp4, which plays",
    )
    (film,) = tmp_path.iterdir()
    assert len(ticks(film)) >= 30
    goes_on.set()
    recorder._streams[0].recorder._thread.join(20)


def test_a_disk_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # a library may have raised the root's
    monkeypatch.setattr(clip_recorder, "LEAST_FREE_BYTES", 10**18)
    recorder = clips(tmp_path)
    for tick in range(50):
        recorder.frame(frame(tick), 0)
        if tick == 20:
            recorder.event(change("start", 20))
    recorder.close(grace_s=20.0)
    assert list(tmp_path.iterdir()) == []
    assert recorder.notes() == ("clips: 1 not recorded, or not completely",)
    assert "are left on that disk" in caplog.text


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    monkeypatch.setattr(clip_recorder, "LEAST_FREE_BYTES", 1)
    dice = np.random.default_rng(0)
    try:
        recorder = clips(folder)
        for tick in range(60):
            noise = dice.integers(0, 256, (120, 160, 3)).astype(np.uint8)
            recorder.frame(replace(frame(tick), picture=noise), 0)
            if tick == 5:
                name = recorder.event(change("start", 5))
        recorder.close(grace_s=20.0)
        assert [one.name for one in folder.iterdir()] == [name]
        with av.open(str(folder / name)) as film:
            count = 0
            try:
                for _ in film.decode(video=0):
                    count += 1
            except av.FFmpegError:  # the fragment that did not fit
                pass
        assert 5 <= count < 60
        assert "clips: 1 not recorded, or not completely" in recorder.notes()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/clips")):
        with pytest.raises(OutputError):
            clips(folder)
    with pytest.raises(OutputError, match="no folder"):
        clips(Path("a\x00b"))


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/cl\xffps"))
    recorder = clips(folder)
    for tick in range(10):
        recorder.frame(frame(tick), 0)
    name = recorder.event(change("start", 5))
    recorder.close(grace_s=20.0)
    shutil.copy(folder / name, tmp_path / "copy.mp4")
    assert len(ticks(tmp_path / "copy.mp4")) == 10


@pytest.mark.parametrize("round_number", range(4))
def test_kill_9_leaves_a_film_that_plays(tmp_path: Path, round_number: int) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.filming_child", tmp_path], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()  # the clip has begun
    time.sleep(1.2 + 0.37 * round_number)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    (film,) = tmp_path.iterdir()
    assert film.name.endswith(".part.mp4")
    count = 0
    with av.open(str(film)) as opened:
        try:
            for _ in opened.decode(video=0):
                count += 1
        except av.FFmpegError:  # the fragment that was being written
            pass
    # All but the last second of what was shown, at 30 pictures a second; fewer on a busy machine.
    assert count >= (0.2 + 0.37 * round_number) * 30 * 0.3


def test_a_folder_with_a_limit_keeps_the_newest_films(tmp_path: Path) -> None:
    recorder = clips(tmp_path, limit_bytes=30_000)
    rng = np.random.default_rng(0)
    named = []
    for tick in range(400):
        noise = replace(frame(tick), picture=rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))
        recorder.frame(noise, 0)
        number = tick // 100 + 1
        if tick % 100 == 30:
            named.append(recorder.event(change("start", tick, number=number)))
        if tick % 100 == 34:
            recorder.event(change("end", tick, since=tick - 4, number=number))
    recorder.close(grace_s=20.0)
    assert [one.name for one in tmp_path.iterdir()] == named[-1:]  # one alone is above the limit
    assert "clips: 3 oldest removed, to stay below 30.0 kB" in recorder.notes()


def test_a_stream_that_breaks_off_completes_its_film(tmp_path: Path) -> None:
    recorder = clips(tmp_path)
    for tick in range(20):
        recorder.frame(frame(tick), 0)
    name = recorder.event(change("start", 10))
    recorder.event(change("end", 19, since=10))
    recorder.interrupted(0)
    for _ in range(500):
        if [one.name for one in tmp_path.iterdir()] == [name]:
            break
        time.sleep(0.01)
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert near(ticks(tmp_path / name), 0, 19)
    for tick in range(20, 40):
        recorder.frame(frame(tick, epoch=1), 0)
    recorder.close(grace_s=20.0)
    assert [one.name for one in tmp_path.iterdir()] == [name]
