"""What of a graph does not depend on the pictures, and its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from runtime.graph_macs import STANDARD_DOMAINS
from runtime.graph_shapes import TensorFacts
from runtime.temporal.quantizers import dequantized, quantized

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_ABOUT_SHAPES = frozenset({"Shape", "Size"})
_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike"}
)
_QUANTIZERS = {"QuantizeLinear": quantized, "DequantizeLinear": dequantized}
_COMPARED = 64
"""Constants of up to this many values are the same when their values are."""


class Constants:
    """The constants of a graph, computed when asked for.

    Attributes:
        varying: Tensors that depend on the pictures.
        sized: Constants that depend on the number of clips, through the shape of a tensor.
    """

    def __init__(self, model: ModelProto, facts: Mapping[str, TensorFacts]) -> None:
        graph = model.graph
        self._facts = facts
        self._opset = next(
            (one.version for one in model.opset_import if one.domain in STANDARD_DOMAINS), 17
        )
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._known: dict[str, NDArray[Any] | None] = {}
        self.varying = {value.name for value in graph.input if value.name not in self._tensors}
        self.sized: set[str] = set()
        for node in graph.node:
            self._mark(node)

    @property
    def opset(self) -> int:
        """Version of the default operators."""
        return self._opset

    def _mark(self, node: NodeProto) -> None:
        read = set(reads(node))
        if node.op_type in _ABOUT_SHAPES:
            if read & self.varying or read & self.sized:
                self.sized.update(node.output)
        elif read & self.varying or node.op_type in _RANDOM:
            self.varying.update(name for name in node.output if name)
        elif read & self.sized:
            self.sized.update(node.output)

    def value(self, name: str) -> NDArray[Any] | None:
        """The value for one clip; None where it depends on the pictures or cannot be computed."""
        if name in self.varying:
            return None
        if name not in self._known:
            self._known[name] = self._compute(name)
        return self._known[name]

    def _compute(self, name: str) -> NDArray[Any] | None:
        from onnx import numpy_helper

        if name in self._tensors:
            return np.asarray(numpy_helper.to_array(self._tensors[name]))
        node = self._makers.get(name)
        if node is None:
            return None
        if node.op_type == "Shape" and node.input[0] in self._facts:
            first, last = (_attribute(node, key, other) for key, other in _SHAPE_ENDS)
            return np.array(self._facts[node.input[0]].shape[first:last], np.int64)
        inputs = {one: self.value(one) for one in node.input if one}
        values = {one: value for one, value in inputs.items() if value is not None}
        if len(values) != len(inputs):
            return None
        results = self.run(node, [values.get(one) for one in node.input])
        return None if results is None else results[list(node.output).index(name)]

    def run(
        self, node: NodeProto, values: Sequence[NDArray[Any] | None]
    ) -> list[NDArray[Any]] | None:
        """Results of a node for given inputs (None for one left out); None if it fails."""
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        if node.op_type in _QUANTIZERS:
            result = _QUANTIZERS[node.op_type](values, _attribute(node, "axis", 1) or 0)
            return None if result is None else [result]
        names = [f"in{index}" if one is not None else "" for index, one in enumerate(values)]
        copy = type(node)()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(names)
        feeds = {name: one for name, one in zip(names, values, strict=True) if one is not None}
        graph = helper.make_graph(
            [copy],
            "constant",
            [helper.make_tensor_value_info(name, 1, None) for name in feeds],
            [helper.make_tensor_value_info(name, 1, None) for name in node.output if name],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])
        try:
            results = ReferenceEvaluator(model).run(None, feeds)
        except Exception:  # whatever is wrong with the node, its value is then not known
            return None
        return [np.asarray(result) for result in results]

    def key(self, name: str) -> object:
        """Equal for constants that are known to be equal."""
        facts = self._facts.get(name)
        small = facts is not None and np.prod(facts.shape, dtype=np.int64) <= _COMPARED
        value = self.value(name) if small and name not in self.sized else None
        return name if value is None else (value.dtype.str, value.shape, value.tobytes())

    def makers(self, names: Sequence[str]) -> Iterator[NodeProto]:
        """Nodes that make constants, each behind those that it needs."""
        seen: set[str] = set()

        def walk(name: str) -> Iterator[NodeProto]:
            node = self._makers.get(name)
            if node is None or node.output[0] in seen:
                return
            seen.add(node.output[0])
            for one in reads(node):
                yield from walk(one)
            yield node

        for name in names:
            yield from walk(name)


_SHAPE_ENDS: tuple[tuple[str, int | None], ...] = (("start", None), ("end", None))


def _attribute(node: NodeProto, key: str, other: int | None) -> int | None:
    return next((one.i for one in node.attribute if one.name == key), other)


def reads(node: NodeProto) -> Iterator[str]:
    """Tensors that a node reads, those that the graphs inside it see included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            yield from _free(inner)


def _free(graph: GraphProto) -> Iterator[str]:
    """Names that a graph inside a node takes from outside (or might)."""
    for node in graph.node:
        yield from reads(node)
    yield from (value.name for value in graph.output)
