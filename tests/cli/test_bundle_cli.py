"""Damaged bundles, and the commands around a bundle, through the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.card import CARD_NAME
from runtime.backends import BACKENDS, backend_named
from tests.cli.command import NEEDS_ENGINES, edgecls, environment, failing
from tests.cli.in_process import called
from tests.tiny_models import tiny_network, write_tiny_onnx

pytestmark = NEEDS_ENGINES


@pytest.mark.parametrize("command", [("run", "-s", "demo"), ("verify",), ("bench",)])
def test_changed_byte_in_the_graph(altered: Path, command: tuple[str, ...]) -> None:
    path = altered / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    said = failing(command[0], altered, *command[1:], code=8)
    assert "was changed" in said[0]


@pytest.mark.parametrize("command", [("run", "-s", "demo"), ("verify",), ("bench",), ("inspect",)])
def test_card_from_the_future(altered: Path, command: tuple[str, ...]) -> None:
    path = altered / CARD_NAME
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    said = failing(command[0], altered, *command[1:], code=8)
    assert "schema version 99" in said[0]
    assert said[1] == "hint: pip install --upgrade edgecls"


# -- inspect, verify, bench --------------------------------------------------------------------


def test_inspect(bundle: Bundle) -> None:
    done = edgecls("inspect", bundle.path)
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    for expected in ("tiny", "4: still, pan left", "OpenCV bilinear", "certificate", "numpy"):
        assert expected in done.stdout


def test_inspect_json(bundle: Bundle) -> None:
    value = json.loads(edgecls("inspect", bundle.path, "--json").stdout)
    assert value["card"] == bundle.card.model_dump(mode="json")


def test_verify(bundle: Bundle) -> None:
    done = edgecls("verify", bundle.path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("intact") == 2
    assert done.stdout.count("pass") == sum(backend.probe().ok for backend in BACKENDS)
    assert "agrees with card.json" in done.stdout


def test_verify_json_of_one_backend(bundle: Bundle) -> None:
    report = json.loads(edgecls("verify", bundle.path, "--backend", "cpu", "--json").stdout)
    assert report["passed"] is True
    assert [one["backend"] for one in report["comparisons"]] == ["cpu"]
    assert report["comparisons"][0]["max_rel_diff"] < report["tolerance"] == 1e-3


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_verify_finds_other_weights(bundle: Bundle, altered: Path, words: tuple[str, ...]) -> None:
    from models.card import BundleFile

    path = altered / "model.onnx"
    write_tiny_onnx(path, tiny_network(seed=9), clip=bundle.card.clip)
    card = json.loads((altered / CARD_NAME).read_text())
    card["variants"][0].update(BundleFile.of(path).model_dump())
    (altered / CARD_NAME).write_text(json.dumps(card))
    done = edgecls("verify", altered, *words)
    assert done.returncode == 7
    assert "error: openvino, cpu: the logits differ" in done.stderr
    if words:
        assert json.loads(done.stdout)["passed"] is False
    else:
        assert done.stdout.count("FAIL") == 2


def test_bench_table(bundle: Bundle) -> None:
    done = edgecls("bench", bundle.path, "--iterations", 3, "--warmup", 1, "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "onnxruntime" in done.stdout
    assert "openvino" in done.stdout
    assert "CPU 100 % of nodes" in done.stdout


def test_bench_of_an_engine_that_is_not_there(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend_named("cuda").probe().ok:
        pytest.skip("there is a GPU")
    words = ("--backend", "cuda", "--format", "json")
    done = called("bench", bundle.path, *words, monkeypatch=monkeypatch)
    value = json.loads(done.out)
    assert (done.code, value["results"], list(value["absent"])) == (9, [], ["cuda"])
    assert f"(cuda: {value['absent']['cuda']})" in done.err


def test_bench_json(bundle: Bundle) -> None:
    few = ("--iterations", 4, "--batch", 2, "--backend-option", "spinning=on")
    words = ("--backend", "cpu", *few, "--format", "json")
    value = json.loads(edgecls("bench", bundle.path, *words).stdout)
    assert (value["plan"]["batch"], value["plan"]["iterations"]) == (2, 4)
    assert value["plan"]["settings"] == {"cpu": {"spinning": "on"}}
    (result,) = value["results"]
    assert (result["reason"], result["graph"], result["file"]) == ("", "fp32", "model.onnx")
    assert result["speed_over_fp32"] == 1.0
    assert result["figures"]["peak_memory_mib"] > 20


# -- models, and the application itself --------------------------------------------------------


def test_models_list() -> None:
    done = edgecls("models", "list")
    assert done.returncode == 0
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "pptsmv2-16f-dml" in done.stdout
    entries = json.loads(edgecls("models", "list", "--json").stdout)["models"]
    assert {entry["family"] for entry in entries} > {"pp-tsmv2", "pp-tsm"}


def test_models_pull_unknown_name() -> None:
    said = failing("models", "pull", "pptsm-r50", code=2)
    assert "pptsm-r50-8f" in said[1]


def test_error_through_the_real_process(bundle: Bundle, tmp_path: Path) -> None:
    done = edgecls("run", bundle.path, "-s", tmp_path / "absent.mp4")
    assert done.returncode == 4
    assert done.stdout == ""
    error, _ = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert "absent.mp4" in error


def test_debug_anywhere_shows_the_traceback(bundle: Bundle, tmp_path: Path) -> None:
    done = edgecls("run", bundle.path, "-s", tmp_path / "absent.mp4", "--debug")
    assert done.returncode == 4
    assert "Traceback" in done.stderr
    assert "error: " in done.stderr


def test_bug_is_one_line(bundle: Bundle) -> None:
    code = (
        "import edgecls.loading, edge_cli.app\n"
        "def broken(path): raise ZeroDivisionError('division by zero')\n"
        "edgecls.loading.open_bundle = broken\n"
        "edge_cli.app.main(['inspect', 'x'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert done.returncode == 70
    assert done.stderr.splitlines() == [
        "error: this is a bug in edgecls: ZeroDivisionError: division by zero",
        "hint: run the same command with --debug and report the traceback",
    ]


def test_version() -> None:
    done = edgecls("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("edgecls ")


def test_verbose_logs_to_stderr(bundle: Bundle, video: Path) -> None:
    words = ("run", bundle.path, "-s", video, "--max-windows", 1)
    quiet, verbose = edgecls(*words), edgecls("-vv", *words)
    assert len(verbose.stderr.splitlines()) > len(quiet.stderr.splitlines())
    assert verbose.stdout.count("\n") == quiet.stdout.count("\n") == 1
