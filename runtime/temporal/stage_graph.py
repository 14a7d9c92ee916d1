"""Write one stage graph: rows from the rows of the stage before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import gcd, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.messages import telling_line
from runtime.temporal.constants import Constants, reads
from runtime.temporal.rows import Apply, Arrange, Frames, NoStage, Operation, Row, Shift, operands

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

ROWS, FRAMES, LOGITS = "rows", "frames", "logits"
_FLOAT, _INT64 = 1, 7


class GraphWriter:
    """Collects the nodes and constants of a graph.

    Attributes:
        nodes: In running order.
        caches: Rows of the stage before that are read, in the order in which they were met.
    """

    def __init__(self, model: ModelProto, constants: Constants) -> None:
        self._model = model
        self._constants = constants
        self._weights: dict[str, TensorProto] = {}
        self._known = {tensor.name: tensor for tensor in model.graph.initializer}
        self._made: set[str] = set()
        self.nodes: list[NodeProto] = []
        self.caches: list[Row] = []

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; returns its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def copy(self, node: NodeProto, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Add a node of the model with other tensors; it may be added more than once."""
        made = type(node)()
        made.CopyFrom(node)
        made.name = outputs[0]
        del made.input[:], made.output[:]
        made.input.extend(inputs)
        made.output.extend(outputs)
        self.nodes.append(made)

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """Add an array; returns its name."""
        from onnx import numpy_helper

        self._weights[name] = numpy_helper.from_array(values, name)
        return name

    def need(self, names: Sequence[str]) -> None:
        """Take over constants of the model, with the nodes that make them."""
        wanted = list(names)
        for node in self._constants.makers(names):
            if node.output[0] not in self._made:
                self._made.update(node.output)
                self.nodes.append(node)
                wanted.extend(reads(node))
        for name in wanted:
            if name in self._known:
                self._weights[name] = self._known[name]

    def cache(self, row: Row) -> str:
        """Read rows of the stage before; returns the name of the cache [S, ...]."""
        if row not in self.caches:
            if row.name == FRAMES:
                raise NoStage("the pictures themselves are needed again later")
            self.caches.append(row)
        return row.name

    def reshaped(self, source: str, shape: Sequence[int], output: str) -> str:
        """Add a Reshape."""
        target = self.constant(f"{output}.shape", np.array(shape, np.int64))
        return self.node("Reshape", [source, target], output)

    def model(
        self, inputs: Mapping[str, tuple[int, Sequence[int | str]]], outputs: Sequence[Row]
    ) -> ModelProto:
        """The graph, its caches among the inputs.

        Args:
            inputs: Type and shape of `frames` or `rows`.
            outputs: Rows that are put out; none for `logits`.
        """
        import onnx
        from onnx import helper

        def value(name: str, elem_type: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, elem_type, shape)

        given = [value(row.name, row.elem_type, ["S", *row.row_shape]) for row in self.caches]
        given += [value(name, kind, shape) for name, (kind, shape) in inputs.items()]
        results = [value(row.name, row.elem_type, ["M", *row.row_shape]) for row in outputs]
        graph = helper.make_graph(
            self.nodes, "stage", given, results or [self._model.graph.output[0]],
            [self._weights[name] for name in sorted(self._weights)],
        )  # fmt: skip
        made = helper.make_model(
            graph, opset_imports=self._model.opset_import, producer_name="edgecls"
        )
        made.ir_version = self._model.ir_version
        try:
            onnx.checker.check_model(made)
        except onnx.checker.ValidationError as error:
            raise NoStage(f"the stage would not be valid: {telling_line(error)}") from error
        return made


