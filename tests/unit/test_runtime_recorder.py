"""A recording leaves nothing out, and never ends a run."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from models.errors import OutputError, SourceError
from runtime.recording import recorder as recorder_module
from runtime.recording.entries import Asked, Ended, Happened
from runtime.recording.recorded import RecordedSource
from runtime.recording.recorder import Recorder
from runtime.recording.recording import Recording, StoredPicture
from runtime.recording.recording_file import RecordingFile
from runtime.records import Frame, SourceCounts, SourceEvent
from tests.fakes import FakeSource
from tests.recordings import FaultyCamera, noise, opening, shown


def entries_in(path: Path) -> list[object]:
    """All entries of a recording."""
    with Recording(path) as recording:
        return list(recording.entries())


def record(path: Path, source: FaultyCamera) -> tuple[list[Frame | SourceEvent], list[float]]:
    """Record a source of which every third picture is wanted: what came, what was wanted."""
    asked = count()
    wanted: list[float] = []

    def third(time_s: float) -> bool:
        if next(asked) % 3:
            return False
        wanted.append(time_s)
        return True

    with RecordedSource(source, Recorder(path, opening())) as recorded:
        items = list(recorded.frames(third))
        assert recorded.counts == source.counts
    return items, wanted


def test_all_that_a_source_gave_is_recorded_in_order(tmp_path: Path) -> None:
    camera = FaultyCamera()
    items, wanted = record(tmp_path / "a.mkv", camera)
    found = entries_in(tmp_path / "a.mkv")
    asked = [one for one in found if isinstance(one, Asked)]
    assert len(asked) == camera.counts.received
    assert [one.time_s for one in asked if one.answer == "yes"] == wanted
    told: list[tuple[str, float]] = []
    for one in found:
        if isinstance(one, StoredPicture):
            told.append(("picture", one.entry.time_s))
        elif isinstance(one, Happened):
            told.append((one.kind, one.time_s))
    assert told == [
        (item.kind if isinstance(item, SourceEvent) else "picture", item.time_s) for item in items
    ]
    last = found[-1]
    assert isinstance(last, Ended)
    assert last.how == "ended"
    assert last.counts is not None
    assert last.counts.source_counts() == camera.counts


def test_without_a_choice_all_pictures_are_recorded(tmp_path: Path) -> None:
    source = FakeSource([shown(0, 0.0), shown(1, 0.1)], live=True)
    with RecordedSource(source, Recorder(tmp_path / "a.mkv", opening())) as recorded:
        assert len(list(recorded)) == 2
    answers = [one.answer for one in entries_in(tmp_path / "a.mkv") if isinstance(one, Asked)]
    assert answers == ["all", "all"]


def test_a_reader_that_stops_is_no_end_of_the_source(tmp_path: Path) -> None:
    with RecordedSource(FaultyCamera(), Recorder(tmp_path / "a.mkv", opening())) as recorded:
        frames = recorded.frames()
        next(frames)
        frames.close()
    assert entries_in(tmp_path / "a.mkv")[-1].how == "stopped"  # type: ignore[attr-defined]


def test_an_interrupted_source_has_stopped(tmp_path: Path) -> None:
    with RecordedSource(FaultyCamera(), Recorder(tmp_path / "a.mkv", opening())) as recorded:
        for _ in recorded:
            recorded.interrupt()
    assert entries_in(tmp_path / "a.mkv")[-1].how == "stopped"  # type: ignore[attr-defined]


class _Failing(FakeSource):
    def frames(self, wanted: object = None) -> Iterator[Frame | SourceEvent]:
        yield shown(0, 0.0)
        raise SourceError("the cable\nis out")


def test_how_a_source_failed_is_recorded(tmp_path: Path) -> None:
    recorded = RecordedSource(_Failing([]), Recorder(tmp_path / "a.mkv", opening()))
    with recorded, pytest.raises(SourceError, match="cable"):
        list(recorded)
    last = entries_in(tmp_path / "a.mkv")[-1]
    assert isinstance(last, Ended)
    assert (last.how, last.text) == ("failed", "the cable is out")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.mkv").write_bytes(b"precious")
    with pytest.raises(OutputError, match="overwrites nothing"):
        Recorder(tmp_path / "a.mkv", opening())
    with pytest.raises(OutputError, match="no folder"):
        Recorder(tmp_path / "none" / "a.mkv", opening())


def test_a_recording_stays_below_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    recorder = Recorder(path, opening(), limit_bytes=100_000)
    source = FakeSource([shown(i, i / 2, picture=noise(i)) for i in range(60)])
    with RecordedSource(source, recorder) as recorded:
        assert len(list(recorded)) == 60  # the run goes on
    assert 80_000 < path.stat().st_size < 130_000
    last = entries_in(path)[-1]
    assert isinstance(last, Ended)
    assert last.how == "cut"
    assert recorder.full
    assert recorder.cut == last.text == "it has reached 100.0 kB"
    assert "ended early, it has reached" in recorder.notes()[-1]


def test_a_full_disk_ends_the_recording_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mkv"
    left = 150_000
    write = os.write

    def full(handle: int, data: bytes) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(handle, data[: max(1, left)])
        left -= done
        return done

    recorder = Recorder(path, opening())
    monkeypatch.setattr(os, "write", full)
    source = FakeSource([shown(i, i / 2, picture=noise(i)) for i in range(60)])
    with RecordedSource(source, recorder) as recorded:
        assert len(list(recorded)) == 60
    monkeypatch.setattr(os, "write", write)
    assert recorder.cut == "No space left on device"
    assert sum(isinstance(one, StoredPicture) for one in entries_in(path)) > 5


def test_a_disk_with_little_room_is_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "LEAST_FREE_BYTES", 1 << 60)
    recorder = Recorder(tmp_path / "a.mkv", opening())
    with RecordedSource(FakeSource([shown(0, 0.0)]), recorder) as recorded:
        assert len(list(recorded)) == 1
    assert recorder.cut.startswith("only ")
    last = entries_in(tmp_path / "a.mkv")[-1]
    assert isinstance(last, Ended)
    assert last.how == "cut"


def test_a_time_that_is_none_ends_the_recording_and_not_the_run(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.mkv", opening())
    frames = [shown(0, 0.0), shown(1, 1e18)]
    with RecordedSource(FakeSource(frames), recorder) as recorded:
        assert len(list(recorded)) == 2
    assert "time_s" in recorder.cut
    assert "\n" not in recorder.cut


class _Gate:
    """Holds the encoder up until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        add = RecordingFile.add

        def held(file: RecordingFile, frame: Frame, counts: SourceCounts) -> None:
            self.open.wait(10)
            add(file, frame, counts)

        monkeypatch.setattr(RecordingFile, "add", held)
        monkeypatch.setattr(recorder_module, "_WAITING_BYTES", 0)
        monkeypatch.setattr(recorder_module, "_LOOK_S", 0.001)


