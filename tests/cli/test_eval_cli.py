"""`edgecls eval` on real small videos: the built-in model on camera moves, and a tiny model."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle, open_bundle
from models.card import BundleFile, Variant
from models.motion.clips import ClipStyle, render_clip
from models.motion.labels import MOTION_LABELS
from tests.cli.command import NEEDS_ENGINES, environment, failing
from tests.cli.in_process import Done, called
from tests.tiny_models import LABELS, tiny_network, write_tiny_bundle, write_tiny_onnx
from tests.variants import add_int8
from tests.video_files import numbered_picture, write_numbered, write_video

pytestmark = NEEDS_ENGINES

CLIPS = 45


@pytest.fixture(scope="module")
def moves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PaddleX data set of camera moves over textures that were not trained on."""
    root = tmp_path_factory.mktemp("moves")
    (root / "videos").mkdir()
    style = ClipStyle(side=64, frames=8, pool="new-kinds", textures=12)
    lines = []
    for place in range(CLIPS):
        label = place % len(MOTION_LABELS)
        pictures = list(render_clip(MOTION_LABELS[label], (71, place), style))
        write_video(root / "videos" / f"{place}.avi", pictures, fps=8.0)
        lines.append(f"videos/{place}.avi {label}\n")
    (root / "val.txt").write_text("".join(lines))
    names = enumerate(MOTION_LABELS)
    (root / "label.txt").write_text("".join(f"{index} {name}\n" for index, name in names))
    return root


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips in folders by class of the tiny model, one of them broken."""
    root = tmp_path_factory.mktemp("numbers")
    for place in range(6):
        folder = root / LABELS[place % 3].replace(" ", "_").upper()
        folder.mkdir(exist_ok=True)
        write_numbered(folder / f"{place}.mp4", 10 + place)
    (root / "STILL" / "broken.mp4").write_bytes(b"\0" * 2000)
    return root


def evaluated(monkeypatch: pytest.MonkeyPatch, *words: object) -> Done:
    return called("eval", *words, monkeypatch=monkeypatch)


def as_json(monkeypatch: pytest.MonkeyPatch, *words: object) -> dict[str, Any]:
    done = evaluated(monkeypatch, *words, "--format", "json")
    assert done.code == 0, done.err
    value = json.loads(done.out)
    assert isinstance(value, dict)
    return value


# -- the built-in model ------------------------------------------------------------------------


def test_the_built_in_model_is_right(
    moves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its known accuracy on such clips is 99 %; at most two of 45 may be wrong."""
    out = tmp_path / "out"
    monkeypatch.chdir(moves.parent)
    done = evaluated(monkeypatch, "--clips", moves.name, "-o", out)
    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["clips"] == {
        "total": CLIPS,
        "labelled": CLIPS,
        "classified": CLIPS,
        "unreadable": 0,
    }
    assert report["top1"]["value"] >= 0.95
    assert report["top5"]["value"] == 1.0
    low, high = report["top1"]["interval_95"].values()
    assert low < report["top1"]["value"] <= high
    assert report["mean_recall"] >= 0.95
    assert f"({report['top1']['right']} of {CLIPS};" in done.out
    for one in report["classes"]:
        assert one["support"] == CLIPS // 9
        assert one["name"] in done.out
    assert sum(count for _, _, count in report["confusion"]) == CLIPS
    assert report["speed"]["clips_per_s"] > 0
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert len((out / "results.jsonl").read_text(encoding="utf-8").splitlines()) == CLIPS + 1
    assert f"written to {out}" in done.err


