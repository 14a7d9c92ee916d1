"""`edgecls build`."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.bundle import Bundle
from runtime.engine_cache import EngineCache
from tests.cli.in_process import Done, called
from tests.tiny_models import write_tiny_bundle

pytest.importorskip("openvino")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_tiny_bundle(tmp_path / "tiny")


def built(bundle: Bundle, *words: str, monkeypatch: pytest.MonkeyPatch) -> Done:
    return called("build", bundle.path, "--threads", 1, *words, monkeypatch=monkeypatch)


def test_what_is_built_is_found(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--backend", "openvino", "--backend-option", "cache=on")
    done = built(bundle, *words, monkeypatch=monkeypatch)
    assert done.code == 0, done.err
    assert done.err == "building the fp32 graph for openvino\n"
    assert done.out.startswith("fp32 on openvino ")
    assert "CPU: built in " in done.out
    (entry,) = EngineCache().entries()
    assert (entry.key.backend, entry.key.model) == ("openvino", "tiny/model.onnx")

    again = built(bundle, *words, monkeypatch=monkeypatch)
    assert again.code == 0, again.err
    assert "CPU: was built, " in again.out
    assert len(EngineCache().entries()) == 1


def test_nothing_to_build(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    done = built(bundle, "--backend", "openvino", monkeypatch=monkeypatch)
    assert (done.code, done.out) == (2, "")
    assert "There is nothing to build for openvino" in done.err
    kept = "on for GPU and NPU, off for CPU"
    assert f"hint: --backend-option cache=on (by itself {kept})" in done.err


def test_a_device_that_is_not_there(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    done = built(bundle, "--backend", "openvino", "--device", "GPU.7", monkeypatch=monkeypatch)
    assert (done.code, done.out) == (9, "")
    assert "no device 'GPU.7'" in done.err
    assert "hint: edgecls doctor" in done.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--backend", "tpu"), 2, "There is no backend 'tpu'"),
        (("--backend", "auto"), 2, "needs the name of a backend"),
        (("--backend", "openvino", "--backend-option", "x=1"), 2, "no option 'x'"),
        (("--backend", "openvino", "--precision", "int8"), 2, "has no int8 graph"),
        ((), 2, "Missing option '--backend'"),
    ],
)
def test_mistakes(
    bundle: Bundle, words: tuple[str, ...], code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = built(bundle, *words, monkeypatch=monkeypatch)
    assert done.code == code
    assert told in done.err
