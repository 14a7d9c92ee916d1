"""Cut a graph into stages, and say what that saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from models.stages import Mixing, Stage, StageTensor, Temporal
from runtime.temporal.constants import Constants
from runtime.temporal.dense import with_dense_products
from runtime.temporal.levels import Work, levels_worth_it, rows_per_step, step_macs
from runtime.temporal.order import in_running_order
from runtime.temporal.placement import place_shifts
from runtime.temporal.reasons import reason_for
from runtime.temporal.rows import WINDOW, Apply, NoStage, Operation, Row, RowGraph, Shift, operands
from runtime.temporal.stage_graph import GraphWriter, RowWriter
from runtime.temporal.trace import INPUT, traced
from runtime.temporal.window_graph import WindowWriter, stage_inputs

if TYPE_CHECKING:
    from onnx import ModelProto

_DTYPES: Mapping[int, Literal["float32", "uint8", "int8"]] = {1: "float32", 2: "uint8", 3: "int8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageGraph:
    """A stage that is not yet a file; fields as of `models.stages.Stage`."""

    kind: Literal["frame", "shifted", "window"]
    offsets: tuple[int, ...]
    inputs: tuple[StageTensor, ...]
    outputs: tuple[StageTensor, ...]
    macs: int
    model: ModelProto

    @property
    def name(self) -> str:
        """E.g. "frame", "shift"; a shifted stage needs its number behind it."""
        return "shift" if self.kind == "shifted" else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What became of a graph.

    Attributes:
        temporal: Where it mixes frames, and what a step costs.
        stages: Its stages; empty where none are worth it, as `temporal.reason` says.
    """

    temporal: Temporal
    stages: tuple[StageGraph, ...]


def cut_into_stages(model: ModelProto) -> Cut:
    """Find where a graph mixes frames, and cut it there.

    Works on fp32 graphs and on graphs with QuantizeLinear and DequantizeLinear. Nothing is run:
    whether the stages compute what the graph computes is for the caller to try.

    Args:
        model: With the input `clips`, float32 [N, T, 3, H, W]; not changed.
    """
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    model = in_running_order(model)
    try:
        graph, constants, mixing = traced(model)
    except NoStage as error:
        unknown = Temporal(mixing=(), macs_per_clip=0, macs_per_step=0, reason=str(error))
        return Cut(temporal=unknown, stages=())
    work = _work(graph)
    if not _free_batch(model):
        why = "the graph takes a fixed number of clips at a time, so that no stages can be cut"
        return _whole(graph, mixing, why)
    if graph.frames.frames == 1:
        return _whole(graph, mixing, "clips are single frames, of which none is ever shared")
    levels = levels_worth_it(work)
    problem = ""
    for count in range(levels, 0, -1):
        try:
            stages = _stages(model, graph, constants, count)
        except NoStage as error:
            problem = problem or str(error)
            continue
        return _cut(graph, mixing, work, stages)
    return _whole(graph, mixing, problem or reason_for(mixing, work, 0))


def _work(graph: RowGraph) -> Work:
    frames = graph.frames.frames
    top = max((row.level for row in graph.operations if row.level < WINDOW), default=0)
    macs = [0] * (top + 1)
    offsets: list[set[int]] = [{0} for _ in range(top)]
    for row, operation in graph.operations.items():
        if row.level == WINDOW:
            continue
        if isinstance(operation, Apply):
            macs[row.level] += graph.macs[operation.node.output[0]] // frames
        elif isinstance(operation, Shift):
            offsets[row.level - 1].update(operation.deltas)
    rest = sum(graph.macs.values()) - frames * sum(macs)
    rows = rows_per_step(frames, [sorted(one) for one in offsets])
    return Work(frames, rows, tuple(macs), rest)


def _free_batch(model: ModelProto) -> bool:
    axes = model.graph.input[0].type.tensor_type.shape.dim
    return model.graph.input[0].name == INPUT and int(axes[0].dim_value) < 1


