"""ONNX Runtime may offer one provider and run another; that must never pass unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.errors import BackendError, MissingExtra
from runtime.backends._ort import OrtSession, open_ort, probe_ort
from runtime.session import SessionOptions
from tests.tiny_models import write_tiny_bundle

onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path)


ONE_THREAD = SessionOptions(threads=1)


def opened(bundle: Bundle, provider: str, options: SessionOptions = ONE_THREAD) -> OrtSession:
    return open_ort(
        bundle.model_path(),
        bundle.card,
        options,
        backend="cuda",
        extra_name="gpu",
        provider=provider,
    )


def test_silent_fallback_is_an_error(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a CUDA wheel without its libraries does: no error, and the CPU runs the model."""
    real: Callable[..., object] = onnxruntime.InferenceSession

    def falls_back(
        path: str, settings: object, providers: list[str], enable_fallback: int
    ) -> object:
        assert providers == ["CUDAExecutionProvider"], "exactly one is asked for"
        assert enable_fallback == 0, "and no other afterwards"
        return real(path, settings, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    with pytest.raises(BackendError, match="CUDAExecutionProvider, but CPUExecutionProvider"):
        opened(bundle, "CUDAExecutionProvider")


def test_provider_that_is_not_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probe_ort("CUDAExecutionProvider", extra_name="gpu")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    assert not probe.ok
    assert probe.reason.endswith("has no CUDAExecutionProvider")


def test_settings_of_the_session(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, str]] = []
    real: Callable[..., object] = onnxruntime.InferenceSession

    def spy(path: str, settings: object, providers: list[str], enable_fallback: int) -> object:
        spinning = settings.get_session_config_entry("session.intra_op.allow_spinning")  # type: ignore[attr-defined]
        seen.append((settings.intra_op_num_threads, spinning))  # type: ignore[attr-defined]
        return real(path, settings, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    monkeypatch.setattr("runtime.backends._ort.usable_cpus", lambda: 5)
    for options in (
        SessionOptions(threads=3),
        SessionOptions(),
        SessionOptions(parallel=2),
        SessionOptions(threads=2, parallel=4),
        SessionOptions(settings={"cuda": {"threads": "2", "spinning": "on"}}),
        SessionOptions(threads=3, settings={"cuda": {"threads": "2"}}),
    ):
        opened(bundle, "CPUExecutionProvider", options).close()
    assert seen == [(3, "0"), (5, "0"), (4, "0"), (1, "0"), (2, "1"), (3, "0")]


def test_absent_module_names_the_extra(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra) as caught:
        opened(bundle, "CUDAExecutionProvider")
    assert caught.value.hint == "pip install 'edgecls[gpu]'"


def test_no_telemetry(tmp_path: Path) -> None:
    """Telemetry of ONNX Runtime shows as a session file `.ses` in the temporary folder."""
    code = (
        "from pathlib import Path\n"
        "from models.bundle import open_bundle\n"
        "from runtime.backends.cpu import BACKEND\n"
        "from runtime.session import SessionOptions\n"
        "assert BACKEND.probe().ok\n"
        f"bundle = open_bundle(Path({str(tmp_path / 'bundle')!r}))\n"
        "BACKEND.open(bundle.model_path(), bundle.card, SessionOptions()).close()\n"
    )
    write_tiny_bundle(tmp_path / "bundle")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(scratch.iterdir()) == []


def loaded(path: Path, bundle: Bundle) -> OrtSession:
    """The graph, whatever its digest."""
    return open_ort(
        path,
        bundle.card,
        SessionOptions(threads=1),
        backend="cpu",
        extra_name="cpu",
        provider="CPUExecutionProvider",
    )


@pytest.mark.parametrize("ends", ["input", "output"])
def test_a_graph_of_other_ends(bundle: Bundle, ends: str) -> None:
    onnx = pytest.importorskip("onnx")
    path = bundle.model_path()
    model = onnx.load(str(path))
    values = getattr(model.graph, ends)
    values.add().CopyFrom(values[0])
    values[1].name = "more" if ends == "input" else "x3"
    values[1].type.tensor_type.ClearField("shape")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BackendError, match=r"one input and one output; .* has (2 and 1|1 and 2)"):
        loaded(path, bundle)


def test_text_that_is_no_utf8_is_one_error_and_prints_nothing(
    bundle: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime would print its own words to stdout, and try the same again."""
    path = bundle.model_path()
    path.write_bytes(path.read_bytes().replace(b"Conv", b"C\xff\xfev"))
    with pytest.raises(BackendError, match="Backend cpu could not load"):
        loaded(path, bundle)
    assert capfd.readouterr().out == ""
