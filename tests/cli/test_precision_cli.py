"""`--precision` from calibration to bench, on the built-in model and its own demo video."""

from __future__ import annotations

import json
import shutil
from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("nncf", reason="needs the `int8` extra")

from models.bundle import BUILTIN_BUNDLE, Bundle
from models.motion.demo import FRAME_RATE, demo_frames
from tests.cli.command import NEEDS_ENGINES, edgecls, failing
from tests.cli.in_process import called
from tests.variants import RECORD, add_int8
from tests.video_files import write_video

pytestmark = NEEDS_ENGINES

RUN = ("-s", "demo", "--max-windows", 1, "--format", "jsonl", "--reuse", "off")


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model with an INT8 graph for every engine."""
    folder = tmp_path_factory.mktemp("calibrated")
    pictures = [picture for _, picture in islice(demo_frames(), round(13 * FRAME_RATE))]
    video = write_video(folder / "ride.mp4", pictures, fps=FRAME_RATE)
    bundle = Path(shutil.copytree(BUILTIN_BUNDLE, folder / "bundle"))
    counts = ("--samples", 6, "--held-out", 6, "--method", "minmax", "--target", "onnx")
    done = edgecls("calibrate", bundle, "--clips", video, *counts)
    assert done.returncode == 0, done.stderr
    return bundle


def test_run_says_what_it_took_and_why(calibrated: Path) -> None:
    for measured in (True, False):
        done = edgecls("run", calibrated, *RUN, "--backend", "openvino")
        assert done.returncode == 0, done.stderr
        header, window, _ = map(json.loads, done.stdout.splitlines())
        graph = header["graph"]
        taken = graph["int8_speedup"] >= 1.05
        assert header["precision"] == ("int8" if taken else "fp32")
        assert graph["file"] == ("model.int8.onnx" if taken else "model.onnx")
        assert (graph["asked"], graph["measured"]) == ("auto", measured)
        assert (graph["held_out"], graph["samples"]) == ((6, 6) if taken else (None, None))
        said = done.stderr.splitlines()[0]
        assert said.startswith("backend: openvino 2")
        reasons = f"({graph['why']}; openvino asked for)"
        assert f"{header['precision']}: CPU 100 % of nodes, 100 % of time {reasons}" in said
        assert ("as fast as fp32" if taken else "int8 is not worth it") in graph["why"]
        assert window["top"][0]["label"] == "still"


@pytest.mark.parametrize("backend", ["openvino", "cpu"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_precision_that_is_asked_for(
    calibrated: Path, backend: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--backend", backend, "--precision", precision)
    done = called("run", calibrated, *RUN, *words, monkeypatch=monkeypatch)
    header, window, _ = map(json.loads, done.out.splitlines())
    assert (header["precision"], header["backend"]) == (precision, backend)
    assert (header["graph"]["asked"], header["graph"]["int8_speedup"]) == (precision, None)
    assert window["top"][0]["label"] == "still"
    trust = "(agrees with fp32 on " if precision == "int8" else f"({backend} asked for)"
    assert f"{precision}: CPU 100 % of nodes, 100 % of time {trust}" in done.err


def test_verify_shows_every_graph(calibrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = called("verify", calibrated, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert done.out.count(" pass") == 8  # two graphs, whole and in stages, on two engines
    rows = [line for line in done.out.splitlines() if line.endswith(" pass")]
    assert [" int8 " in row for row in rows] == [False, False, True, True] * 2
    assert [" in stages " in row for row in rows] == [False, True] * 4
    check = json.loads((calibrated / "card.json").read_text())["variants"][1]["check"]
    done = called("verify", calibrated, "--json", monkeypatch=monkeypatch)
    comparisons = json.loads(done.out)["comparisons"]
    allowed = [one["tolerance"] for one in comparisons if not one["staged"]]
    assert allowed == pytest.approx([0.001, 1.5 * check["max_rel_diff"]] * 2)
    assert all(one["max_rel_diff"] < 1e-5 for one in comparisons if one["staged"])


def test_verify_fails_for_an_int8_graph_that_is_off(
    calibrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The card says that INT8 agrees to 0.1 % of the range; it cannot."""
    bundle = Path(shutil.copytree(calibrated, tmp_path / "copy"))
    card = json.loads((bundle / "card.json").read_text())
    card["variants"][1]["check"] = {
        "clips": 3,
        "max_rel_diff": 0.001,
        "max_probability_diff": 0.001,
        "top1_agreement": 1.0,
    }
    (bundle / "card.json").write_text(json.dumps(card))
    done = called("verify", bundle, monkeypatch=monkeypatch)
    assert done.code == 7
    assert done.out.count("FAIL") == 2
    said = done.err.splitlines()
    assert said[0].startswith(
        "error: openvino int8, cpu int8: the logits differ from the reference"
    )
    assert "allowed is 0.0015." in said[0]
    assert said[1].endswith("or run with --precision fp32.")


def test_bench_compares_with_fp32_of_the_same_engine(calibrated: Path) -> None:
    few = ("--iterations", 3, "--warmup", 1)
    done = edgecls("bench", calibrated, *few)
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "x fp32" in done.stdout
    assert done.stdout.count(" int8 ") == 2


@pytest.mark.parametrize("command", [("run", *RUN), ("bench",)])
@pytest.mark.parametrize(
    ("precision", "hint"), [("int8", "edgecls calibrate"), ("fp16", "edgecls convert")]
)
def test_a_precision_that_the_bundle_lacks(
    bundle: Bundle, command: tuple[str, ...], precision: str, hint: str
) -> None:
    said = failing(command[0], bundle.path, *command[1:], "--precision", precision, code=2)
    assert f"has no {precision} graph, only fp32" in said[0]
    assert said[1].startswith(f"hint: Make one: {hint}")


@pytest.mark.parametrize("command", [("run", *RUN), ("bench",)])
def test_a_backend_that_cannot_run_the_graph(altered: Path, command: tuple[str, ...]) -> None:
    from models.bundle import open_bundle

    add_int8(open_bundle(altered), "model.int8.openvino.xml", int8=RECORD)
    words = ("--precision", "int8", "--backend", "cpu")
    said = failing(command[0], altered, *command[1:], *words, code=9)
    assert "was made for openvino alone" in said[0]
    assert "--target onnx" in said[1]
