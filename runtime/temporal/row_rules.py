"""Which operators compute each row from the same row of what they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime.graph_macs import STANDARD_DOMAINS, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

UNARY = frozenset(
    {"Abs", "Cast", "Ceil", "Celu", "Clip", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid"}
    | {"HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round"}
    | {"Selu", "Shrink", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Tanh"}
    | {"ThresholdedRelu"}
)
"""Operators that compute each value from one value, and from constants of one value."""

_PAIRED = frozenset(
    {"Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max"}
    | {"Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"}
)
"""Operators that compute each value from values at the same place, with broadcasting."""

QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})

BATCHED_POOLS = frozenset(
    {"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "AveragePool", "MaxPool", "LpPool"}
)
_BATCHED = BATCHED_POOLS | {
    *("BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "InstanceNormalization"),
    *("GroupNormalization", "LRN", "QLinearConv", "ConvInteger", "SpaceToDepth"),
}
"""Operators whose first axis counts independent pictures."""

_REDUCTIONS = frozenset(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}
)
_ALONG_AXIS = frozenset({"Softmax", "LogSoftmax", "Hardmax", "LpNormalization"})
MEANS = frozenset({"ReduceMean", "GlobalAveragePool", "AveragePool"})


@dataclass(frozen=True, slots=True)
class Operand:
    """What a rule knows about an input of a node.

    Attributes:
        shape: For one clip.
        axis: The axis of the frames; None for a constant.
        value: Of a constant, when it is asked for.
    """

    shape: Shape
    axis: int | None
    value: Callable[[], NDArray[Any] | None]


def attributes(node: NodeProto) -> Mapping[str, Any]:
    """Attributes of a node by name."""
    from onnx import helper

    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def rows_stay_apart(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    """The axis of the frames in the first output; None if the node mixes rows, or might.

    Args:
        node: An operator.
        inputs: Its inputs, None where one is left out; at least one has an axis of frames.
        opset: Version of the operators.
    """
    if node.domain not in STANDARD_DOMAINS or any(node.output[1:]):
        return None
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(node, inputs, opset)


def is_pointwise(node: NodeProto, inputs: Sequence[Operand | None]) -> bool:
    """Whether each value follows from one value of the first input, wherever it stands."""
    if node.domain not in STANDARD_DOMAINS or any(node.output[1:]):
        return False
    if node.op_type not in UNARY | QUANTIZERS | _PAIRED:
        return False
    constants = [one for one in inputs if one is not None and one.axis is None]
    rows = [one for one in inputs if one is not None and one.axis is not None]
    return len(rows) == 1 and all(
        one.shape in ((), (1,)) and len(one.shape) <= len(rows[0].shape) for one in constants
    )


def aligned_axis(inputs: Sequence[Operand | None], rank: int) -> int | None:
    """The axis of the frames after broadcasting to `rank` axes; None if rows meet other rows."""
    axes = set()
    for one in inputs:
        if one is None:
            continue
        if one.axis is not None:
            if len(one.shape) != rank:
                return None
            axes.add(one.axis)
    if len(axes) != 1:
        return None
    axis = axes.pop()
    for one in inputs:
        if one is not None and one.axis is None:
            missing = rank - len(one.shape)
            for at in {0, axis}:
                if at >= missing and one.shape[at - missing] != 1:
                    return None
    return axis


def _aligned(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    del node, opset
    return aligned_axis(inputs, max(len(one.shape) for one in inputs if one is not None))


def _only_first(inputs: Sequence[Operand | None]) -> Operand | None:
    """The first input, when it has frames and the others are constants."""
    first, *others = inputs
    if first is None or first.axis is None:
        return None
    return first if all(one is None or one.axis is None for one in others) else None


def _quantizer(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    del opset
    first, given = _only_first(inputs), attributes(node)
    if first is None or first.axis is None or given.get("block_size"):
        return None
    scale = inputs[1]
    if scale is None or len(scale.shape) > 1:
        return None
    if scale.shape in ((), (1,)):
        return first.axis
    return first.axis if given.get("axis", 1) % len(first.shape) != first.axis else None


def _batched(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    """Frames on the first axis; or behind the channels, if nothing reaches across them."""
    del opset
    first = _only_first(inputs)
    if first is None or first.axis is None or len(first.shape) < 3:
        return None
    given = attributes(node)
    if given.get("training_mode"):
        return None
    if first.axis == 0:
        return 0
    if node.op_type not in {"Conv", "MaxPool", "AveragePool"} or first.axis < 2:
        return None
    weight = inputs[1].shape if node.op_type == "Conv" and inputs[1] is not None else ()
    kernel = given.get("kernel_shape") or weight[2:]
    spatial, at = len(first.shape) - 2, first.axis - 2
    pads = given.get("pads") or [0] * (2 * spatial)
    strides = given.get("strides") or [1] * spatial
    reach = (kernel[at], strides[at], pads[at], pads[spatial + at])
    return first.axis if reach == (1, 1, 0, 0) else None


def _resize(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    del opset
    first = _only_first(inputs)
    scales = inputs[2] if len(inputs) == 3 else None
    values = None if scales is None else scales.value()
    if first is None or first.axis != 0 or values is None or attributes(node).get("axes"):
        return None
    return 0 if len(values) == len(first.shape) and float(values[0]) == 1 else None


def _matmul(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    """Only the last axis but one of the left side, or an axis of the batch, stays apart."""
    del node, opset
    left, right = inputs[0], inputs[1]
    if left is None or right is None or min(len(left.shape), len(right.shape)) < 2:
        return None
    rank = max(len(left.shape), len(right.shape))
    if left.axis is not None and right.axis is None:
        if left.axis == len(left.shape) - 1 or len(left.shape) < rank:
            return None
        return left.axis if all(side == 1 for side in right.shape[:-2]) else None
    if left.axis is None and right.axis is not None:
        if right.axis >= len(right.shape) - 2 or len(right.shape) < rank:
            return None
        return right.axis if all(side == 1 for side in left.shape[:-2]) else None
    same = left.axis == right.axis and len(left.shape) == len(right.shape)
    return left.axis if same and left.axis is not None and left.axis < rank - 2 else None


def _gemm(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    del opset
    first = _only_first(inputs)
    if first is None or first.axis != 0 or attributes(node).get("transA"):
        return None
    bias = inputs[2] if len(inputs) > 2 else None
    return 0 if bias is None or len(bias.shape) < 2 or bias.shape[0] == 1 else None


def _reduction(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    del opset
    first = _only_first(inputs)
    if first is None or first.axis is None:
        return None
    rank, given = len(first.shape), attributes(node)
    axes = given.get("axes")
    if axes is None and len(inputs) > 1 and inputs[1] is not None:
        axes = inputs[1].value()
    if axes is None or len(axes) == 0:
        return None
    gone = {int(axis) % rank for axis in axes}
    if first.axis in gone or (first.axis > 0 and 0 in gone):
        return None
    kept = given.get("keepdims", 1)
    return first.axis if kept else first.axis - sum(at < first.axis for at in gone)


def _along_axis(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    first = _only_first(inputs)
    if first is None or first.axis is None or opset < 13:
        return None
    axis = attributes(node).get("axis", -1) % len(first.shape)
    return None if axis == first.axis or axis == 0 else first.axis


def _layer_norm(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    del opset
    first = _only_first(inputs)
    if first is None or first.axis is None:
        return None
    axis = attributes(node).get("axis", -1) % len(first.shape)
    return first.axis if axis > first.axis else None


def _concat(node: NodeProto, inputs: Sequence[Operand | None], opset: int) -> int | None:
    """Rows put side by side; constants would have to be repeated per row."""
    del opset
    axes = {None if one is None else one.axis for one in inputs}
    first = inputs[0]
    if len(axes) != 1 or first is None or first.axis is None:
        return None
    axis = attributes(node)["axis"] % len(first.shape)
    return None if axis in {0, first.axis} else first.axis


_Rule = Callable[["NodeProto", Sequence[Operand | None], int], int | None]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(UNARY | _PAIRED, _aligned),
    **dict.fromkeys(QUANTIZERS, _quantizer),
    **dict.fromkeys(_BATCHED, _batched),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    **dict.fromkeys(_ALONG_AXIS, _along_axis),
    "Concat": _concat,
    "Gemm": _gemm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "Resize": _resize,
}
