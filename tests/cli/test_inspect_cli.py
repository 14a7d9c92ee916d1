"""`edgecls inspect` through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.bundle import BUILTIN_BUNDLE, Bundle, open_bundle
from models.card import CARD_NAME
from tests.cli.command import ROOT, edgecls, environment, failing


def change(folder: Path, **fields: Any) -> None:
    """Replace outermost fields of a card."""
    path = folder / CARD_NAME
    card = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**card, **fields}), encoding="utf-8")


def differences(*words: object) -> dict[str, Any]:
    done = edgecls("inspect", *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_built_in_model() -> None:
    done = edgecls("inspect")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    for expected in (
        "pp-tsmv2",
        "722,682",
        "63.8 M multiply-accumulates",
        "118 nodes: 46 Conv, 40 Relu",
        "reference      paddlepaddle 3.3.1",
        "motion.pdparams (pdparams)",
    ):
        assert expected in done.stdout


def test_a_closed_pipe_ends_it_silently() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "edge_cli", "inspect"],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_json_holds_the_whole_card() -> None:
    value = json.loads(edgecls("inspect", "--json").stdout)
    assert value == {
        "path": str(BUILTIN_BUNDLE),
        "card": open_bundle(None).card.model_dump(mode="json"),
    }
    assert value["card"]["graph"]["macs"] == 63_820_608
    assert value["card"]["certificate"]["proves"] == "training"


def test_needs_neither_engine_nor_onnx(bundle: Bundle) -> None:
    code = (
        "import sys\n"
        "absent = ('onnx', 'onnxruntime', 'openvino', 'paddle', 'cv2')\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "from edge_cli.app import main\n"
        "main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "inspect", "--diff", str(bundle.path)],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "preprocessing" in done.stdout


@pytest.mark.parametrize("words", [("--diff", "builtin"), ("builtin", "--diff", BUILTIN_BUNDLE)])
def test_the_same(words: tuple[object, ...]) -> None:
    done = edgecls("inspect", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "The same: no field of the two cards differs, digests of files included.\n"
    )
    assert differences(*words) == {
        "a": str(BUILTIN_BUNDLE),
        "b": str(BUILTIN_BUNDLE),
        "same": True,
        "same_graphs": ["fp32"],
        "differences": [],
    }


def test_two_bundles(bundle: Bundle) -> None:
    done = edgecls("inspect", "--diff", bundle.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["name", "camera", "motion", "tiny"] in lines
    assert ["family", "pp-tsmv2", "tiny"] in lines
    assert ["classes", "9", "4"] in lines
    assert ["frames", "8", "4"] in lines
    value = differences("--diff", bundle.path)
    assert (value["same"], value["same_graphs"]) == (False, [])
    assert {"field": "family", "a": "pp-tsmv2", "b": "tiny"} in value["differences"]


def test_only_what_differs(bundle: Bundle, altered: Path) -> None:
    change(altered, name="twin", labels=["still", "pan left", "pan right", "zoom out"], opset=13)
    value = differences(bundle.path, "--diff", altered / CARD_NAME)
    assert value == {
        "a": str(bundle.path),
        "b": str(altered),
        "same": False,
        "same_graphs": ["fp32"],
        "differences": [
            {"field": "name", "a": "tiny", "b": "twin"},
            {
                "field": "labels",
                "a": ["still", "pan left", "pan right", "zoom in"],
                "b": ["still", "pan left", "pan right", "zoom out"],
            },
            {"field": "opset", "a": 17, "b": 13},
        ],
    }
    back = differences(altered, "--diff", bundle.path)["differences"]
    assert [(one["b"], one["a"]) for one in back] == [
        (one["a"], one["b"]) for one in value["differences"]
    ]
    text = edgecls("inspect", bundle.path, "--diff", altered).stdout
    assert ["label", "3", "zoom", "in", "zoom", "out"] in [
        line.split() for line in text.splitlines()
    ]
    assert "The graphs are the same, byte for byte" in text
    assert "preprocessing" not in text


def test_other_is_no_bundle(bundle: Bundle, video: Path, tmp_path: Path) -> None:
    said = failing("inspect", bundle.path, "--diff", tmp_path / "absent", code=8)
    assert said[0].endswith("absent is not a bundle: no such folder.")
    assert failing("inspect", tmp_path, "--diff", bundle.path, code=8)
    assert failing("inspect", bundle.path, "--diff", tmp_path, "--json", code=8)
    assert "cannot be read" in failing("inspect", bundle.path, "--diff", video, code=8)[0]


def test_other_comes_from_the_future(bundle: Bundle, altered: Path) -> None:
    change(altered, schema_version=99)
    assert "schema version 99" in failing("inspect", bundle.path, "--diff", altered, code=8)[0]


def test_a_folder_called_builtin_is_that_folder(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert differences("builtin", "--diff", BUILTIN_BUNDLE)["same"] is True
    shutil.copytree(bundle.path, tmp_path / "builtin")
    assert differences("builtin", "--diff", bundle.path)["same"] is True


def test_a_file_that_proves_nothing_about_the_training(bundle: Bundle, altered: Path) -> None:
    certificate = bundle.card.certificate.model_dump(mode="json")
    change(altered, certificate={**certificate, "proves": "graph"})
    text = " ".join(edgecls("inspect", altered).stdout.replace("│", " ").split())
    assert "the given ONNX file; no comparison with the framework it was trained in" in text
    (found,) = differences(bundle.path, "--diff", altered)["differences"]
    assert found == {"field": "certificate.proves", "a": "training", "b": "graph"}
