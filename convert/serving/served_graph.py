"""A graph in the engine that a server would run it with, to learn its ends and check its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BackendError
from models.extras import extra, import_onnxruntime, import_openvino
from models.messages import telling_line
from runtime.session import Tensor

_EXTRA = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedGraph:
    """A graph that is loaded.

    Attributes:
        engine: What runs it, e.g. "onnxruntime 1.31.1 CPU".
        input: Name of its input.
        output: Name of its output.
        batch: The batch size that it is fixed to; None where that is free.
        run: Logits, float32 [N, classes], of clips, float32 [N, T, 3, H, W].
    """

    engine: str
    input: str
    output: str
    batch: int | None
    run: Callable[[Tensor], Tensor]


def in_onnxruntime(path: Path) -> ServedGraph:
    """Load a graph as Triton does where it has no accelerator.

    Raises:
        MissingExtra: ONNX Runtime is absent or broken.
        BackendError: It does not load the graph.
    """
    with extra(_EXTRA, "Exporting to Triton"):
        onnxruntime = import_onnxruntime()
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), settings, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        (taken,), (given,) = session.get_inputs(), session.get_outputs()
    except Exception as error:  # engines raise whatever they like
        raise _refused("ONNX Runtime", path, error) from error
    first = taken.shape[0] if taken.shape else None

    def run(clips: Tensor) -> Tensor:
        (logits,) = session.run([given.name], {taken.name: clips})
        return np.asarray(logits, dtype=np.float32)

    return ServedGraph(
        engine=f"onnxruntime {onnxruntime.__version__} CPU",
        input=taken.name,
        output=given.name,
        batch=first if isinstance(first, int) else None,
        run=run,
    )


def in_openvino(
    path: Path, shape: tuple[str, ...], plugin_config: Mapping[str, str]
) -> ServedGraph:
    """Load a graph as OpenVINO Model Server does, on the CPU.

    Args:
        path: ONNX, or the `.xml` of an IR.
        shape: Lengths of the axes of the input, "1:8" for a range; for a free batch size only.
        plugin_config: As in the server's configuration.

    Raises:
        MissingExtra: OpenVINO is absent or broken.
        BackendError: It does not load the graph.
    """
    with extra(_EXTRA, "Exporting to OpenVINO Model Server"):
        openvino = import_openvino()
    from runtime.backends.openvino import shared_core

    core = shared_core(openvino)
    try:
        model = core.read_model(str(path))
        (taken,), (given,) = model.inputs, model.outputs
        first = taken.get_partial_shape()[0]
        if first.is_dynamic:
            model.reshape({taken: openvino.PartialShape(_partial(shape))})
        compiled = core.compile_model(model, "CPU", dict(plugin_config))
    except Exception as error:  # engines raise whatever they like
        raise _refused("OpenVINO", path, error) from error

    def run(clips: Tensor) -> Tensor:
        (logits,) = compiled([clips]).values()
        return np.array(logits, dtype=np.float32)

    return ServedGraph(
        engine=f"openvino {str(openvino.__version__).split('-')[0]} CPU",
        input=taken.get_any_name(),
        output=given.get_any_name(),
        batch=None if first.is_dynamic else first.get_length(),
        run=run,
    )


def _partial(shape: tuple[str, ...]) -> list[Any]:
    """Lengths of axes as OpenVINO takes them: a number, or the two ends of a range."""
    return [
        tuple(int(end) for end in axis.split(":")) if ":" in axis else int(axis) for axis in shape
    ]


def _refused(engine: str, path: Path, error: Exception) -> BackendError:
    return BackendError(
        f"{engine}, which the server runs models with, does not load {path.name}:"
        f" {telling_line(error)}",
        hint="Check the bundle: edgecls verify",
    )
