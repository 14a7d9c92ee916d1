"""Write an INT8 ONNX graph with explicit QuantizeLinear / DequantizeLinear nodes."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibration.histogram import Histogram
from calibration.layers import QUANTIZED, Layers, layers_of
from calibration.report import Method, Recipe, TensorRange
from calibration.thresholds import Range, activation_range
from models.errors import CalibrationError
from models.extras import extra, import_onnxruntime

if TYPE_CHECKING:
    from onnx import ModelProto

SMALLEST_OPSET = 13
"""The first with scales per channel."""

_SHOWN_BINS = 64
_QUANTIZING = frozenset(("QuantizeLinear", "Clip"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp32Graph:
    """The graph that is quantized.

    Attributes:
        model: With the types of its tensors inferred.
        layers: What is in it.
    """

    model: ModelProto
    layers: Layers


def read_fp32(path: Path) -> Fp32Graph:
    """Load a graph.

    Raises:
        MissingExtra: `onnx` or ONNX Runtime's quantizer is not installed.
        CalibrationError: The graph has no layer to quantize, or is too old.
    """
    with extra("int8", "Calibrating"):
        import onnx

        import_onnxruntime()
        import onnxruntime.quantization  # noqa: F401  (needs ml_dtypes, which is told now)

    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    opset = max(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
    if opset < SMALLEST_OPSET:
        raise CalibrationError(
            f"{path.name} has opset {opset}; INT8 needs {SMALLEST_OPSET} or newer.",
            hint=f"Convert the model again: edgecls convert … --opset {SMALLEST_OPSET}",
        )
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_at_{index}"
    layers = layers_of(model)
    if not layers.weighted:
        raise CalibrationError(f"{path.name} has no convolution or matrix product to make INT8.")
    return Fp32Graph(model=model, layers=layers)


def write_qdq(
    graph: Fp32Graph,
    histograms: dict[str, Histogram],
    recipe: Recipe,
    path: Path,
    *,
    only: tuple[str, ...] = (),
) -> None:
    """Quantize a graph.

    Tensors that hold the same values get the same scale, so that the temporal shift rounds nothing
    anew. Input and output stay float32.

    Args:
        graph: What to quantize; not changed.
        histograms: Values of its activations.
        recipe: How.
        path: File to write.
        only: Names of the only nodes that become INT8; all others when empty.

    Raises:
        CalibrationError: ONNX Runtime's quantizer gave up.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    ranges = shared_ranges(graph.layers, histograms, recipe.method)
    data = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    symmetric = recipe.activations == "s8"
    model = type(graph.model)()
    model.CopyFrom(graph.model)
    try:
        with _quiet():
            made = QDQQuantizer(
                model,
                per_channel=recipe.granularity == "per_channel",
                reduce_range=recipe.reduce_range,
                weight_qType=QuantType.QInt8,
                activation_qType=QuantType.QInt8 if symmetric else QuantType.QUInt8,
                tensors_range=TensorsData(CalibrationMethod.MinMax, data),
                nodes_to_quantize=list(only),
                nodes_to_exclude=list(recipe.fp32_layers),
                op_types_to_quantize=list(QUANTIZED),
                extra_options={
                    "ActivationSymmetric": symmetric,
                    "WeightSymmetric": True,
                    "QuantizeBias": not symmetric,  # TensorRT takes no biases of 32-bit integers
                },
            ).quantize_model()
    except Exception as error:
        raise CalibrationError(f"The graph cannot be written as INT8: {error}.") from error
    _float_output(made)
    _shield(made, [name for name in recipe.fp32_layers if name in graph.layers.weighted])
    del made.graph.value_info[:]
    made.producer_name, made.producer_version = (
        graph.model.producer_name,
        graph.model.producer_version,
    )
    onnx.save(made, str(path))