def test_a_slow_encoder_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate(monkeypatch)
    recorder = Recorder(tmp_path / "a.mkv", opening())
    looked = count()

    def looking() -> bool:
        if next(looked) == 3:
            gate.open.set()
        return False

    for index in range(6):
        assert recorder.picture(shown(index, index / 2), SourceCounts(), stopping=looking)
    recorder.note(Asked(time_s=9.0, answer="no"))
    recorder.close(Ended(how="ended"), grace_s=10)
    pictures = [one for one in entries_in(tmp_path / "a.mkv") if isinstance(one, StoredPicture)]
    assert next(looked) > 3
    assert len(pictures) == 6


def test_a_stop_is_not_held_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate(monkeypatch)
    recorder = Recorder(tmp_path / "a.mkv", opening())
    given = [
        recorder.picture(shown(index, index / 2), SourceCounts(), stopping=lambda: True)
        for index in range(5)
    ]
    assert given[:2] == [True, True]
    assert False in given[2:]
    recorder.close(Ended(how="stopped"), grace_s=0.0)
    assert recorder.cut == "there was no time to write the rest"
    gate.open.set()


def test_a_picture_that_came_too_late_to_be_recorded_counts_as_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = _Gate(monkeypatch)
    source = FakeSource([shown(i, i / 2) for i in range(9)], live=True)
    recorded = RecordedSource(source, Recorder(tmp_path / "a.mkv", opening()))
    threading.Timer(0.05, recorded.interrupt).start()
    given = list(recorded.frames())
    gate.open.set()
    recorded.close()
    counts = recorded.counts
    assert 2 <= len(given) < 9
    assert counts.delivered == len(given)
    assert counts.dropped == 1
    assert counts.received == counts.delivered + 1
    pictures = [one for one in entries_in(tmp_path / "a.mkv") if isinstance(one, StoredPicture)]
    assert len(pictures) == len(given)


def test_an_encoder_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = _Gate(monkeypatch)
    clock = count()
    recorder = Recorder(tmp_path / "a.mkv", opening(), clock=lambda: float(next(clock)))
    for index in range(6):
        assert recorder.picture(shown(index, index / 2), SourceCounts(), stopping=lambda: False)
    assert recorder.cut == "nothing could be written for 5 s"
    gate.open.set()
    recorder.close(Ended(how="ended"), grace_s=10)
    assert np.isfinite((tmp_path / "a.mkv").stat().st_size)


def test_an_encoder_that_fails_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: RecordingFile, frame: Frame, counts: SourceCounts) -> None:
        raise OSError(None, "no such encoder")

    monkeypatch.setattr(RecordingFile, "add", broken)
    recorder = Recorder(tmp_path / "a.mkv", opening())
    with RecordedSource(FakeSource([shown(0, 0.0)]), recorder) as recorded:
        assert len(list(recorded)) == 1
    assert recorder.cut == "no such encoder"
    assert recorder.notes()[0].startswith("recording: 0 pictures")
