"""Stage graphs: a model cut by what its tensors depend on, so that overlapping clips share work.

A tensor of *level* 0 depends on a single frame. Every temporal shift adds one level: a row of
level j depends on the frames at t-j to t+j, of which those beyond the ends of the clip are
"outside". What mixes all frames of a clip, such as their mean, and all that follows is of the
*window* level. A stage graph computes one level from the one before, so that a row is computed
once for all clips that contain the same frames around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from models.bundle_file import FROZEN, BundleFile, Line

Count = Annotated[int, Field(ge=0, lt=1 << 62)]
MAX_STAGES = MAX_TENSORS = MAX_OFFSETS = 64
MAX_MIXING = 1024
_BYTES = {"float32": 4, "uint8": 1, "int8": 1}
MAX_ROW_BYTES = 256 << 20
"""Most bytes that the tensors of one row of a stage may take: far more than any network has."""


class StageTensor(BaseModel):
    """A tensor that one stage hands to the next.

    Attributes:
        name: Its name in both stage graphs.
        dtype: Of its values.
        shape: Of one row, without the axis of the rows: (256, 14, 14) is stored as [S, 256, 14, 14]
            for S slots.
    """

    model_config = FROZEN

    name: Annotated[Line, Field(min_length=1, max_length=500)]
    dtype: Literal["float32", "uint8", "int8"]
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=8)]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape) * _BYTES[self.dtype]


class Stage(BundleFile):
    """One stage graph.

    Its input `frames`, float32 [M, 3, H, W], is what a "frame" stage reads. The others read the
    outputs of the stage before, each as a whole cache [S, ...] with S slots, and `rows`, int64:
    of a "shifted" stage [M, len(offsets)], of the "window" stage [N, T]. Each value is a slot, or
    -1 ("shifted" only) for a frame outside of the clip.

    Attributes:
        kind: What a row depends on.
        offsets: Of a shifted stage: which neighbours the columns of `rows` name, in the steps of
            the stage before; -1 is the frame before.
        inputs: Caches that are read, named as the outputs of the stage before.
        outputs: What is put out, each [M, ...]; of the "window" stage nothing is listed, it puts
            out `logits`, float32 [N, classes].
        macs: Multiply-accumulates per row, or per clip of the "window" stage.
    """

    kind: Literal["frame", "shifted", "window"]
    offsets: Annotated[
        tuple[Annotated[int, Field(ge=-255, le=255)], ...], Field(max_length=MAX_OFFSETS)
    ] = ()
    inputs: Annotated[tuple[StageTensor, ...], Field(max_length=MAX_TENSORS)] = ()
    outputs: Annotated[tuple[StageTensor, ...], Field(max_length=MAX_TENSORS)] = ()
    macs: Count

    @property
    def row_bytes(self) -> int:
        """Bytes that one row of all outputs takes in the caches."""
        return sum(tensor.row_bytes for tensor in self.outputs)

    @property
    def title(self) -> str:
        """E.g. "frame", "shifted (-1, 0, +1)"."""
        if self.kind != "shifted":
            return self.kind
        return f"shifted ({', '.join(f'{one:+d}' if one else '0' for one in self.offsets)})"

    @model_validator(mode="after")
    def _check(self) -> Stage:
        reads, puts_out = self.kind != "frame", self.kind != "window"
        if bool(self.inputs) != reads or bool(self.outputs) != puts_out:
            raise ValueError(
                f"a {self.kind} stage with {len(self.inputs)} inputs, {len(self.outputs)} outputs"
            )
        names = [tensor.name for tensor in (*self.inputs, *self.outputs)]
        if len(set(names)) != len(names) or {"frames", "rows", "logits"}.intersection(names):
            raise ValueError(f"the tensors of a stage must have names of their own, got {names}")
        if bool(self.offsets) != (self.kind == "shifted") or (
            list(self.offsets) != sorted(set(self.offsets))
        ):
            raise ValueError(f"a {self.kind} stage cannot have the offsets {self.offsets}")
        if self.row_bytes > MAX_ROW_BYTES:
            raise ValueError(f"rows of {self.row_bytes} bytes, at most {MAX_ROW_BYTES} are kept")
        return self


class Mixing(BaseModel):
    """An operation that mixes the frames of a clip.

    Attributes:
        node: Name of the node in the fp32 graph; of several that shift together, the last.
        kind: `shift` moves channels to neighbouring frames, `mean` averages all frames, `other` is
            anything else, after which nothing belongs to single frames.
        reach: Frames to each side that a shift looks at; 0 for the others.
        macs_before: Multiply-accumulates of a clip that are done before it.
    """

    model_config = FROZEN

    node: Line
    kind: Literal["shift", "mean", "other"]
    reach: Count = 0
    macs_before: Count


class Temporal(BaseModel):
    """Where a model mixes frames, and what overlapping clips may share because of that.

    Attributes:
        mixing: Every operation that mixes frames, in the order of the graph (the first
            `MAX_MIXING`).
        macs_per_clip: Multiply-accumulates of a clip computed whole.
        macs_per_step: Of a clip that is one frame further than the one before, with the stages
            that there are.
        reason: What is kept and what is not, and why, in one sentence.
    """

    model_config = FROZEN

    mixing: Annotated[tuple[Mixing, ...], Field(max_length=MAX_MIXING)]
    macs_per_clip: Count
    macs_per_step: Count
    reason: Line

    @property
    def reused_share(self) -> float:
        """Share of the multiply-accumulates that a step is spared, 0 to 1."""
        return 1 - self.macs_per_step / self.macs_per_clip if self.macs_per_clip else 0.0


def check_stages(stages: Sequence[Stage]) -> None:
    """Refuse stages that do not make a chain.

    Raises:
        ValueError: They are not one "frame" stage, any number of "shifted" ones and one "window"
            stage, each reading what the one before puts out.
    """
    if not stages:
        return
    kinds = [stage.kind for stage in stages]
    if kinds != ["frame", *["shifted"] * (len(kinds) - 2), "window"]:
        raise ValueError(f"stages must be frame, shifted ..., window, got {', '.join(kinds)}")
    files = [stage.file for stage in stages]
    if len(set(files)) != len(files):
        raise ValueError(f"stages must have files of their own, got {', '.join(files)}")
    for before, after in pairwise(stages):
        if before.outputs != after.inputs:
            raise ValueError(f"{after.file} does not read what {before.file} puts out")
