"""`edgecls run` on a real video and a tiny model."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from models.bundle import Bundle
from tests.cli.command import FRAMES, NEEDS_ENGINES, edgecls, environment, failing
from tests.staged_models import write_staged_bundle
from tests.tiny_models import LABELS
from tests.video_files import numbered_picture, write_video

pytestmark = NEEDS_ENGINES


def test_text(bundle: Bundle, video: Path) -> None:
    done = edgecls("run", bundle.path, "--source", video, "--window", 1, "--stride", 0.5)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line[:19] for line in lines] == [
        f"{start:7.1f}-{start + 1:7.1f} s  " for start in (0, 0.5, 1, 1.5, 2)
    ]
    assert all(len(line) <= 80 for line in lines)
    said = done.stderr.splitlines()
    assert said[0].startswith("backend: ")
    assert said[-1].startswith("summary: 5 windows in ")


def test_jsonl_defaults(bundle: Bundle, video: Path) -> None:
    done = edgecls("run", bundle.path, "-s", video, "--format", "jsonl", "--backend", "cpu")
    assert done.returncode == 0, done.stderr
    header, *windows, _ = map(json.loads, done.stdout.splitlines())
    assert header["type"] == "header"
    assert (header["backend"], header["precision"]) == ("cpu", "fp32")
    assert header["engine"].startswith("onnxruntime ")
    assert (header["window_s"], header["stride_s"]) == (1.0, 0.25)
    assert header["grid"] == {
        "interval_s": 0.25,
        "phases": 1,
        "stride_asked_s": None,
        "gap": "reset",
        "gap_after_s": 1.0,
    }
    assert [(one["source"], one["live"]) for one in header["sources"]] == [(str(video), False)]
    assert (header["classes"], header["sampling"], header["live"]) == (4, "sliding", False)
    assert header["views"] == 1
    assert [window["index"] for window in windows] == list(range(len(windows)))
    assert len(windows) == 9, "3 s of video, 1 s windows, 0.25 s apart"
    for window in windows:
        assert window["end_s"] - window["start_s"] == pytest.approx(1.0)
        assert len(window["top"]) == 4
        assert sum(one["probability"] for one in window["top"]) == pytest.approx(1, abs=1e-4)
        assert {one["label"] for one in window["top"]} == set(LABELS)
        assert window["frame_age_ms"] is None
        assert (window["stream"], window["source"]) == (0, str(video))
        assert (window["held"], window["resets"], window["batch"]) == (0, 0, 1)


def test_windowed(bundle: Bundle, video: Path) -> None:
    words = ("run", bundle.path, "-s", video, "--format", "jsonl", "--sampling", "windowed")
    header, *windows, _ = map(json.loads, edgecls(*words).stdout.splitlines())
    assert (header["stride_s"], header["grid"]) == (0.1, None)
    assert len(windows) == 21, "3 s of video, 1 s windows, 0.1 s apart"
    assert {window["held"] for window in windows} == {None}


def test_a_stride_that_is_rounded_is_told(bundle: Bundle, video: Path) -> None:
    words = ("run", bundle.path, "-s", video, "--format", "jsonl", "--stride")
    done = edgecls(*words, 0.12)
    header, *windows, _ = map(json.loads, done.stdout.splitlines())
    assert header["stride_s"] == pytest.approx(0.125)
    assert (header["grid"]["phases"], header["grid"]["stride_asked_s"]) == (2, 0.12)
    assert len(windows) == 17
    assert "stride: 0.125 s instead of 0.12 s" in done.stderr
    assert "stride:" not in edgecls(*words, 0.5).stderr


def test_several_sources(bundle: Bundle, video: Path) -> None:
    words = ("run", bundle.path, "-s", video, "-s", "demo", "--max-windows", 6)
    header, *windows, _ = map(json.loads, edgecls(*words, "--format", "jsonl").stdout.splitlines())
    assert [one["source"] for one in header["sources"]] == [str(video), "demo"]
    assert [(one["stream"], one["index"]) for one in windows] == [
        (stream, index) for index in range(3) for stream in (0, 1)
    ]
    assert [one["source"] for one in windows[:2]] == [str(video), "demo"]
    assert {one["batch"] for one in windows} == {2}
    alone = edgecls("run", bundle.path, "-s", "demo", "--format", "jsonl", "--max-windows", 3)
    expected = [json.loads(line)["top"] for line in alone.stdout.splitlines()[1:-1]]
    found = [one["top"] for one in windows if one["stream"] == 1]
    for one, other in zip(found, expected, strict=True):
        assert [each["label"] for each in one] == [each["label"] for each in other]
    text = edgecls(*words).stdout.splitlines()
    assert text[0].startswith("numbers.mp4      0.0-")
    assert text[1].startswith("demo             0.0-")


def test_both_engines_say_the_same(bundle: Bundle, video: Path) -> None:
    outputs = []
    for backend in ("cpu", "openvino"):
        done = edgecls("run", bundle.path, "-s", video, "--format", "csv", "--backend", backend)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        outputs.append([(row["start_s"], row["label_1"]) for row in rows])
        assert all(float(row["probability_1"]) > 0.2 for row in rows)
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) == 9


def test_top_threshold_and_max_windows(bundle: Bundle, video: Path) -> None:
    words = ("run", bundle.path, "-s", video, "--format", "jsonl", "--max-windows", 3)
    done = edgecls(*words, "--top", 1)
    windows = [json.loads(line) for line in done.stdout.splitlines()[1:-1]]
    assert [len(window["top"]) for window in windows] == [1, 1, 1]
    done = edgecls(*words, "--threshold", 0.5)
    windows = [json.loads(line) for line in done.stdout.splitlines()[1:-1]]
    assert all(one["probability"] >= 0.5 for window in windows for one in window["top"])


def test_changes(bundle: Bundle, video: Path) -> None:
    words = ("run", bundle.path, "-s", video, "--format", "jsonl", "--stride", 0.04)
    every = [json.loads(line) for line in edgecls(*words).stdout.splitlines()[1:-1]]
    done = edgecls(*words, "--changes")
    changes = [json.loads(line) for line in done.stdout.splitlines()[1:-1]]
    labels = [window["top"][0]["label"] for window in every]
    first_of_each = [at for at, label in enumerate(labels) if at == 0 or labels[at - 1] != label]
    assert 1 < len(first_of_each) < len(every), "the video must hold changes"
    assert [window["index"] for window in changes] == first_of_each
    assert f"summary: {len(every)} windows" in done.stderr


def test_uniform_is_one_clip(bundle: Bundle, video: Path) -> None:
    done = edgecls("run", bundle.path, "-s", video, "--sampling", "uniform", "--format", "jsonl")
    header, window = map(json.loads, done.stdout.splitlines())
    assert (header["window_s"], header["sampling"]) == (None, "uniform")
    assert (window["start_s"], window["end_s"]) == (0.0, 3.0)


@pytest.mark.parametrize("sampling", ["sliding", "uniform"])
def test_save_is_playable(bundle: Bundle, video: Path, tmp_path: Path, sampling: str) -> None:
    import cv2

    target = tmp_path / "out.mp4"
    done = edgecls("run", bundle.path, "-s", video, "--save", target, "--sampling", sampling)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    capture = cv2.VideoCapture(str(target))
    count = 0
    while capture.read()[0]:
        count += 1
    capture.release()
    assert count == FRAMES


def test_window_far_from_training_is_warned_about(bundle: Bundle, video: Path) -> None:
    words = ("run", bundle.path, "-s", video, "--max-windows", 1, "--window")
    assert "warning: windows of 0.4 s" in edgecls(*words, 0.4).stderr
    assert "warning: windows of 2.5 s" in edgecls(*words, 2.5).stderr
    assert "warning" not in edgecls(*words, 2).stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_with_a_summary(
    bundle: Bundle, video: Path, tmp_path: Path, number: int
) -> None:
    """The output pipe is not read after the first lines, so the run cannot end by itself."""
    target = tmp_path / "out.mp4"
    words = ["run", bundle.path, "-s", video, "--format", "jsonl", "--stride", 0.002]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_cli", *map(str, [*words, "--save", target])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    killer = threading.Timer(30, process.kill)
    killer.start()
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline().startswith("{")
    process.send_signal(number)
    out, err = process.communicate()
    killer.cancel()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("summary: ")
    windows = int(err.split("summary: ")[1].split()[0])
    assert 2 <= windows < 1000, "stopped long before the end"
    *results, end = map(json.loads, out.splitlines())
    assert all(line["type"] == "window" for line in results)
    assert (end["type"], end["reason"]) == ("end", "stopped")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"], "kept, and whole"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    "sources", [("demo", "realtime:demo"), ("realtime:demo",), ("realtime:demo", "realtime:demo")]
)
def test_signal_does_not_wait_for_the_grid(bundle: Bundle, sources: tuple[str, ...]) -> None:
    """Frames of the grid are two seconds apart; the signal takes hold at the next of any."""
    words = [word for source in sources for word in ("-s", source)]
    words = [str(bundle.path), *words, "--window", "8", "--format", "jsonl"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_cli", "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    killer = threading.Timer(60, process.kill)
    killer.start()
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["type"] == "header"
    time.sleep(0.2)
    sent_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    took_s = time.monotonic() - sent_s
    killer.cancel()
    assert process.returncode == 0, err
    assert err.splitlines()[-1].startswith("summary: ")
    assert "Traceback" not in err
    assert took_s < 10, "the source alone would have gone on for 24 s"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_closed_pipe_is_quiet(bundle: Bundle, video: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "edge_cli",
        "run",
        bundle.path,
        "-s",
        video,
        "--stride",
        "0.01",
    ]
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 141
    assert "rror" not in err


@pytest.fixture(scope="module")
def slideshow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture every two seconds."""
    pictures = [numbered_picture(index) for index in range(8)]
    return write_video(tmp_path_factory.mktemp("video") / "slides.mp4", pictures, fps=0.5)


