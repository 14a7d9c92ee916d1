"""Walk a graph from its pictures to its logits, and see what becomes of the single frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from models.stages import MAX_MIXING, Mixing
from runtime.graph_macs import Shape, node_macs
from runtime.graph_shapes import TensorFacts, inferred_tensors
from runtime.temporal.constants import Constants, reads
from runtime.temporal.movement import moved, moves
from runtime.temporal.row_rules import (
    MEANS,
    Operand,
    aligned_axis,
    is_pointwise,
    rows_stay_apart,
)
from runtime.temporal.rows import (
    WINDOW,
    Apply,
    Arrange,
    Frames,
    NoStage,
    Opaque,
    Operation,
    Row,
    RowGraph,
    Shift,
    View,
    numpy_type,
    operands,
)
from runtime.temporal.settle import settled

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

INPUT = "clips"
FRAMES_INPUT = "frames"


def traced(model: ModelProto) -> tuple[RowGraph, Constants, tuple[Mixing, ...]]:
    """Take a graph apart into rows.

    Args:
        model: Has the input `clips`, float32 [N, T, 3, H, W], with a free batch size.

    Returns:
        Its rows, its constants, and every operation that mixes frames.

    Raises:
        NoStage: The shapes of the graph are not known.
    """
    tracer = _Tracer(model)
    for node in model.graph.node:
        tracer.visit(node)
    return tracer.graph, tracer.constants, tuple(tracer.mixing[:MAX_MIXING])


class _Tracer:
    def __init__(self, model: ModelProto) -> None:
        self._facts = inferred_tensors(model)
        self.constants = Constants(model, self._facts)
        shapes = {name: facts.shape for name, facts in self._facts.items()}
        macs = {node.output[0]: node_macs(node, shapes) or 0 for node in model.graph.node}
        clips = self._facts.get(INPUT)
        if clips is None or len(clips.shape) != 5:
            raise NoStage("the shapes of the graph are not known")
        frames = Row(
            name=FRAMES_INPUT,
            level=0,
            shape=clips.shape[1:],
            axis=0,
            elem_type=clips.elem_type,
        )
        self.graph = RowGraph(frames=frames, operations={frames: Frames()}, macs=macs)
        self.graph.views[INPUT] = View(frames, clips.shape, 1)
        self.mixing: list[Mixing] = []
        self._macs_so_far = 0
        self._interned: dict[object, Row] = {}
        self._names = {FRAMES_INPUT, *self._facts}

    # -- one node ------------------------------------------------------------------------------

    def visit(self, node: NodeProto) -> None:
        """Find out how the outputs of a node follow from rows, if they do."""
        if any(name in self.constants.varying for name in node.output):
            inner = any(attribute.g.node or attribute.graphs for attribute in node.attribute)
            if inner or not self._follow(node):
                self._lost(node)
        self._macs_so_far += self.graph.macs[node.output[0]]

    def _follow(self, node: NodeProto) -> bool:
        inputs = [self.graph.views.get(name, name) for name in node.input]
        facts = self._facts.get(node.output[0])
        if facts is None or not any(isinstance(one, View) for one in inputs):
            return False
        if moves(node) and not self._unknown(node):
            views = moved(node, inputs, facts.shape, self.constants)
            if views is not None:
                self.graph.views.update(zip(node.output, views, strict=False))
                return True
        if self._commutes(node, inputs):
            return True
        return self._apply(node, inputs, facts)

    def _unknown(self, node: NodeProto) -> list[str]:
        """Inputs that depend on the pictures in a way that is not known."""
        known = self.graph.views
        return [name for name in node.input if name in self.constants.varying and name not in known]

    def _commutes(self, node: NodeProto, inputs: Sequence[View | str]) -> bool:
        """A node for which it does not matter where values stand is applied before they move."""
        view = inputs[0]
        if not isinstance(view, View) or self._unknown(node):
            return False
        if not is_pointwise(node, [self._operand(one) for one in inputs]):
            return False
        if any(isinstance(one, View) for one in inputs[1:]):
            return False
        moved_values = view.places is not None
        fill = view.fill
        if moved_values:
            constants = [None if not one else self.constants.value(str(one)) for one in inputs[1:]]
            dtype = numpy_type(view.source.elem_type)
            results = self.constants.run(node, [np.full((1,), fill, dtype), *constants])
            if results is None:
                return False
            fill = float(results[0].reshape(-1)[0])
        source = self._undone(node, view.source)
        if source is None:
            name = node.output[0] + (".unmoved" if moved_values else "")
            elem_type = self._facts[node.output[0]].elem_type
            source = self._made(
                Apply(node, (view.source, *(str(one) for one in inputs[1:]))),
                view.source.shape, view.source.axis, elem_type, name,
            )  # fmt: skip
        self.graph.views[node.output[0]] = replace(view, source=source, fill=fill)
        return True

    def _undone(self, node: NodeProto, source: Row) -> Row | None:
        """What was dequantized, if the node quantizes it again with the same parameters."""
        before = self.graph.operations[source]
        if node.op_type != "QuantizeLinear" or not isinstance(before, Apply):
            return None
        if before.node.op_type != "DequantizeLinear":
            return None
        mine = [self.constants.key(name) for name in node.input[1:]]
        its = [self.constants.key(str(name)) for name in before.inputs[1:]]
        original = before.inputs[0]
        same = len(mine) == 2 and mine == its and isinstance(original, Row)
        return original if same and isinstance(original, Row) else None

    def _apply(self, node: NodeProto, inputs: Sequence[View | str], facts: TensorFacts) -> bool:
        if any(name in self.constants.sized for name in node.input):
            return False
        settled_inputs = [self._settle(one) if isinstance(one, View) else one for one in inputs]
        known = [one for one in settled_inputs if one is not None]
        if len(known) != len(settled_inputs):
            return False
        forms = [self._operand(one) for one in known]
        if self._unknown(node):
            return self._opaque(node, known, facts)
        axis = rows_stay_apart(node, forms, self.constants.opset)
        if axis is None:
            return False
        rows = tuple(self._row(one) if isinstance(one, View) else one for one in known)
        made = self._made(Apply(node, rows), facts.shape, axis, facts.elem_type, node.output[0])
        self.graph.views[node.output[0]] = View(made, facts.shape, axis)
        return True

    def _opaque(self, node: NodeProto, inputs: Sequence[View | str], facts: TensorFacts) -> bool:
        """Frames that meet something that depends on all frames stay frames, of the clip."""
        unknown = set(self._unknown(node))
        forms = [
            Operand(self._facts[one].shape, None, lambda: None)
            if isinstance(one, str) and one in unknown and one in self._facts
            else self._operand(one)
            for one in inputs
        ]
        rows = [one for one in forms if one is not None and one.axis is not None]
        if not rows or not unknown <= self._facts.keys() or len(facts.shape) != len(rows[0].shape):
            return False
        axes = {one.axis for one in rows}
        rest = [one for one in forms if one is not None and one.axis is None]
        plain = all(len(one.shape) <= len(facts.shape) for one in rest)
        pointwise = rows_stay_apart(node, [rows[0]] * len(inputs), self.constants.opset)
        if len(axes) != 1 or not plain or pointwise is None or node.op_type == "Concat":
            return False
        axis = aligned_axis(rows, len(facts.shape))
        if axis is None or facts.shape != rows[0].shape:
            return False
        row = self._made(Opaque(), facts.shape, axis, facts.elem_type, node.output[0])
        self.graph.views[node.output[0]] = View(row, facts.shape, axis)
        return True

    def _lost(self, node: NodeProto) -> None:
        """The node mixes frames so that nothing of what it puts out belongs to single ones."""
        views = [self.graph.views[name] for name in reads(node) if name in self.graph.views]
        if views and not self._unknown(node):
            mean = node.op_type in MEANS and all(view.axis is not None for view in views)
            self._mix(node.name, "mean" if mean else "other")

    def _mix(self, name: str, kind: str, reach: int = 0) -> None:
        self.mixing.append(
            Mixing.model_validate(
                {"node": name, "kind": kind, "reach": reach, "macs_before": self._macs_so_far}
            )
        )

    # -- rows ----------------------------------------------------------------------------------

    def _operand(self, one: View | str) -> Operand | None:
        if isinstance(one, View):
            return Operand(one.shape, one.axis if one.axis is not None else -1, lambda: None)
        if not one:
            return None
        facts = self._facts.get(one)
        value = None if facts is not None else self.constants.value(one)
        shape = facts.shape if facts is not None else () if value is None else value.shape
        return Operand(shape, None, lambda: self.constants.value(one))

    def _row(self, view: View) -> Row:
        """The rows in the shape that the view shows them in."""
        source = view.source
        if view.axis is None or (view.shape, view.axis) == (source.shape, source.axis):
            return source
        return self._made(
            Arrange(source, None), view.shape, view.axis, source.elem_type, f"{source.name}.view"
        )

    def _settle(self, view: View) -> View | None:
        """A view whose values were moved as a plain view of rows; None if it is none."""
        if view.axis is not None:
            return view
        found = settled(view)
        if found is None:
            return None
        source, shape, axis = view.source, view.shape, found.axis
        flat = (source.frames, *_without(shape, axis))
        if found.positions is not None or found.deltas:
            key = None if found.positions is None else found.positions.tobytes()
            if (source.shape, source.axis) != (flat, 0) or key is not None:
                source = self._made(
                    Arrange(source, found.positions), flat, 0, source.elem_type,
                    f"{source.name}.arranged", key=key,
                )  # fmt: skip
        if found.deltas:
            outside = np.full(len(found.deltas), view.fill, numpy_type(source.elem_type))
            before = len(self.graph.operations)
            source = self._made(
                Shift(source, found.deltas, outside), flat, 0, source.elem_type,
                f"{source.name}.shifted", key=(found.deltas, view.fill),
            )  # fmt: skip
            if len(self.graph.operations) > before:
                self._mix(view.origin, "shift", max(map(abs, found.deltas)))
        return View(source, shape, axis)

    def _made(
        self, operation: Operation, shape: Shape, axis: int, elem_type: int, name: str,
        key: object = None,
    ) -> Row:  # fmt: skip
        """The rows that an operation makes; the same ones if it was met before."""
        identity = self._identity(operation, shape, axis, key)
        if identity in self._interned:
            return self._interned[identity]
        level = max((row.level for row in operands(operation)), default=0)
        if isinstance(operation, Opaque):
            level = WINDOW
        elif isinstance(operation, Shift) and level < WINDOW:
            level += 1
        row = Row(
            name=self._free(f"{name}.rows"),
            level=level,
            shape=shape,
            axis=axis,
            elem_type=elem_type,
        )
        self.graph.operations[row] = operation
        self._interned[identity] = row
        return row

    def _identity(self, operation: Operation, shape: Shape, axis: int, key: object) -> object:
        if isinstance(operation, Apply):
            node = operation.node
            given = tuple(sorted(one.SerializeToString() for one in node.attribute))
            read = tuple(
                one if isinstance(one, Row) or not one else self.constants.key(one)
                for one in operation.inputs
            )
            return (node.op_type, node.domain, given, read, shape, axis)
        if isinstance(operation, Arrange | Shift):
            return (type(operation).__name__, operation.source, shape, axis, key)
        return operation

    def _free(self, name: str) -> str:
        """A name that no other rows have, and no tensor of the graph."""
        chosen, number = name, 1
        while chosen in self._names:
            number += 1
            chosen = f"{name}.{number}"
        self._names.add(chosen)
        return chosen


def _without(shape: Shape, axis: int) -> Shape:
    """Shape of one row without an axis for its frame: of [1, T, C] and [T, C] it is [C]."""
    return shape[1:] if axis == 0 else tuple(
        side for at, side in enumerate(shape) if at not in {0, axis}
    )  # fmt: skip
