"""Further graphs of a model: half precision, fixed batch size; each checked against the first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from convert.ends import BATCH_AXIS
from convert.graph import fold_constants, name_by_position, save
from convert.parity import Comparison, onnx_logits, parity_scenes
from models.card import BundleFile, Variant, VariantCheck
from models.errors import ConversionError, ParityError
from models.spec import ClipSpec
from runtime.decode import probabilities

if TYPE_CHECKING:
    from onnx import ModelProto

TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest difference of a logit over the range of the fp32 logits. float16 has 11 significant
bits; an overflow, which is what goes wrong with it, is off by orders of magnitude more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A variant to make.

    Attributes:
        precision: Of weights and arithmetic.
        batch: Fixed batch size, or None for a free one.
    """

    precision: Literal["fp32", "fp16"]
    batch: int | None

    @property
    def file(self) -> str:
        """E.g. `model.fp16.onnx`, `model.batch1.onnx`, `model.fp16.batch1.onnx`."""
        parts = ["model"]
        if self.precision != "fp32":
            parts.append(self.precision)
        if self.batch is not None:
            parts.append(f"batch{self.batch}")
        return ".".join([*parts, "onnx"])


def wanted_variants(*, fp16: bool, static_batch: int | None) -> tuple[Wanted, ...]:
    """Variants beside the fp32 graph, in the order in which the card lists them."""
    precisions: tuple[Literal["fp32", "fp16"], ...] = ("fp32", "fp16") if fp16 else ("fp32",)
    batches = (None,) if static_batch is None else (None, static_batch)
    every = [Wanted(precision=one, batch=batch) for one in precisions for batch in batches]
    return tuple(every[1:])


def make_variant(graph: ModelProto, wanted: Wanted, *, folder: Path, scratch: Path) -> Path:
    """Write a variant of the fp32 graph.

    Args:
        graph: The finished fp32 graph with its metadata; not changed.
        wanted: What to make of it.
        folder: Where the file goes.
        scratch: For temporary files.

    Raises:
        ConversionError: The graph cannot be made so.
    """
    made = type(graph)()
    made.CopyFrom(graph)
    if wanted.batch is not None:
        made = _at_batch(made, wanted.batch, scratch)
    if wanted.precision == "fp16":
        made = _in_half(made)
    name_by_position(made)
    del made.metadata_props[:]
    made.metadata_props.extend(graph.metadata_props)
    made.producer_name, made.producer_version = graph.producer_name, graph.producer_version
    made.doc_string = ""
    save(made, folder / wanted.file)
    return folder / wanted.file


def check_variant(path: Path, wanted: Wanted, clip: ClipSpec, compared: Comparison) -> Variant:
    """Compare a variant with the fp32 graph on the clips of the parity check.

    Args:
        path: The variant.
        wanted: What it is.
        clip: What the network takes.
        compared: What the fp32 graph said.

    Returns:
        Its entry in the card.

    Raises:
        ParityError: A logit differs by more than `TOLERANCES` allow.
    """
    run = onnx_logits(path, batch=wanted.batch)
    mine = np.concatenate([run(clips) for _, clips in parity_scenes(clip)])
    reference = np.concatenate([case.onnx for case in compared.cases if case.batch == 1])
    worst = float(np.abs(mine - reference).max() / np.ptp(reference))
    if not worst <= TOLERANCES[wanted.precision]:  # also when it is not a number
        flag = "--fp16" if wanted.precision == "fp16" else "--static-batch"
        raise ParityError(
            f"{wanted.file} differs from the fp32 graph by {worst:.2g} of the range of the logits;"
            f" at most {TOLERANCES[wanted.precision]:g} is allowed. No bundle was written.",
            hint=f"Leave out {flag}.",
        )
    check = VariantCheck(
        clips=len(mine),
        max_rel_diff=worst,
        max_probability_diff=float(
            np.abs(
                probabilities(mine, compared.output) - probabilities(reference, compared.output)
            ).max()
        ),
        top1_agreement=float((mine.argmax(axis=1) == reference.argmax(axis=1)).mean()),
    )
    return Variant(
        precision=wanted.precision,
        batch=wanted.batch,
        check=check,
        **BundleFile.of(path).model_dump(),
    )


def _at_batch(graph: ModelProto, batch: int, scratch: Path) -> ModelProto:
    """Fix the batch size; every shape that depends on it becomes a constant."""
    for value in (*graph.graph.input, *graph.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        if axis.dim_param != BATCH_AXIS:
            raise ConversionError(
                f"The batch size of this model is fixed at {axis.dim_value}, it cannot be {batch}.",
                hint="Leave out --static-batch, or export the model with a free batch size.",
            )
        axis.dim_value = batch
    return fold_constants(graph, scratch)


def _in_half(graph: ModelProto) -> ModelProto:
    """Weights and arithmetic in float16; input and output stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    try:
        half: ModelProto = convert_float_to_float16(graph, keep_io_types=True)
        OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)
    except Exception as error:
        raise ConversionError(f"The graph cannot be made float16: {error}.") from error
    return half