def _stages(
    model: ModelProto, graph: RowGraph, constants: Constants, count: int
) -> tuple[StageGraph, ...]:
    """Stages for the first `count` levels, and one for the rest, made from the last to the first.

    Raises:
        NoStage: A stage would need more than the one before it has.
    """
    level = count - 1
    sources = WindowWriter(model, graph, constants, level).sources
    live = _live(graph.operations, sources)
    placed = replace(graph, operations=place_shifts(live, constants, sources))
    last = WindowWriter(model, placed, constants, level)
    last.write()
    frames = graph.frames.frames
    made = [_graph("window", last.writer, (), (), last.macs, stage_inputs("window", (), frames))]
    wanted: Sequence[Row] = last.writer.caches
    for current in range(level, -1, -1):
        rows = RowWriter(GraphWriter(model, constants), placed.operations, current, placed.macs)
        rows.write(wanted)
        kind: Literal["frame", "shifted"] = "shifted" if current else "frame"
        inputs = stage_inputs(kind, graph.frames.row_shape, len(rows.offsets))
        made.append(_graph(kind, rows.writer, rows.offsets, wanted, rows.macs, inputs))
        wanted = rows.writer.caches
    return tuple(reversed(made))


def _live(operations: Mapping[Row, Operation], wanted: Sequence[Row]) -> dict[Row, Operation]:
    """Only what some rows are made of."""
    needed = set(wanted)
    for row in reversed(list(operations)):
        if row in needed:
            needed.update(operands(operations[row]))
    return {row: one for row, one in operations.items() if row in needed}


def _graph(
    kind: Literal["frame", "shifted", "window"],
    writer: GraphWriter,
    offsets: tuple[int, ...],
    outputs: Sequence[Row],
    macs: int,
    inputs: Mapping[str, tuple[int, Sequence[int | str]]],
) -> StageGraph:
    try:
        entry = Stage(
            file="stage.onnx",
            sha256="0" * 64,
            size_bytes=0,
            kind=kind,
            offsets=offsets if kind == "shifted" else (),
            inputs=tuple(map(_tensor, writer.caches)),
            outputs=tuple(map(_tensor, outputs)),
            macs=macs,
        )
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise NoStage(f"a {kind} stage would not be as stages are: {why}") from error
    return StageGraph(
        kind=kind,
        offsets=entry.offsets,
        inputs=entry.inputs,
        outputs=entry.outputs,
        macs=macs,
        model=with_dense_products(writer.model(inputs, outputs)),
    )


def _tensor(row: Row) -> StageTensor:
    dtype = _DTYPES.get(row.elem_type)
    if dtype is None:
        raise NoStage(f"{row.name} has a type that is not kept between stages")
    return StageTensor(name=row.name, dtype=dtype, shape=row.row_shape)


def _cut(
    graph: RowGraph, mixing: Sequence[Mixing], work: Work, stages: tuple[StageGraph, ...]
) -> Cut:
    """The facts, from the stages as they are: a shift may have been moved."""
    *rows, window = stages
    offsets = [stage.offsets for stage in rows[1:]]
    macs = [stage.macs for stage in rows]
    counts = rows_per_step(work.frames, offsets)
    temporal = Temporal(
        mixing=tuple(mixing),
        macs_per_clip=sum(graph.macs.values()),
        macs_per_step=step_macs(Work(work.frames, counts, tuple(macs), window.macs), len(rows)),
        reason=reason_for(mixing, work, len(rows)),
    )
    return Cut(temporal=temporal, stages=stages)


def _whole(graph: RowGraph, mixing: Sequence[Mixing], reason: str) -> Cut:
    macs = sum(graph.macs.values())
    temporal = Temporal(mixing=tuple(mixing), macs_per_clip=macs, macs_per_step=macs, reason=reason)
    return Cut(temporal=temporal, stages=())
