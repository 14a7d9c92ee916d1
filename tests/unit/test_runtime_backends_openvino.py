"""OpenVINO is told to keep float32, and keeps few compiled graphs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import BackendError
from runtime.backends.openvino import BACKEND
from runtime.session import SessionOptions
from tests.tiny_models import write_tiny_bundle

openvino = pytest.importorskip("openvino")


_CI = ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every compiled model, in order."""
    seen: list[Any] = []
    real = openvino.Core.compile_model

    def spy(core: Any, *arguments: Any) -> Any:
        seen.append(real(core, *arguments))
        return seen[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    return seen


def test_float32_whatever_the_processor_can(tmp_path: Path, compiled: list[Any]) -> None:
    """The default is bfloat16 where the CPU has it, which breaks the certificate."""
    bundle = write_tiny_bundle(tmp_path)
    BACKEND.open(bundle.model_path(), bundle.card, SessionOptions(threads=2)).close()
    (model,) = compiled
    assert model.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert model.get_property("INFERENCE_NUM_THREADS") == 2
    assert model.get_property("ENABLE_CPU_PINNING") is False
    assert model.input(0).partial_shape.is_static


def test_batch_one_is_compiled_once(tmp_path: Path, compiled: list[Any]) -> None:
    bundle = write_tiny_bundle(tmp_path)
    clips = np.zeros(bundle.card.clip.input_shape(3), np.float32)
    with BACKEND.open(bundle.model_path(), bundle.card, SessionOptions(threads=1)) as session:
        for batch in (1, 2, 1, 2, 3, 1, 3):
            assert session.run(clips[:batch]).shape == (batch, bundle.card.classes)
    assert [model.input(0).shape[0] for model in compiled] == [1, 2, 3]


def test_a_graph_that_breaks_the_rules_never_reaches_openvino(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO 2026.4 crashes on a Conv without weights; ONNX Runtime says what is wrong."""
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    bundle = write_tiny_bundle(tmp_path)
    path = bundle.model_path()
    model = onnx.load(str(path))
    (conv,) = (node for node in model.graph.node if node.op_type == "Conv")
    del conv.input[1:]
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(openvino.Core, "read_model", lambda *_: pytest.fail("it was read"))
    with pytest.raises(BackendError, match="Backend openvino could not load"):
        BACKEND.open(path, bundle.card, SessionOptions(threads=1))


def test_openvino_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = write_tiny_bundle(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    clips = np.zeros(bundle.card.clip.input_shape(), np.float32)
    with BACKEND.open(bundle.model_path(), bundle.card, SessionOptions(threads=1)) as session:
        assert session.run(clips).shape == (1, bundle.card.classes)


SIGNAL_AFTER_CLOSING = """
import signal, sys
from pathlib import Path
from models.bundle import open_bundle
from runtime.backends import backend_named
from runtime.session import SessionOptions

bundle = open_bundle(Path(sys.argv[1]))
sessions = [
    backend_named("openvino").open(bundle.model_path(), bundle.card, SessionOptions())
    for _ in range(3)
]
for session in sessions:
    session.close()
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(True))
signal.raise_signal(signal.SIGINT)
print(len(seen))
"""


def test_signals_arrive_after_sessions_were_closed(tmp_path: Path) -> None:
    """With a core per session, unloading them in this order leaves no stack for handlers."""
    write_tiny_bundle(tmp_path / "tiny")
    done = subprocess.run(
        [sys.executable, "-c", SIGNAL_AFTER_CLOSING, tmp_path / "tiny"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "from runtime.backends.openvino import BACKEND; assert BACKEND.probe().ok",
        "from calibration.nncf_target import require_nncf; require_nncf()",
    ],
)
def test_no_telemetry(code: str, tmp_path: Path) -> None:
    """Telemetry of OpenVINO and NNCF shows as an id in the home folder."""
    if "nncf" in code:
        pytest.importorskip("nncf")
    # In CI it is off by itself.
    environment = {name: value for name, value in os.environ.items() if name not in _CI}
    environment["HOME"] = str(tmp_path)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not (tmp_path / "intel").exists()