def test_wrong_labels_show(moves: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every class called by the next one's number: nothing is right, and the matrix says why."""
    lines = [line.split() for line in (moves / "val.txt").read_text().splitlines()]
    shifted = tmp_path / "shifted.txt"
    shifted.write_text("".join(f"{path} {(int(label) + 1) % 9}\n" for path, label in lines))
    report = as_json(monkeypatch, "--clips", shifted, "--root", moves)
    assert report["top1"]["value"] <= 0.05
    likeliest = max(report["confusion"], key=lambda cell: cell[2])
    assert (likeliest[0] - likeliest[1]) % 9 == 1


def test_both_engines_and_views_agree(moves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reports = [
        as_json(monkeypatch, "--clips", moves, "--limit", 9, "--backend", name)
        for name in ("cpu", "openvino")
    ]
    assert [report["backend"] for report in reports] == ["cpu", "openvino"]
    assert reports[0]["confusion"] == reports[1]["confusion"]
    assert reports[0]["clips"]["total"] == 9
    assert "9 of 45 clips" in reports[0]["notes"][0]
    ten = as_json(monkeypatch, "--clips", moves, "--limit", 2, "--views", 10)
    dense = as_json(monkeypatch, "--clips", moves, "--limit", 2, "--sampling", "dense")
    assert (ten["views"], dense["views"]) == (10, 30)


def test_the_demo_has_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    done = evaluated(monkeypatch, "--clips", "demo")
    assert done.code == 0
    assert "1 of 1 classified, no labels  (demo)" in done.out
    assert "top-1" not in done.out


# -- a tiny model ------------------------------------------------------------------------------


def test_folders_by_class_and_a_broken_clip(
    bundle: Bundle, numbers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = evaluated(monkeypatch, bundle.path, "-c", numbers, "--format", "json")
    assert done.code == 0
    report = json.loads(done.out)
    assert report["clips"] == {"total": 7, "labelled": 7, "classified": 6, "unreadable": 1}
    (broken,) = report["unreadable"]
    assert broken["clip"] == "STILL/broken.mp4"
    assert "is not a video" in broken["error"]
    assert {one["name"]: one["support"] for one in report["classes"]} == {
        "still": 2,
        "pan left": 2,
        "pan right": 2,
        "zoom in": 0,
    }
    assert report["top5"] is None
    text = evaluated(monkeypatch, bundle.path, "-c", numbers).out
    assert "6 of 7 classified, 1 not readable" in text
    assert "broken.mp4" in text


def test_answers_are_those_of_run(
    bundle: Bundle, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(monkeypatch, bundle.path, "-c", numbers, "-o", tmp_path / "out", "--backend", "cpu")
    lines = (tmp_path / "out" / "results.jsonl").read_text(encoding="utf-8").splitlines()
    clips = [one for one in map(json.loads, lines[1:]) if "top" in one]
    for one in clips[:2]:
        words = ("run", bundle.path, "-s", numbers / one["clip"], "--sampling", "uniform")
        done = called(*words, "--format", "jsonl", "--backend", "cpu", monkeypatch=monkeypatch)
        window = json.loads(done.out.splitlines()[1])
        assert [(LABELS[number], share) for number, share in one["top"]] == [
            (best["label"], pytest.approx(best["probability"], abs=2e-6)) for best in window["top"]
        ]


def test_a_reference_that_differs(
    bundle: Bundle, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same network with its classes in another order: it disagrees where it should."""
    renamed = tuple(reversed(LABELS))
    other = write_tiny_bundle(tmp_path / "other", labels=renamed, crop=32)
    words = (bundle.path, "-c", numbers, "--reference", other.path)
    report = as_json(monkeypatch, *words)
    comparison = report["comparison"]
    assert comparison["top1_agreement"]["of"] == 6
    assert len(comparison["differing"]) == 6 - comparison["top1_agreement"]["right"]
    assert report["reference"]["model_sha256"] == other.card.variants[0].sha256
    done = evaluated(monkeypatch, *words)
    assert "names its classes differently" in done.err
    assert "agreement" in done.out
    same = as_json(monkeypatch, bundle.path, "-c", numbers, "--reference", "fp32")
    assert same["comparison"]["top1_agreement"]["value"] == 1.0
    assert same["comparison"]["mean_probability_diff"] == pytest.approx(0, abs=1e-6)
    three = write_tiny_bundle(tmp_path / "three", labels=LABELS[:3])
    said = failing("eval", bundle.path, "-c", numbers, "--reference", three.path, code=2)
    assert "has 4 classes and the reference tiny 3" in said[-1]


def test_precision_chooses_the_graph(
    bundle: Bundle, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second graph that is listed as fp16, and says something else."""
    folder = Path(shutil.copytree(bundle.path, tmp_path / "two"))
    network = replace(tiny_network(), bias=np.array([0, 0, 0, 50], np.float32))
    write_tiny_onnx(folder / "half.onnx", network, clip=bundle.card.clip)
    half = Variant(precision="fp16", **BundleFile.of(folder / "half.onnx").model_dump())
    card = bundle.card.model_copy(update={"variants": (*bundle.card.variants, half)})
    (folder / "card.json").write_text(card.to_json(), encoding="utf-8")
    words = (folder, "-c", numbers, "--precision", "fp16", "--reference", "fp32")
    report = as_json(monkeypatch, *words)
    assert (report["precision"], report["model_sha256"]) == ("fp16", half.sha256)
    assert (report["reference"]["precision"]) == "fp32"
    assert [one["answers"] for one in report["classes"]] == [0, 0, 0, 6]
    assert report["comparison"]["top1_agreement"]["value"] < 1


def test_the_digest_is_that_of_the_graph_that_ran(
    bundle: Bundle, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO's own INT8 graph cannot be loaded, so that for every engine runs."""
    two = add_int8(open_bundle(Path(shutil.copytree(bundle.path, tmp_path / "two"))))
    own = two.path / "own.onnx"
    own.write_bytes(b"no graph")
    variant = two.card.variants[-1].model_copy(
        update={"engine": "openvino", **BundleFile.of(own).model_dump()}
    )
    card = two.card.model_copy(update={"variants": (*two.card.variants, variant)})
    (two.path / "card.json").write_text(card.to_json(), encoding="utf-8")
    words = (two.path, "-c", numbers, "--precision", "int8", "--backend", "openvino")
    report = as_json(monkeypatch, *words)
    assert report["precision"] == "int8"
    assert report["model_sha256"] == card.variants[-2].sha256


# -- stopping and going on ---------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_stopped_and_resumed_is_as_if_never_stopped(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "a.mp4", [numbered_picture(n % 32) for n in range(75)])
    clips, out = tmp_path / "list.txt", tmp_path / "out"
    clips.write_text("".join(f"{video.name} {place % 4}\n" for place in range(400)))
    words = ["eval", bundle.path, "-c", clips, "--backend", "cpu", "-o", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_cli", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    log = out / "results.jsonl"
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_bytes().count(b"\n") > 3) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    printed, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    kept = log.read_text(encoding="utf-8").splitlines()
    assert 3 < len(kept) < 400
    assert f"{401 - len(kept)} not reached" in printed
    assert sorted(path.name for path in out.iterdir()) == ["results.jsonl"]
    told = err.splitlines()[-1]
    assert told.startswith(f"stopped after {len(kept) - 1} of 400 clips; go on: edgecls eval ")
    clips.write_text("".join(f"{video.name} {place % 4}\n" for place in range(40)))
    said = failing(*shlex.split(told.split("go on: edgecls ")[1]), code=2)
    assert "made with another list of clips" in said[-2]

    clips.write_text("".join(f"{video.name} {place % 4}\n" for place in range(400)))
    last = len(kept) - 2
    more = [kept[-1].replace(f'"index": {last}', f'"index": {n}') for n in range(last + 1, 395)]
    whole = kept + more
    log.write_text("\n".join(whole) + '\n{"type": "clip", "ind', encoding="utf-8")
    done = called(*shlex.split(told.split("go on: edgecls ")[1]), monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    assert "395 clips were done before" in done.err
    results = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()[1:]]
    assert [one["index"] for one in results] == list(range(400))
    assert len({json.dumps(one["top"]) for one in results}) == 1, "one video, one answer"
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["complete"] is True
    assert report["clips"]["classified"] == 400


def test_clips_that_were_broken_are_tried_again(
    bundle: Bundle, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(numbers, data)
    words = (bundle.path, "-c", data, "--backend", "cpu")
    assert evaluated(monkeypatch, *words, "-o", out).code == 0
    shutil.copy(data / "STILL" / "0.mp4", data / "STILL" / "broken.mp4")
    done = evaluated(monkeypatch, *words, "--resume", out)
    assert "6 clips were done before" in done.err
    assert "7 of 7 classified" in done.out


def test_results_are_not_mixed_or_lost(
    bundle: Bundle, numbers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    words = ("eval", bundle.path, "-c", numbers)
    assert evaluated(monkeypatch, *words[1:], "--backend", "cpu", "-o", out).code == 0
    before = (out / "results.jsonl").read_bytes()
    said = failing(*words, "-o", out, code=2)
    assert said[-1].startswith(f"hint: Go on with it: --resume {out}")
    said = failing(*words, "--resume", out, "--backend", "openvino", code=2)
    assert "made with another --backend (cpu, now openvino)" in said[-2]
    said = failing(*words, "--resume", out, "--views", 10, code=2)
    assert "made with another --views (1, now 10)" in said[-2]
    assert "cpu asked for)" in said[0], "the backend of then"
    said = failing(*words, "--resume", out, "-o", out, code=2)
    assert "Leave one of the two out" in said[-1]
    failing(*words, "--resume", tmp_path / "absent", code=12)
    assert (out / "results.jsonl").read_bytes() == before


# -- errors ------------------------------------------------------------------------------------


def test_no_clips(bundle: Bundle) -> None:
    assert failing("eval", bundle.path, code=2)[0] == "error: eval needs clips."


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (("--precision", "fp16"), "has no fp16 graph, only fp32"),
        (("--precision", "fp64"), "has no fp64 graph"),
        (("--reference", "int8"), "has no int8 graph"),
        (("--backend", "tpu"), "'tpu'"),
        (("--limit", "0"), "--limit"),
        (("--sampling", "sliding"), "--sampling"),
        (("--sampling", "dense", "--views", "10"), "--views"),
    ],
    ids=" ".join,
)
def test_bad_option(bundle: Bundle, numbers: Path, words: tuple[str, ...], about: str) -> None:
    said = failing("eval", bundle.path, "-c", numbers, *words, code=2)
    assert about in "\n".join(said)


def test_mistakes_of_the_list_come_before_the_work(
    bundle: Bundle, numbers: Path, tmp_path: Path
) -> None:
    path = tmp_path / "val.txt"
    path.write_text("STILL/0.mp4 0\nSTILL/3.mp4 4\n")
    said = failing("eval", bundle.path, "-c", path, "--root", numbers, code=12)
    assert f"{path}:2: 'STILL/3.mp4' has the label 4; class numbers are 0 to 3." in said[0]
    assert "--labels FILE" in said[1]
    path.write_text("STILL/0.mp4 0\nSTILL/3.mp4\n")
    said = failing("eval", bundle.path, "-c", path, "--root", numbers, code=12)
    assert said[1] == f"hint: List all mistakes: edgecls data check {path}"
    assert failing("eval", bundle.path, "-c", tmp_path / "absent.txt", code=4)


def test_nothing_readable(bundle: Bundle, numbers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = evaluated(monkeypatch, bundle.path, "-c", numbers / "STILL" / "broken.mp4")
    assert done.code == 4
    assert "0 of 1 classified, 1 not readable" in done.out
    assert "is not a video that FFmpeg can read" in done.err


def test_folder_that_cannot_be_written(bundle: Bundle, numbers: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failing("eval", bundle.path, "-c", numbers, "-o", tmp_path / "file" / "out", code=10)