class RowWriter:
    """Writes the rows of one level.

    Attributes:
        writer: What it writes to.
        offsets: Which rows of the stage before are read, ascending.
        macs: Multiply-accumulates per row.
    """

    def __init__(
        self,
        writer: GraphWriter,
        operations: Mapping[Row, Operation],
        level: int,
        macs: Mapping[str, int],
    ) -> None:
        self.writer = writer
        self._operations = operations
        self._level = level
        self._macs = macs
        self._names: dict[Row, str] = {}
        self.offsets: tuple[int, ...] = ()
        self.macs = 0

    def write(self, rows: Sequence[Row]) -> None:
        """Write all that these rows need down to the stage before.

        Raises:
            NoStage: They need an earlier stage.
        """
        own = self._own(rows)
        shifts = [one for one in map(self._operations.get, own) if isinstance(one, Shift)]
        deltas = {delta for one in shifts for delta in one.deltas}
        self.offsets = tuple(sorted(deltas | ({0} if self._reads_here(own) else set())))
        for shift in shifts:
            self.writer.cache(shift.source)
        for row in rows:
            self._row(row)

    def _own(self, rows: Sequence[Row]) -> list[Row]:
        """Rows of this level that are needed, in the order in which they are made."""
        needed = set(rows)
        for row in reversed(list(self._operations)):
            if row in needed and row.level == self._level:
                needed.update(operands(self._operations[row]))
        return [row for row in self._operations if row in needed and row.level == self._level]

    def _reads_here(self, own: Sequence[Row]) -> bool:
        return any(
            one.level < self._level
            for row in own
            if not isinstance(self._operations[row], Shift)
            for one in operands(self._operations[row])
        )

    def _row(self, row: Row) -> str:
        """Name of the tensor that holds rows, written if it is not there yet."""
        if row not in self._names:
            self._names[row] = self._written(row)
        return self._names[row]

    def _written(self, row: Row) -> str:
        operation = self._operations[row]
        if row.level == self._level:
            return self._operation(row, operation, row.name)
        if row.level != self._level - 1:
            raise NoStage(f"{row.name} would have to be handed on over several stages")
        here = f"{row.name}.here"
        if row not in self.writer.caches and is_cheap(operation):
            return self._operation(row, operation, here)
        cache = self.writer.cache(row)
        return self.writer.node("Gather", [cache, self._column(0)], here, axis=0)

    def _operation(self, row: Row, operation: Operation, name: str) -> str:
        if isinstance(operation, Frames):
            return FRAMES
        if isinstance(operation, Shift):
            return self._shift(row, operation)
        if isinstance(operation, Arrange):
            return self._arrange(row, operation, name)
        if isinstance(operation, Apply):
            inputs = [self._row(one) if isinstance(one, Row) else one for one in operation.inputs]
            self.writer.need([one for one in operation.inputs if isinstance(one, str)])
            unused = [""] * (len(operation.node.output) - 1)
            self.writer.copy(operation.node, inputs, [name, *unused])
            if row.level == self._level:
                self.macs += self._macs[operation.node.output[0]] // row.frames
            return name
        raise NoStage(f"{row.name} depends on all frames")

    def _column(self, offset: int) -> str:
        """Slots of the rows at an offset, int64 [M]."""
        name = f"{ROWS}.{offset:+d}"
        if all(name not in node.output for node in self.writer.nodes):
            at = self.writer.constant(f"{name}.column", np.array(self.offsets.index(offset)))
            self.writer.node("Gather", [ROWS, at], name, axis=1)
        return name

    def _arrange(self, row: Row, operation: Arrange, name: str) -> str:
        source = self._row(operation.source)
        shape = (-1, *row.row_shape)
        if operation.positions is None:
            return self.writer.reshaped(source, shape, name)
        channels = _whole_channels(operation.positions, operation.source.row_shape)
        if channels is not None:
            chosen = self.writer.constant(f"{name}.channels", channels)
            taken = self.writer.node("Gather", [source, chosen], f"{name}.taken", axis=1)
            return self.writer.reshaped(taken, shape, name)
        flat = self.writer.reshaped(source, (-1, prod(operation.source.row_shape)), f"{name}.flat")
        places = self.writer.constant(f"{name}.places", operation.positions.astype(np.int64))
        chosen = self.writer.node("Gather", [flat, places], f"{name}.chosen", axis=1)
        return self.writer.reshaped(chosen, shape, name)

    def _shift(self, row: Row, shift: Shift) -> str:
        """One Gather of blocks of channels, each from the row that it comes from.

        A cache [S, C, ...] is seen as [S * B, C / B, ...], B blocks of channels that come from the
        same row; `rows` then names blocks. Blocks from outside are replaced after that.
        """
        writer, name, inner = self.writer, row.name, row.row_shape[1:]
        channels = len(shift.deltas)
        size = _block(shift.deltas)
        blocks = channels // size
        deltas = shift.deltas[::size]
        columns = np.array([self.offsets.index(delta) for delta in deltas], np.int64)
        cache = writer.cache(shift.source)
        seen = writer.reshaped(cache, (-1, size, *inner), f"{name}.blocks")
        at = writer.constant(f"{name}.columns", columns)
        slots = writer.node("Gather", [ROWS, at], f"{name}.slots", axis=1)
        zero = writer.constant(f"{name}.zero", np.array(0, np.int64))
        count = writer.constant(f"{name}.count", np.array(blocks, np.int64))
        number = writer.constant(f"{name}.number", np.arange(blocks, dtype=np.int64))
        kept = writer.node("Max", [slots, zero], f"{name}.kept")
        first = writer.node("Mul", [kept, count], f"{name}.first")
        places = writer.node("Add", [first, number], f"{name}.places")
        taken = writer.node("Gather", [seen, places], f"{name}.taken", axis=0)
        missing = writer.node("Less", [slots, zero], f"{name}.missing")
        ones = (1,) * len(inner)
        wide = writer.reshaped(missing, (-1, blocks, 1, *ones), f"{name}.wide")
        outside = writer.constant(
            f"{name}.outside", shift.outside.reshape((1, blocks, size, *ones))
        )
        filled = writer.node("Where", [wide, outside, taken], f"{name}.filled")
        return writer.reshaped(filled, (-1, channels, *inner), name)


def _whole_channels(positions: NDArray[Any], shape: Sequence[int]) -> NDArray[Any] | None:
    """Which channels are taken, where whole ones are; None otherwise."""
    inner = prod(shape[1:])
    if not shape or positions.size % inner:
        return None
    blocks = positions.reshape(-1, inner)
    whole = blocks[:, :1] + np.arange(inner)
    if (blocks[:, 0] % inner).any() or not np.array_equal(blocks, whole):
        return None
    return np.asarray(blocks[:, 0] // inner, dtype=np.int64)


def is_cheap(operation: Operation) -> bool:
    """Whether rows are better made again than kept: dequantized, or in another shape."""
    if isinstance(operation, Arrange):
        return operation.positions is None
    return isinstance(operation, Apply) and operation.node.op_type == "DequantizeLinear"


def _block(deltas: Sequence[int]) -> int:
    """The largest number of channels of which each whole block comes from one row."""
    size = len(deltas)
    for at in range(1, len(deltas)):
        if deltas[at] != deltas[at - 1]:
            size = gcd(size, at)
    return size
