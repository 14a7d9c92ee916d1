"""The two ends of a graph: our input and our output around anybody's model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.layout import Layout, Step
from models.errors import CheckpointError, ConversionError
from models.messages import telling_line
from models.spec import ClipSpec
from runtime.batches import in_fixed_batches
from runtime.session import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

INPUT_NAME, OUTPUT_NAME, BATCH_AXIS = "clips", "logits", "N"
RAW_INPUT, RAW_OUTPUT = "model_input", "model_output"
AXES_AS_INPUT_SINCE = 18
"""Opset from which ReduceMean takes its axes as an input, not as an attribute."""

RawRun = Callable[[Tensor], Tensor]
"""A model as given: from an input in its own layout to its own output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How to feed a model, and how to read its answer.

    Attributes:
        layout: Axes of its input.
        clip: What it takes.
        classes: Scores per clip.
        rows: Rows of scores per clip: T when the model sees single pictures, whose scores are
            averaged; else 1.
        plain: The output is [N, classes] already.
        batch: Batch size that the graph is made for; None for any.
    """

    layout: Layout
    clip: ClipSpec
    classes: int
    rows: int = 1
    plain: bool = True
    batch: int | None = None

    def reference(self, run: RawRun) -> Callable[[Tensor], Tensor]:
        """The model as a function from clips float32 [N, T, 3, H, W] to float32 [N, classes].

        It raises `CheckpointError` where the model fails.
        """

        def reference(clips: Tensor) -> Tensor:
            try:
                raw = run(self.layout.arrange(clips))
                scores = raw.reshape(len(clips), self.rows, self.classes)
            except MemoryError:
                raise
            except Exception as error:
                raise CheckpointError(
                    f"The model cannot be run on {len(clips)} clip(s): {telling_line(error)}.",
                    hint="Are --layout, --frames and --size right?",
                ) from error
            return np.asarray(scores.mean(axis=1), dtype=np.float32)

        return reference

    def attach(self, graph: ModelProto, *, opset: int) -> None:
        """Put our input in front of a graph and our output behind it, in place.

        Nothing else in the graph may be called `clips` or `logits` but its ends.

        Args:
            graph: One input, one output.
            opset: Its opset.

        Raises:
            ConversionError: The graph has not exactly one input and one output.
        """
        from onnx import helper

        body = graph.graph
        initialised = {tensor.name for tensor in body.initializer}
        inputs = [value for value in body.input if value.name not in initialised]
        if len(inputs) != 1 or len(body.output) != 1:
            raise ConversionError(
                f"The exported graph has {len(inputs)} inputs and {len(body.output)} outputs;"
                " a clip classifier has one of each."
            )
        front, back = self.layout.steps(self.clip), self._back(opset)
        renamed = {
            inputs[0].name: RAW_INPUT if front else INPUT_NAME,
            body.output[0].name: RAW_OUTPUT if back else OUTPUT_NAME,
        }
        for node in body.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    names[index] = renamed.get(name, name)
        nodes, constants = _chain(front, INPUT_NAME, RAW_INPUT)
        nodes.extend(body.node)
        tail, more_constants = _chain(back, RAW_OUTPUT, OUTPUT_NAME)
        nodes.extend(tail)
        del body.node[:]
        body.node.extend(nodes)
        body.initializer.extend([*constants, *more_constants])
        batch: int | str = BATCH_AXIS if self.batch is None else self.batch
        shapes = ((INPUT_NAME, self.clip.input_shape()[1:]), (OUTPUT_NAME, (self.classes,)))
        for values, (name, shape) in zip((body.input, body.output), shapes, strict=True):
            del values[:]
            values.append(helper.make_tensor_value_info(name, 1, [batch, *shape]))
        del body.value_info[:]

    def _back(self, opset: int) -> list[Step]:
        if self.plain:
            return []
        if self.rows == 1:
            return [Step("Reshape", constants=((-1, self.classes),))]
        by_picture = Step("Reshape", constants=((-1, self.rows, self.classes),))
        if opset >= AXES_AS_INPUT_SINCE:
            return [by_picture, Step("ReduceMean", ((1,),), {"keepdims": 0})]
        return [by_picture, Step("ReduceMean", attributes={"axes": [1], "keepdims": 0})]


def _chain(
    steps: Sequence[Step], source: str, target: str
) -> tuple[list[NodeProto], list[TensorProto]]:
    """Nodes, one behind the other, from `source` to `target`, and the constants they need."""
    from onnx import helper, numpy_helper

    nodes, constants = [], []
    for index, step in enumerate(steps):
        result = target if index == len(steps) - 1 else f"{target}.{index}"
        extra = [f"{result}.constant{number}" for number in range(len(step.constants))]
        constants += [
            numpy_helper.from_array(np.array(values, np.int64), name)
            for name, values in zip(extra, step.constants, strict=True)
        ]
        nodes.append(helper.make_node(step.operator, [source, *extra], [result], **step.attributes))
        source = result
    return nodes, constants


def in_fixed_rows(run: RawRun, rows: int) -> RawRun:
    """A model whose first axis has a fixed length, for any length."""
    return lambda raw: in_fixed_batches(raw, rows, run)


def find_ends(run: RawRun, layout: Layout, clip: ClipSpec, *, origin: str) -> Ends:
    """Run a model once on nothing and learn the form of its answer.

    Args:
        run: The model, for any batch size.
        layout: Of its input.
        clip: What it takes.
        origin: Name of the model in errors.

    Raises:
        CheckpointError: It does not run on such a clip, or gives no scores per clip.
    """
    given = layout.arrange(np.zeros(clip.input_shape(), np.float32))
    try:
        raw = run(given)
    except Exception as error:
        raise CheckpointError(
            f"{origin} does not run on a clip of shape {list(given.shape)} ({layout.text}):"
            f" {telling_line(error)}.",
            hint="Are --layout, --frames and --size right?",
        ) from error
    form = [side for side in raw.shape[1:] if side != 1]
    rows = raw.shape[0] if raw.ndim else 0
    if len(form) == 1 and rows in ({1, clip.frames} if "T" not in layout.text else {1}):
        return Ends(
            layout=layout,
            clip=clip,
            classes=form[0],
            rows=rows,
            plain=raw.ndim == 2 and rows == 1,
        )
    raise CheckpointError(
        f"{origin} gives {list(raw.shape)} for one clip; expected [1, classes].",
        hint="Is it a classifier, and is --layout right?",
    )
