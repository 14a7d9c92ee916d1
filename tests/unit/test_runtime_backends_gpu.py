"""The backends on a GPU, on an ONNX Runtime that claims to have one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BackendError, UsageError
from runtime import nvidia
from runtime.backends import _ort_gpu, cuda, tensorrt
from runtime.choice_cache import ChoiceCache
from runtime.choose import EngineRequest, Machine, choose_session
from runtime.engine_cache import EngineCache
from runtime.session import Backend, Session, SessionOptions
from tests.made_up_onnxruntime import CPU, CUDA, TENSORRT, MadeUpOnnxRuntime
from tests.tiny_models import tiny_network, write_tiny_bundle

pytest.importorskip("onnxruntime")

GPU = nvidia.Gpu(name="NVIDIA Made Up", capability="8.7", cuda="12.6")
BOTH = pytest.mark.parametrize(
    "backend", [cuda.BACKEND, tensorrt.BACKEND], ids=lambda one: one.name
)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MadeUpOnnxRuntime:
    """A machine with one GPU, CUDA and TensorRT, and an empty cache."""
    module = MadeUpOnnxRuntime()
    cache = EngineCache(folder=tmp_path / "engines")
    monkeypatch.setattr(_ort_gpu, "import_onnxruntime", lambda: module)
    for place in (_ort_gpu, tensorrt, nvidia):
        monkeypatch.setattr(place, "gpus", lambda: (GPU,))
    library = SimpleNamespace(getInferLibVersion=lambda: 100300)
    monkeypatch.setattr(tensorrt, "_library", lambda: library)
    monkeypatch.setattr(tensorrt, "EngineCache", lambda: cache)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return module


def opened(backend: Backend, bundle: Bundle, device: str | None = None, **told: str) -> Session:
    options = SessionOptions(threads=1, device=device, settings={backend.name: told})
    return backend.open(bundle.model_path(), bundle.card, options)


def clips_for(bundle: Bundle, batch: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=bundle.card.clip.input_shape(batch)).astype("f4")


@BOTH
@pytest.mark.parametrize("told", [{}, {"graph": "off"}, {"graph": "off", "io_binding": "off"}])
def test_logits_are_those_of_the_network_whatever_way_they_take(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime, told: dict[str, str]
) -> None:
    with opened(backend, bundle, **told) as session:
        for batch in (1, 3, 2, 1):
            clips = clips_for(bundle, batch)
            expected = tiny_network().logits(clips)
            np.testing.assert_allclose(session.run(clips), expected, atol=1e-5 * np.ptp(expected))


@BOTH
def test_probe_says_what_would_run(
    backend: Backend, engine: MadeUpOnnxRuntime, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backend.probe().ok
    assert capsys.readouterr().out == "", "stdout is for results"


@BOTH
def test_placement_is_read_off_a_profile(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    engine.on_cpu = 5
    with opened(backend, bundle) as session:
        assert session.placement.measured
        assert session.placement.line() == (
            f"{backend.provider} 80 % of 10 nodes, 80 % of time; CPU 20 % of nodes, 20 % of time"
        )
        assert session.engine.endswith(f"{backend.provider}, NVIDIA Made Up")
    assert [one.profiled for one in engine.opened] == [True, False]
    assert not list(Path(tempfile.gettempdir()).glob("edgecls-profile*"))


@BOTH
def test_a_gpu_on_which_nothing_ran_is_refused(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    engine.on_cpu = 1
    with pytest.raises(BackendError, match=r"nothing of it ran on \w+ \(CPU 100 %"):
        opened(backend, bundle)


@BOTH
def test_a_session_that_fell_back_is_refused(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    engine.loadable = ()
    with pytest.raises(BackendError, match=f", but {CPU} would run the model"):
        opened(backend, bundle)


def test_tensorrt_that_fell_back_to_cuda_is_refused(
    bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    engine.loadable = (CUDA,)
    with pytest.raises(BackendError, match=f", but {CUDA}, {CPU} would run the model"):
        opened(tensorrt.BACKEND, bundle)


@BOTH
def test_launches_are_recorded_where_every_node_is_on_the_gpu(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    with opened(backend, bundle) as session:
        session.run(clips_for(bundle, 1))
    assert engine.opened[-1].ran_bound == ["1", "1"]
    engine.on_cpu = 5
    with opened(backend, bundle) as session:
        session.run(clips_for(bundle, 1))
    assert engine.opened[-1].ran_bound == [""]


@BOTH
def test_launches_that_cannot_be_recorded_run_one_by_one(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    engine.refuses_graphs = True
    clips = clips_for(bundle, 1)
    with opened(backend, bundle) as session:
        np.testing.assert_allclose(session.run(clips), tiny_network().logits(clips), atol=1e-3)
    assert engine.opened[-1].ran_bound == [""]


def test_several_threads_share_no_recorded_launches(
    bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    options = SessionOptions(parallel=2)
    with cuda.BACKEND.open(bundle.model_path(), bundle.card, options):
        assert "enable_cuda_graph" not in engine.opened[-1].providers[CUDA]


def test_what_cuda_is_told(bundle: Bundle, engine: MadeUpOnnxRuntime) -> None:
    with opened(cuda.BACKEND, bundle, graph="off"):
        assert engine.opened[-1].providers == {
            CUDA: {"device_id": "0", "use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}
        }
    with opened(cuda.BACKEND, bundle, tf32="on", conv_search="heuristic", memory_mib="512"):
        assert engine.opened[-1].providers[CUDA] == {
            "device_id": "0",
            "use_tf32": "1",
            "cudnn_conv_algo_search": "HEURISTIC",
            "gpu_mem_limit": str(512 << 20),
            "enable_cuda_graph": "1",
        }


def test_what_tensorrt_is_told(bundle: Bundle, engine: MadeUpOnnxRuntime) -> None:
    with opened(tensorrt.BACKEND, bundle, batch="2", workspace_mib="64", level="5", dla_core="1"):
        told, beside = engine.opened[-1].providers.values()
    folder = told.pop("trt_engine_cache_path")
    assert told.pop("trt_timing_cache_path") == folder
    assert told == {
        "device_id": "0",
        "trt_fp16_enable": "0",
        "trt_int8_enable": "0",
        "trt_builder_optimization_level": "5",
        "trt_max_workspace_size": str(64 << 20),
        "trt_dla_enable": "1",
        "trt_dla_core": "1",
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
        "trt_cuda_graph_enable": "1",
    }
    assert beside == {"device_id": "0", "use_tf32": "0"}
    assert engine.opened[-1].overrides == {"N": 2}


def test_an_engine_is_built_once_and_then_found(
    bundle: Bundle, engine: MadeUpOnnxRuntime, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tensorrt.BACKEND, bundle):
        first = engine.opened[-1].providers[TENSORRT]["trt_engine_cache_path"]
    (entry,) = EngineCache(folder=tmp_path / "engines").entries()
    assert Path(first) != entry.path, "built beside its place"
    assert "builds an engine" in caplog.text, "it takes minutes, which must not pass in silence"
    caplog.clear()
    with opened(tensorrt.BACKEND, bundle):
        assert engine.opened[-1].providers[TENSORRT]["trt_engine_cache_path"] == str(entry.path)
    assert not caplog.text
    assert entry.key.shape == "x".join(map(str, bundle.card.clip.input_shape(1)))
    assert entry.key.engine == "onnxruntime 9.9.9, TensorRT 100300"
    assert entry.key.device == "NVIDIA Made Up, 8.7, CUDA 12.6"
    with opened(tensorrt.BACKEND, bundle, fp16="on"):
        pass
    assert len(EngineCache(folder=tmp_path / "engines").entries()) == 2, "another engine"


def test_nothing_is_kept_where_that_is_not_wanted_or_the_engine_fails(
    bundle: Bundle, engine: MadeUpOnnxRuntime, tmp_path: Path
) -> None:
    with opened(tensorrt.BACKEND, bundle, cache="off"):
        assert "trt_engine_cache_path" not in engine.opened[-1].providers[TENSORRT]
    engine.on_cpu = 1
    with pytest.raises(BackendError):
        opened(tensorrt.BACKEND, bundle)
    assert EngineCache(folder=tmp_path / "engines").entries() == []


@BOTH
@pytest.mark.parametrize("device", ["1", "-1", "GPU", "²"])
def test_a_gpu_that_there_is_not(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime, device: str
) -> None:
    with pytest.raises(BackendError, match=r"there is 0 \(NVIDIA Made Up\)"):
        opened(backend, bundle, device)


@BOTH
def test_an_option_that_there_is_not(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime
) -> None:
    with pytest.raises(UsageError, match="has no option 'streams'"):
        opened(backend, bundle, streams="2")


@BOTH
def test_without_a_driver_the_probe_says_so(
    backend: Backend, engine: MadeUpOnnxRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here() -> tuple[nvidia.Gpu, ...]:
        raise BackendError("no NVIDIA driver here (libcuda.so.1 is missing)")

    monkeypatch.setattr(_ort_gpu, "gpus", none_here)
    probe = backend.probe()
    assert (probe.ok, probe.expected) == (False, False)
    assert probe.reason == "no NVIDIA driver here (libcuda.so.1 is missing)"


def test_a_provider_whose_libraries_are_missing_is_told_with_their_names(
    engine: MadeUpOnnxRuntime, tmp_path: Path
) -> None:
    """A library of the wheel that does not load; here because it is none."""
    folder = tmp_path / "onnxruntime" / "capi"
    folder.mkdir(parents=True)
    for name in ("shared", "cuda"):
        (folder / f"libonnxruntime_providers_{name}.so").write_bytes(b"no library")
    engine.__file__ = str(folder.parent / "__init__.py")
    probe = cuda.BACKEND.probe()
    assert not probe.ok
    assert probe.reason.startswith("CUDA does not load: ")
    assert "libonnxruntime_providers_shared.so" in probe.reason
    assert probe.hint == "edgecls doctor"


def test_a_missing_tensorrt_is_told_with_its_library(
    engine: MadeUpOnnxRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "libnvinfer.so.10: cannot open shared object file: No such file or directory"

    def not_there() -> None:
        raise OSError(missing)

    monkeypatch.setattr(tensorrt, "_library", not_there)
    probe = tensorrt.BACKEND.probe()
    assert (probe.ok, probe.hint) == (False, "edgecls doctor")
    assert probe.reason == f"TensorRT's library does not load: {missing}"


@pytest.mark.parametrize(("precision", "fp16", "int8"), [("fp16", "1", "0"), ("int8", "0", "1")])
def test_tensorrt_computes_in_the_precision_of_the_graph(
    bundle: Bundle, engine: MadeUpOnnxRuntime, precision: str, fp16: str, int8: str
) -> None:
    variants = [one.model_copy(update={"precision": precision}) for one in bundle.card.variants]
    card = bundle.card.model_copy(update={"variants": tuple(variants)})
    with tensorrt.BACKEND.open(bundle.model_path(), card, SessionOptions()):
        told = engine.opened[-1].providers[TENSORRT]
    assert (told["trt_fp16_enable"], told["trt_int8_enable"]) == (fp16, int8)


def test_the_driver_of_this_machine_is_asked() -> None:
    """Real: either it names GPUs, or it says why there are none."""
    if Path("/dev/nvidiactl").exists():
        assert all(gpu.name and gpu.capability for gpu in nvidia.gpus())
    else:
        with pytest.raises(BackendError, match="NVIDIA"):
            nvidia.gpus()


@BOTH
def test_how_strict_a_choice_is(
    backend: Backend, bundle: Bundle, engine: MadeUpOnnxRuntime, tmp_path: Path
) -> None:
    """Two of ten nodes are left to the CPU."""
    engine.on_cpu = 5
    asked = EngineRequest(backend=backend.name, threads=1)
    with choose_session(bundle, asked).session as session:
        assert session.backend == backend.name
    with pytest.raises(BackendError, match=r"cannot be used: 20\.0 % of the nodes ran on"):
        choose_session(bundle, replace(asked, strict=True))
    allowed = replace(asked, strict=True, max_cpu_share=0.2)
    choice = choose_session(bundle, allowed)
    choice.session.close()
    assert choice.device == f"{backend.provider}, NVIDIA Made Up"
    assert f"fp32: {backend.provider} 80 % of 10 nodes, 80 % of time; CPU 20 %" in choice.line()


def test_gpus_race_with_cpus(bundle: Bundle, engine: MadeUpOnnxRuntime, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    machine = Machine(cache=ChoiceCache(tmp_path / "choices.json"))
    choice = choose_session(bundle, EngineRequest(threads=1), machine=machine)
    choice.session.close()
    assert choice.rejected == ()
    assert all(f"{one} " in choice.why for one in ("tensorrt", "cuda", "openvino", "cpu"))
    engine.on_cpu = 5
    choice = choose_session(bundle, EngineRequest(threads=1, strict=True), machine=machine)
    choice.session.close()
    assert choice.session.backend in ("openvino", "cpu")
    assert choice.line().endswith(
        "; tensorrt, cuda: 20.0 % of the nodes ran on the CPU, and --strict allows 0 %)"
    )
    engine.loadable = ()
    choice = choose_session(bundle, EngineRequest(threads=1, race=False), machine=machine)
    choice.session.close()
    assert choice.session.backend == "openvino", "the first of the list that runs"


def test_without_a_gpu_nobody_is_told_to_install_the_engine_for_one(
    bundle: Bundle, engine: MadeUpOnnxRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_here() -> tuple[nvidia.Gpu, ...]:
        raise BackendError("the NVIDIA driver shows no GPU")

    monkeypatch.setattr(_ort_gpu, "gpus", none_here)
    with pytest.raises(BackendError, match="the NVIDIA driver shows no GPU") as caught:
        choose_session(bundle, EngineRequest(backend="cuda"))
    assert caught.value.hint == "edgecls doctor"