def test_frames_that_come_too_slowly(bundle: Bundle, slideshow: Path) -> None:
    words = ("run", bundle.path, "-s", slideshow, "--format", "jsonl")
    done = edgecls(*words)
    assert done.returncode == 0
    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert types == ["header", "end"], "no window"
    hint = done.stderr.splitlines()[-1]
    assert hint.startswith("hint: frames came more than 1 s apart")
    assert "--gap-after 4 or --gap hold" in hint
    header, *windows, _ = map(json.loads, edgecls(*words, "--gap-after", 4).stdout.splitlines())
    assert header["grid"]["gap_after_s"] == 4.0
    # The last picture is at 14 s, the last point before it at 13.875 s.
    assert len(windows) == 53
    assert max(window["held"] for window in windows) == 3
    header, *windows, _ = map(json.loads, edgecls(*words, "--gap", "hold").stdout.splitlines())
    assert header["grid"]["gap"] == "hold"
    assert [window["held"] for window in windows] == [2] * 7
    assert {window["resets"] for window in windows} == {0}


# -- work that windows share ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_staged_bundle(tmp_path_factory.mktemp("staged"))


@pytest.mark.parametrize("backend", ["cpu", "openvino"])
def test_reuse_gives_the_same_results(staged: Bundle, video: Path, backend: str) -> None:
    sources = ("-s", video, "-s", "demo", "--max-windows", 18)
    words = ("run", staged.path, *sources, "--format", "jsonl", "--backend", backend)
    results = {}
    for reuse in ("auto", "off"):
        done = edgecls(*words, "--reuse", reuse)
        assert done.returncode == 0, done.stderr
        header, *windows, _ = map(json.loads, done.stdout.splitlines())
        results[reuse] = windows
        assert header["reuse"]["asked"] == reuse
        assert header["reuse"]["mode"] == ("exact" if reuse == "auto" else "off")
        assert ("reuse exact, 0.0 MB kept per source; a step" in done.stderr) == (reuse == "auto")
        assert ("of the work reused" in done.stderr) == (reuse == "auto")
        if reuse == "auto":
            assert len(header["reuse"]["stages"]) == 4
            assert header["reuse"]["memory_bytes"] == 2 * header["reuse"]["memory_bytes_per_stream"]
    for one, other in zip(results["auto"], results["off"], strict=True):
        assert (one["stream"], one["index"]) == (other["stream"], other["index"])
        chances = [{x["label"]: x["probability"] for x in each["top"]} for each in (one, other)]
        assert chances[0] == pytest.approx(chances[1], abs=2e-6)
        assert other["reused"] is None
    assert results["auto"][-1]["reused"] == pytest.approx(4 / 13, abs=1e-4)