def _float_output(model: ModelProto) -> None:
    """Take the last Q/DQ pair away: 8 bits are too few for logits."""
    (output,) = (value.name for value in model.graph.output)
    makers = {name: node for node in model.graph.node for name in node.output}
    dequantize = makers[output]
    if dequantize.op_type != "DequantizeLinear":
        return
    quantize = makers[dequantize.input[0]]
    source = makers[quantize.input[0]]
    for place, name in enumerate(source.output):
        if name == quantize.input[0]:
            source.output[place] = output
    for node in (quantize, dequantize):
        model.graph.node.remove(node)
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [one for one in model.graph.initializer if one.name not in used]:
        model.graph.initializer.remove(tensor)


def _shield(model: ModelProto, layers: Sequence[str]) -> None:
    """Keep ONNX Runtime from making layers INT8 that are to stay fp32.

    Where a layer stands between DequantizeLinear and QuantizeLinear, a ReLU in between or not, it
    quantizes the weights itself when it loads the graph. A `Max` behind the layer prevents that:
    with 0 instead of a ReLU, otherwise with the lowest number.
    """
    from onnx import helper, numpy_helper

    makers = {name: node for node in model.graph.node for name in node.output}
    for layer in layers:
        node = next(one for one in model.graph.node if one.name == layer)
        source = makers.get(node.input[0])
        if source is None or source.op_type != "DequantizeLinear":
            continue
        name = node.output[0]
        behind = [one for one in model.graph.node if name in one.input]
        if [one.op_type for one in behind] == ["Relu"]:
            least, output = 0.0, behind[0].output[0]
            model.graph.node.remove(behind[0])
        elif any(one.op_type in _QUANTIZING for one in behind):
            least, output = float(np.finfo(np.float32).min), name
            name = node.output[0] = f"{name}.shielded"
        else:
            continue
        limit = f"{layer}.least"
        model.graph.initializer.append(
            numpy_helper.from_array(np.array(least, dtype=np.float32), limit)
        )
        shield = helper.make_node("Max", [name, limit], [output], name=f"{layer}.shield")
        place = next(at for at, one in enumerate(model.graph.node) if one.name == layer)
        model.graph.node.insert(place + 1, shield)


def only_layer(graph: Fp32Graph, layer: str) -> tuple[str, ...]:
    """Nodes to quantize for one layer: itself, and the activation behind it."""
    return graph.layers.with_activation[layer]


def shared_ranges(
    layers: Layers, histograms: dict[str, Histogram], method: Method
) -> dict[str, Range]:
    """Range of every activation; within a group the union of those of its tensors."""
    ranges = {name: activation_range(found, method) for name, found in histograms.items()}
    for group in layers.groups:
        known = [ranges[name] for name in group if name in ranges]
        if known:
            union = min(low for low, _ in known), max(high for _, high in known)
            ranges.update(dict.fromkeys(group, union))
    for name, leader in layers.followers.items():
        if leader in ranges:
            ranges[name] = ranges[leader]
    return ranges


def range_entries(
    layers: Layers, histograms: dict[str, Histogram], method: Method
) -> tuple[TensorRange, ...]:
    """The ranges for the report, in the order of the graph."""
    ranges = shared_ranges(layers, histograms, method)
    partners = {name: group for group in layers.groups for name in group}
    return tuple(
        TensorRange(
            tensor=name,
            operator=layers.makers[name],
            minimum=histograms[name].minimum,
            maximum=histograms[name].maximum,
            low=ranges[name][0],
            high=ranges[name][1],
            shared_with=tuple(one for one in partners.get(name, ()) if one != name),
            histogram=histograms[name].summary(_SHOWN_BINS),
        )
        for name in layers.measured
        if name in histograms
    )


def with_fp32(recipe: Recipe, layers: tuple[str, ...]) -> Recipe:
    """The same recipe with more layers in fp32."""
    return recipe.model_copy(update={"fp32_layers": (*recipe.fp32_layers, *layers)})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantizer logs through the root logger."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
