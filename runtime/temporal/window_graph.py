"""Write the last stage graph: from cached rows to the logits of whole clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from runtime.temporal.constants import Constants, reads
from runtime.temporal.rows import Apply, Arrange, NoStage, Operation, Row, RowGraph, View
from runtime.temporal.stage_graph import LOGITS, ROWS, GraphWriter, is_cheap

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_FLAT = f"{ROWS}.flat"


class WindowWriter:
    """Writes what follows from the rows of one level.

    Attributes:
        writer: What it writes to.
        macs: Multiply-accumulates per clip.
    """

    def __init__(
        self, model: ModelProto, graph: RowGraph, constants: Constants, level: int
    ) -> None:
        self.writer = GraphWriter(model, constants)
        self.macs = 0
        self._nodes = list(model.graph.node)
        self._makers = {
            name: at for at, node in enumerate(self._nodes) for name in node.output if name
        }
        self._graph = graph
        self._constants = constants
        self._level = level
        self._rows: dict[Row, str] = {}

    def write(self) -> None:
        """Write all that the logits need down to rows of the level.

        Raises:
            NoStage: They need rows of another level, or the pictures.
        """
        wanted, fed = self._needed()
        for name in fed:
            self._feed(name, self._graph.views[name])
        for at in sorted(wanted):
            self._node(self._nodes[at])

    @property
    def sources(self) -> list[Row]:
        """Rows that are read."""
        _, fed = self._needed()
        return list(dict.fromkeys(self._graph.views[name].source for name in fed))

    def _is_fed(self, name: str) -> bool:
        view = self._graph.views.get(name)
        return view is not None and view.axis is not None and view.source.level <= self._level

    def _needed(self) -> tuple[set[int], list[str]]:
        """Nodes that are still to be computed (by their place), and tensors that are fed."""
        nodes: set[int] = set()
        fed: dict[str, None] = {}
        waiting, seen = [LOGITS], set()
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if self._is_fed(name):
                fed[name] = None
                continue
            at = self._makers.get(name)
            if at is None or not (name in self._constants.varying or name in self._constants.sized):
                continue
            nodes.add(at)
            if not self._about_fed(self._nodes[at]):
                waiting.extend(reads(self._nodes[at]))
        return nodes, list(fed)

    def _about_fed(self, node: NodeProto) -> bool:
        return node.op_type == "Shape" and self._is_fed(node.input[0])

    def _node(self, node: NodeProto) -> None:
        if self._about_fed(node):
            self._shape(node)
            return
        varying, sized = self._constants.varying, self._constants.sized
        names = [name for name in reads(node) if name not in varying and name not in sized]
        self.writer.need(names)
        self.writer.nodes.append(node)
        self.macs += self._graph.macs[node.output[0]]

    def _shape(self, node: NodeProto) -> None:
        """The shape of a tensor that is not there, from that of `rows`."""
        view, name, writer = self._graph.views[node.input[0]], node.output[0], self.writer
        whole = writer.node("Shape", [ROWS], f"{name}.{ROWS}")
        first = writer.constant(f"{name}.first", np.array([0], np.int64))
        clips = writer.node("Gather", [whole, first], f"{name}.clips", axis=0)
        each = writer.constant(
            f"{name}.each", np.array([view.shape[0]], np.int64)
        )  # T, or 1 where the frames have an axis of their own
        count = writer.node("Mul", [clips, each], f"{name}.count")
        rest = writer.constant(f"{name}.rest", np.array(view.shape[1:], np.int64))
        given = {one.name: one.i for one in node.attribute}
        start, end = given.get("start", 0), given.get("end", len(view.shape))
        full = writer.node("Concat", [count, rest], f"{name}.full", axis=0)
        ends = [
            writer.constant(f"{name}.{what}", np.array([value], np.int64))
            for what, value in (("start", start), ("end", end))
        ]
        writer.node("Slice", [full, *ends], name)

    def _feed(self, name: str, view: View) -> None:
        """A tensor of the graph, from cached rows."""
        source = self._row(view.source)
        if view.axis == 0:
            self.writer.reshaped(source, (-1, *view.shape[1:]), name)
            return
        axis = view.axis or 0
        rest = [side for at, side in enumerate(view.shape) if at not in {0, axis}]
        shape = (-1, view.source.frames, *rest)
        if axis == 1:
            self.writer.reshaped(source, shape, name)
            return
        inner = self.writer.reshaped(source, shape, f"{name}.frames_second")
        order = [0, *range(2, axis + 1), 1, *range(axis + 1, len(view.shape))]
        self.writer.node("Transpose", [inner], name, perm=order)

    def _row(self, row: Row) -> str:
        """Rows of all clips, [N * T, ...]."""
        if row not in self._rows:
            self._rows[row] = self._written(row, self._graph.operations[row])
        return self._rows[row]

    def _written(self, row: Row, operation: Operation) -> str:
        writer = self.writer
        name = f"{row.name}.fed"
        if is_cheap(operation) and isinstance(operation, Arrange):
            return writer.reshaped(self._row(operation.source), (-1, *row.row_shape), name)
        if is_cheap(operation) and isinstance(operation, Apply):
            inputs = [self._row(one) if isinstance(one, Row) else one for one in operation.inputs]
            writer.need([one for one in operation.inputs if isinstance(one, str)])
            writer.copy(operation.node, inputs, [name])
            return name
        if row.level != self._level:
            raise NoStage(f"{row.name} would have to be handed on over several stages")
        if all(_FLAT not in node.output for node in writer.nodes):
            writer.reshaped(ROWS, (-1,), _FLAT)
        return writer.node("Gather", [writer.cache(row), _FLAT], name, axis=0)


def stage_inputs(
    kind: str, shape: Sequence[int], columns: int
) -> Mapping[str, tuple[int, Sequence[int | str]]]:
    """Type and shape of the input of a stage that is no cache.

    Args:
        kind: Of the stage.
        shape: Of a picture.
        columns: Of `rows`.
    """
    if kind == "frame":
        return {"frames": (1, ["M", *shape])}
    return {ROWS: (7, ["N" if kind == "window" else "M", columns])}
