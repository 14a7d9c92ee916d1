"""An ONNX classifier from anywhere: read it, refuse what cannot work, run it as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.ends import RawRun
from convert.request import DEFAULT_OPSET, MAX_OPSET, MIN_OPSET
from models.errors import CheckpointError, ConversionError
from models.extras import extra, import_onnxruntime
from models.messages import telling_line
from runtime.session import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
_FLOAT, _HALF = 1, 10  # onnx.TensorProto.FLOAT and FLOAT16: onnx is not imported up here


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxSource:
    """A model as it was given.

    Attributes:
        path: The file.
        graph: Its content, weights included.
        input_shape: Shape of the input; -1 for a free axis.
    """

    path: Path
    graph: ModelProto
    input_shape: tuple[int, ...]


def open_onnx(path: Path) -> OnnxSource:
    """Read a model and check that it can be a clip classifier.

    Weights in files beside the graph are read too, from the graph's own folder only.

    Raises:
        CheckpointError: Not an ONNX model, damaged, or not one float input and one output.
    """
    with extra("convert", "Converting an ONNX model"):
        import onnx
    try:
        graph = onnx.load(str(path))
        onnx.checker.check_model(graph)
    except Exception as error:  # a damaged file can break its parser in any way
        raise CheckpointError(
            f"{path} is not a valid ONNX model: {telling_line(error)}.",
            hint="Export it again; parts in other files must lie in the same folder.",
        ) from error
    initialised = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in initialised]
    if len(inputs) != 1 or len(graph.graph.output) != 1:
        raise CheckpointError(
            f"{path} has inputs {_names(inputs)} and outputs {_names(graph.graph.output)}; a clip"
            " classifier has one of each.",
            hint="Cut the classifier out: onnx.utils.extract_model(FILE, NEW, [INPUT], [LOGITS])",
        )
    kind = inputs[0].type.tensor_type.elem_type
    if _HALF in {kind, *(tensor.data_type for tensor in graph.graph.initializer)}:
        raise CheckpointError(
            f"{path} is a float16 model; a bundle starts from float32.",
            hint="Export it in float32; --fp16 then adds a half-precision graph.",
        )
    if kind != _FLOAT:
        raise CheckpointError(
            f"{path} takes {_type_name(kind)}; normalised pictures are float32.",
            hint="Export the network without its preprocessing.",
        )
    foreign = sorted({node.domain for node in graph.graph.node} - STANDARD_DOMAINS)
    if foreign:
        raise CheckpointError(
            f"{path} uses operators of {', '.join(foreign)}, which are not part of ONNX.",
            hint="Export it without engine-specific optimisation.",
        )
    return OnnxSource(path=path, graph=graph, input_shape=_shape(inputs[0]))


def raw_runner(source: OnnxSource) -> RawRun:
    """A function that runs the file as given, nothing optimised.

    Raises:
        CheckpointError: ONNX Runtime cannot load the model.
    """
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    try:
        session = onnxruntime.InferenceSession(
            str(source.path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise CheckpointError(
            f"ONNX Runtime {onnxruntime.__version__} cannot load {source.path}:"
            f" {telling_line(error)}."
        ) from error
    name = session.get_inputs()[0].name

    def run(raw: Tensor) -> Tensor:
        return np.asarray(session.run(None, {name: raw})[0], dtype=np.float32)

    return run


def settle_opset(own: int, asked: int | None) -> int:
    """Opset of the graph to make: what was asked, else the model's own where that is usable."""
    if asked is not None:
        return asked
    return own if MIN_OPSET <= own <= MAX_OPSET else DEFAULT_OPSET


def at_opset(graph: ModelProto, opset: int) -> ModelProto:
    """Convert a graph to an opset, with the converter of the `onnx` package.

    Raises:
        ConversionError: It has no rule for an operator of this graph.
    """
    from onnx import version_converter

    own = opset_of(graph)
    if own == opset:
        return graph
    try:
        converted: ModelProto = version_converter.convert_version(graph, opset)
    except Exception as error:
        usable = MIN_OPSET <= own <= MAX_OPSET
        raise ConversionError(
            f"The model is opset {own} and cannot be converted to {opset}: {telling_line(error)}.",
            hint=f"--opset {own}" if usable else f"Export it with opset {DEFAULT_OPSET}.",
        ) from error
    return converted


def opset_of(graph: ModelProto) -> int:
    """Opset of the default domain."""
    return next(
        (int(entry.version) for entry in graph.opset_import if entry.domain in STANDARD_DOMAINS), 0
    )


def _shape(value: ValueInfoProto) -> tuple[int, ...]:
    return tuple(
        side.dim_value if side.dim_value > 0 else -1 for side in value.type.tensor_type.shape.dim
    )


def _type_name(kind: int) -> str:
    from onnx import TensorProto

    known: list[str] = [name for name, value in TensorProto.DataType.items() if value == kind]
    return known[0].lower() if known else f"values of the unknown type {kind}"


def _names(values: Iterable[ValueInfoProto]) -> str:
    return ", ".join(value.name for value in values) or "none"