def test_approximate_reuse(staged: Bundle, video: Path) -> None:
    words = ("run", staged.path, "-s", video, "--format", "jsonl", "--reuse", "approx")
    header, *windows, _ = map(json.loads, edgecls(*words).stdout.splitlines())
    assert header["reuse"]["mode"] == "approx"
    assert [window["index"] for window in windows] == list(range(9))


def test_reuse_that_is_impossible(bundle: Bundle, staged: Bundle, video: Path) -> None:
    said = failing("run", bundle.path, "-s", video, "--reuse", "exact", code=2)
    assert said[-2:] == [
        "error: --reuse exact is impossible with tiny: the bundle has no stage graphs.",
        "hint: Convert the model again: edgecls convert",
    ]
    words = ("run", staged.path, "-s", video, "--reuse", "approx", "--sampling")
    assert "--sampling sliding" in failing(*words, "windowed", code=2)[-1]
    assert "has no meaning" in failing(*words, "uniform", code=2)[-2]
    done = edgecls("run", bundle.path, "-s", video, "--max-windows", 1)
    assert "; no reuse: the bundle has no stage graphs)" in done.stderr


# -- errors of run -----------------------------------------------------------------------------


def test_no_source(bundle: Bundle) -> None:
    said = failing("run", bundle.path, code=2)
    assert said == [
        "error: run needs a source to read.",
        "hint: edgecls run --source demo   (or camera0, or the path of a video)",
    ]


