"""ONNX Runtime as it is on a machine with a GPU: computes on the CPU, tells otherwise.

What the product asks of a GPU's provider can so be seen without one. Only what it uses is there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from models.extras import import_onnxruntime

CUDA, TENSORRT, CPU = (f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "CPU"))


@dataclass
class Opened:
    """A session that was opened: what it was told, and what was done with it."""

    path: str
    providers: dict[str, dict[str, str]]
    profiled: bool
    overrides: dict[str, int]
    ran_plainly: int = 0
    ran_bound: list[str] = field(default_factory=list)


@dataclass
class MadeUpOnnxRuntime:
    """A module.

    Attributes:
        loadable: Providers that sessions get when they ask for them.
        on_cpu: Every how many nodes one is run by the CPU; 0 for none, 1 for all.
        refuses_graphs: A run that is recorded raises.
    """

    loadable: Sequence[str] = (TENSORRT, CUDA)
    on_cpu: int = 0
    refuses_graphs: bool = False
    opened: list[Opened] = field(default_factory=list)
    __version__: str = "9.9.9"
    __file__: str = "/nowhere/onnxruntime/__init__.py"

    def __post_init__(self) -> None:
        self._real: Any = import_onnxruntime()
        self.GraphOptimizationLevel = self._real.GraphOptimizationLevel
        self.OrtValue = MadeUpOrtValue

    def preload_dlls(self) -> None:
        print("Failed to load libsomething.so.9")  # as the real one does

    def get_available_providers(self) -> list[str]:
        return [TENSORRT, CUDA, CPU]

    def SessionOptions(self) -> Any:  # noqa: N802
        return MadeUpSessionOptions()

    def RunOptions(self) -> Any:  # noqa: N802
        options = SimpleNamespace(entries={})
        options.add_run_config_entry = options.entries.__setitem__
        return options

    def InferenceSession(  # noqa: N802
        self,
        path: str,
        settings: MadeUpSessionOptions,
        *,
        providers: list[tuple[str, dict[str, str]]],
        enable_fallback: int,
    ) -> MadeUpSession:
        assert enable_fallback == 0
        real = self._real.InferenceSession(path, providers=[CPU])
        return MadeUpSession(self, real, path, settings, dict(providers))


class MadeUpSessionOptions:
    """Takes what is set, and nothing that there is not."""

    def __init__(self) -> None:
        self.graph_optimization_level: Any = None
        self.intra_op_num_threads = self.inter_op_num_threads = self.log_severity_level = 0
        self.enable_profiling = False
        self.profile_file_prefix = ""
        self.overrides: dict[str, int] = {}

    def add_session_config_entry(self, name: str, value: str) -> None:
        assert (name, value) == ("session.intra_op.allow_spinning", "0")

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        self.overrides[name] = size


class MadeUpOrtValue:
    """A tensor on the GPU."""

    def __init__(self, array: Any, device: str) -> None:
        self.array = array
        assert device == "cuda"

    @classmethod
    def ortvalue_from_numpy(cls, array: Any, device: str, number: int) -> MadeUpOrtValue:
        return cls(array.copy(), device)

    @classmethod
    def ortvalue_from_shape_and_type(
        cls, shape: list[int], dtype: Any, device: str, number: int
    ) -> MadeUpOrtValue:
        return cls(np.full(shape, np.nan, dtype), device)

    def update_inplace(self, array: Any) -> None:
        assert array.shape == self.array.shape
        assert array.flags.c_contiguous
        self.array[...] = array


class MadeUpSession:
    """Runs on the CPU; its profile says what the module was told to say."""

    def __init__(
        self,
        module: MadeUpOnnxRuntime,
        real: Any,
        path: str,
        settings: MadeUpSessionOptions,
        providers: dict[str, dict[str, str]],
    ) -> None:
        self._module = module
        self._real = real
        self._settings = settings
        self.get_inputs, self.get_outputs = real.get_inputs, real.get_outputs
        self._got = [name for name in providers if name in module.loadable]
        self._opened = Opened(path, providers, settings.enable_profiling, settings.overrides)
        module.opened.append(self._opened)
        self._build_engine(providers.get(TENSORRT, {}))

    def _build_engine(self, told: dict[str, str]) -> None:
        if told.get("trt_engine_cache_enable") == "1":
            engine = Path(told["trt_engine_cache_path"]) / "graph.engine"
            if not engine.is_file():
                engine.write_text("built")

    def get_providers(self) -> list[str]:
        return [*self._got, CPU]

    def run(self, names: Any, inputs: dict[str, Any]) -> Any:
        batch = self._settings.overrides.get("N")
        assert batch in (None, *(len(array) for array in inputs.values()))
        self._opened.ran_plainly += 1
        return self._real.run(names, inputs)

    def io_binding(self) -> MadeUpBinding:
        return MadeUpBinding()

    def run_with_iobinding(self, binding: MadeUpBinding, options: Any) -> None:
        told = next(iter(self._opened.providers.values()))
        if "1" in (told.get("enable_cuda_graph"), told.get("trt_cuda_graph_enable")):
            assert options.entries["gpu_graph_id"]
            if self._module.refuses_graphs:
                raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : operation not permitted")
        self._opened.ran_bound.append(options.entries.get("gpu_graph_id", ""))
        (name, source), (_, result) = binding.source, binding.result
        (logits,) = self._real.run(None, {name: source.array})
        result.array[...] = logits

    def end_profiling(self) -> str:
        path = Path(f"{self._settings.profile_file_prefix}_now.json")
        events: list[dict[str, Any]] = [{"cat": "Session", "name": "model_run", "dur": 99}]
        first = (self._got or [CPU])[0]
        for run in range(2):
            for index in range(10):
                beside = self._module.on_cpu and index % self._module.on_cpu == 0
                args = {"provider": CPU if beside else first, "node_index": str(index)}
                name = f"node{index}_kernel_time"
                events.append({"cat": "Node", "name": name, "dur": 9 - 8 * run, "args": args})
        path.write_text(json.dumps(events))
        return str(path)


class MadeUpBinding:
    """What is bound."""

    source: tuple[str, MadeUpOrtValue]
    result: tuple[str, MadeUpOrtValue]

    def bind_ortvalue_input(self, name: str, value: MadeUpOrtValue) -> None:
        self.source = (name, value)

    def bind_ortvalue_output(self, name: str, value: MadeUpOrtValue) -> None:
        self.result = (name, value)

    def copy_outputs_to_cpu(self) -> list[Any]:
        return [self.result[1].array.copy()]
