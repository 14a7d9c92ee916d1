"""Devices of OpenVINO: chosen by name, told what fits them, what is compiled for them kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError
from runtime.backends import openvino as backend_module
from runtime.backends._openvino_device import SETTINGS, device_named, is_cached, properties
from runtime.backends.openvino import BACKEND
from runtime.build_worker import built
from runtime.engine_cache import EngineCache
from runtime.engine_request import EngineRequest
from runtime.incremental import open_incremental
from runtime.session import SessionOptions
from runtime.settings import Value, resolved
from tests.staged_models import write_staged_bundle
from tests.tiny_models import tiny_network, write_tiny_bundle

openvino = pytest.importorskip("openvino")


@pytest.mark.parametrize(
    ("asked", "available", "device"),
    [
        (None, ["CPU", "GPU"], "CPU"),
        ("cpu", ["CPU"], "CPU"),
        ("gpu", ["CPU", "GPU"], "GPU"),
        ("GPU.0", ["CPU", "GPU"], "GPU.0"),
        ("GPU", ["CPU", "GPU.0", "GPU.1"], "GPU"),
        ("Gpu.1", ["CPU", "GPU.0", "GPU.1"], "GPU.1"),
        ("NPU", ["CPU", "NPU"], "NPU"),
    ],
)
def test_devices_that_are_there(asked: str | None, available: list[str], device: str) -> None:
    assert device_named(asked, available) == device


@pytest.mark.parametrize(
    ("asked", "available"),
    [
        ("GPU", ["CPU"]),
        ("GPU.2", ["CPU", "GPU.0", "GPU.1"]),
        ("GPU.1", ["CPU", "GPU"]),
        ("HETERO:GPU,CPU", ["CPU", "GPU"]),
        (None, []),
    ],
)
def test_devices_that_are_not(asked: str | None, available: list[str]) -> None:
    there = ", ".join(available) or "none"
    with pytest.raises(BackendError, match=rf"there is {there}\.") as caught:
        device_named(asked, available)
    assert "edgecls doctor" in caught.value.hint


@pytest.mark.parametrize(
    ("device", "precision", "told"),
    [
        ("CPU", "fp32", "f32"),
        ("CPU", "fp16", "f32"),
        ("CPU", "int8", "f32"),
        ("GPU", "fp32", "f32"),
        ("GPU.1", "fp16", "f16"),
        ("GPU", "int8", "f32"),
        ("NPU", "fp32", None),
    ],
)
def test_precision_of_each_device(device: str, precision: str, told: str | None) -> None:
    found = properties(device, {}, SessionOptions(threads=3), precision=precision)
    assert found.get("INFERENCE_PRECISION_HINT") == told
    assert ("INFERENCE_NUM_THREADS" in found) == (device == "CPU"), "others do not know it"
    assert is_cached(device, {}) == (device != "CPU")


@pytest.mark.parametrize(
    ("settings", "parallel", "expected"),
    [
        ({}, 1, {"PERFORMANCE_HINT": "LATENCY"}),
        ({}, 4, {"PERFORMANCE_HINT": "THROUGHPUT", "PERFORMANCE_HINT_NUM_REQUESTS": 4}),
        ({"hint": "latency"}, 4, {"PERFORMANCE_HINT": "LATENCY"}),
        ({"hint": "throughput"}, 1, {"PERFORMANCE_HINT": "THROUGHPUT"}),
        ({"streams": "2"}, 1, {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 2}),
        ({"precision": "auto"}, 1, {"PERFORMANCE_HINT": "LATENCY"}),
        (
            {"precision": "bf16"},
            1,
            {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16"},
        ),
    ],
)
def test_settings(settings: dict[str, str], parallel: int, expected: dict[str, Any]) -> None:
    values = resolved("openvino", SETTINGS, settings)
    told = properties("GPU", values, SessionOptions(parallel=parallel))
    if "precision" not in settings:
        assert told.pop("INFERENCE_PRECISION_HINT") == "f32"
    assert told == expected


def test_threads_asked_for_beat_those_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.backends._openvino_device.usable_cpus", lambda: 7)

    def threads(values: dict[str, Value], asked: int | None) -> int:
        return int(
            properties("CPU", values, SessionOptions(threads=asked))["INFERENCE_NUM_THREADS"]
        )

    assert [threads({}, None), threads({"threads": 3}, None), threads({"threads": 3}, 2)] == [
        7,
        3,
        2,
    ]


class _Compiled:
    """A graph on the CPU that says that it is elsewhere."""

    def __init__(self, compiled: Any, device: str) -> None:
        self._compiled = compiled
        self._device = device

    def get_property(self, name: str) -> Any:
        if name == "EXECUTION_DEVICES":
            return [self._device]
        return self._compiled.get_property(name)

    def create_infer_request(self) -> Any:
        return self._compiled.create_infer_request()


class _Core:
    """OpenVINO with devices that this machine lacks; the CPU computes for them."""

    available_devices: Sequence[str] = ("CPU", "GPU.0", "GPU.1", "NPU")

    def __init__(self, core: Any) -> None:
        self._core = core
        self.compiled: list[tuple[str, dict[str, Any]]] = []
        self.from_cache: list[bool] = []

    def read_model(self, path: str) -> Any:
        return self._core.read_model(path)

    def get_property(self, device: str, name: str) -> str:
        assert name == "FULL_DEVICE_NAME"
        return f"made-up {device}"

    def compile_model(self, model: Any, device: str, told: dict[str, Any]) -> _Compiled:
        self.compiled.append((device, told))
        compiled = self._core.compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", **told}
        )
        self.from_cache.append(compiled.get_property("LOADED_FROM_CACHE"))
        return _Compiled(compiled, device)


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> _Core:
    made = _Core(backend_module.shared_core(openvino))
    monkeypatch.setattr(backend_module, "shared_core", lambda _: made)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "bundle")


def logits_of(bundle: Bundle, device: str, batch: int = 1, **options: Any) -> tuple[Any, str, str]:
    """Differences to the reference, engine, and where nodes ran."""
    clips = np.ones(bundle.card.clip.input_shape(batch), np.float32)
    asked = SessionOptions(threads=1, device=device, **options)
    with BACKEND.open(bundle.model_path(), bundle.card, asked) as session:
        logits = session.run(clips)
        np.testing.assert_allclose(logits, tiny_network().logits(clips), atol=1e-4)
        return logits, session.engine, session.placement.shares[0].provider


def test_a_gpu_is_named_and_what_is_compiled_for_it_is_kept(core: _Core, bundle: Bundle) -> None:
    _, engine, provider = logits_of(bundle, "gpu.1", batch=2)
    assert engine.endswith("GPU.1, made-up GPU.1")
    assert provider == "GPU.1"
    logits_of(bundle, "GPU.1", batch=2)
    assert core.from_cache == [False, False, True, True], "for batch 1 and 2, each once"
    logits_of(bundle, "GPU.0")
    assert core.from_cache[4:] == [False], "another device"
    logits_of(bundle, "GPU.0", settings={"openvino": {"cache": "off"}})
    assert "CACHE_DIR" not in core.compiled[-1][1]

    keys = [entry.key for entry in EngineCache().entries()]
    assert {(key.device, key.shape.split("x")[0]) for key in keys} == {
        ("GPU.1, made-up GPU.1", "1"),
        ("GPU.1, made-up GPU.1", "2"),
        ("GPU.0, made-up GPU.0", "1"),
    }
    assert {key.model for key in keys} == {"bundle/model.onnx"}


def test_the_cpu_keeps_nothing_unless_told(core: _Core, bundle: Bundle) -> None:
    logits_of(bundle, "CPU")
    assert EngineCache().entries() == []
    for _ in range(2):
        logits_of(bundle, "CPU", settings={"openvino": {"cache": "on"}})
    assert core.from_cache == [False, False, True]


def test_a_build_for_a_gpu_makes_what_a_start_finds(core: _Core, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    bundle = write_staged_bundle(tmp_path / "staged")
    variant = bundle.card.variants[0]
    asked = EngineRequest(backend="openvino", device="GPU.1")
    first, second = (built(bundle, variant, asked) for _ in range(2))
    assert first["made"] == len(EngineCache().entries()) > 1, "the graph and its stages"
    assert (second["made"], second["found"]) == (0, first["made"])
    assert second["size_bytes"] == first["size_bytes"]
    core.from_cache.clear()
    with open_incremental(bundle, variant, BACKEND, asked.options) as session:
        session.warm_up()
    assert core.from_cache
    assert all(core.from_cache)


def test_stages_run_where_they_are_asked_to(core: _Core, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    bundle = write_staged_bundle(tmp_path / "staged")
    variant = bundle.card.variants[0]
    with open_incremental(bundle, variant, BACKEND, SessionOptions(device="NPU")) as session:
        assert session.engine.endswith("NPU, made-up NPU")
    with open_incremental(bundle, variant, BACKEND, SessionOptions(device="GPU")) as session:
        session.warm_up()
    assert {device for device, _ in core.compiled} == {"GPU", "NPU"}
    assert not any(core.from_cache)
    with open_incremental(bundle, variant, BACKEND, SessionOptions(device="GPU")) as session:
        session.warm_up()
    assert any(core.from_cache)


def test_a_driver_that_fails_is_an_error_of_the_backend(
    core: _Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(device: str, name: str) -> str:
        raise RuntimeError("the driver is gone")

    pytest.importorskip("onnx")
    bundle = write_staged_bundle(tmp_path / "staged")
    monkeypatch.setattr(core, "get_property", fails)
    with pytest.raises(BackendError, match=r"could not load .*: the driver is gone"):
        BACKEND.open(bundle.model_path(), bundle.card, SessionOptions(device="GPU"))
    with pytest.raises(BackendError, match=r"could not load .*: the driver is gone"):
        open_incremental(bundle, bundle.card.variants[0], BACKEND, SessionOptions(device="GPU"))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_threads_are_the_cpus_that_this_process_may_use(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = openvino.Core.compile_model

    def spy(core: Any, *arguments: Any) -> Any:
        compiled = real(core, *arguments)
        seen.append(compiled.get_property("INFERENCE_NUM_THREADS"))
        return compiled

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        BACKEND.open(bundle.model_path(), bundle.card, SessionOptions()).close()
    finally:
        os.sched_setaffinity(0, before)
    assert seen == [1]