@pytest.mark.parametrize("sampling", ["sliding", "uniform"])
def test_a_wrong_path_is_told_before_an_engine_is_started(bundle: Bundle, sampling: str) -> None:
    source = ("--source", "/nowhere/clip.mp4", "--sampling", sampling)
    said = failing("run", bundle.path, *source, "--backend", "tensorrt", code=4)
    assert said[0] == "error: There is no file /nowhere/clip.mp4."


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (("--window", "0"), "--window"),
        (("--window", "nan"), "--window"),
        (("--stride", "-1"), "--stride"),
        (("--stride", "inf"), "--stride"),
        (("--threshold", "1.5"), "--threshold"),
        (("--threshold", "nan"), "--threshold"),
        (("--top", "0"), "--top"),
        (("--max-windows", "0"), "--max-windows"),
        (("--threads", "0"), "--threads"),
        (("--format", "xml"), "--format"),
        (("--sampling", "sparse"), "--sampling"),
        (("--backend", "tpu"), "'tpu'"),
        (("--window", "1", "--sampling", "uniform"), "--window"),
        (("--gap-after", "0"), "--gap-after"),
        (("--gap-after", "nan"), "--gap-after"),
        (("--gap", "fill"), "--gap"),
        (("--gap", "hold", "--sampling", "windowed"), "--gap"),
        (("--gap-after", "2", "--sampling", "dense"), "--gap-after"),
        (("--stride", "0.0001"), "0.001 s"),
        (("-s", "demo", "--sampling", "uniform"), "one source"),
        (("-s", "demo", "--save", "out.mp4"), "--save"),
        (("--frobnicate",), "--frobnicate"),
    ],
    ids=" ".join,
)
def test_bad_option(bundle: Bundle, video: Path, words: tuple[str, ...], about: str) -> None:
    said = failing("run", bundle.path, "-s", video, *words, code=2)
    assert about in "\n".join(said)


def test_missing_file(bundle: Bundle, tmp_path: Path) -> None:
    said = failing("run", bundle.path, "-s", tmp_path / "absent.mp4", code=4)
    assert any(line.startswith("error: ") and "absent.mp4" in line for line in said)


def test_text_file_as_video(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a video\n" * 50)
    said = failing("run", bundle.path, "-s", path, code=4)
    assert any("notes.mp4" in line for line in said)


def test_video_in_place_of_the_bundle(video: Path) -> None:
    said = failing("run", video, "-s", "demo", code=2)
    assert said[1] == f"hint: For a video: edgecls run --source {video}"


def test_unknown_backend_lists_the_known(bundle: Bundle, video: Path) -> None:
    said = failing("run", bundle.path, "-s", video, "--backend", "tpu", code=2)
    assert said == [
        "error: There is no backend 'tpu'.",
        "hint: Backends: auto, tensorrt, cuda, openvino, cpu.",
    ]


def test_save_over_the_source(bundle: Bundle, video: Path) -> None:
    before = video.read_bytes()
    said = failing("run", bundle.path, "-s", video, "--save", video, code=2)
    assert "overwrite" in said[-2]
    assert video.read_bytes() == before


@pytest.mark.parametrize("name", ["file/out.mp4", "absent/out.mp4", "out.xyz"])
def test_save_that_cannot_be_written(
    bundle: Bundle, video: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").write_text("")
    failing("run", bundle.path, "-s", video, "--save", tmp_path / name, code=10)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_no_bundle(tmp_path: Path) -> None:
    said = failing("run", tmp_path, "-s", "demo", code=8)
    assert "no card.json in it" in said[0]


# -- damaged bundles ---------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", ["run", "inspect"])
def test_results_onto_a_full_disk(bundle: Bundle, video: Path, command: str) -> None:
    words = ["run", bundle.path, "-s", video] if command == "run" else ["inspect", bundle.path]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge_cli", *map(str, words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            timeout=60,
        )
    assert done.returncode == 10, done.stderr
    assert "error: The disk is full" in done.stderr
    assert "Traceback" not in done.stderr
