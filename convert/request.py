"""What the user asks of a conversion."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from convert.layout import Layout
from models.card import NAME_LENGTH, printable
from models.errors import UsageError
from models.spec import Triple

MIN_OPSET, DEFAULT_OPSET, MAX_OPSET = 13, 17, 21

PARTS = ("auto", "model", "ema", "student", "teacher")
"""Networks that a training checkpoint may hold; `auto` takes the model's own, or the student."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertRequest:
    """One conversion.

    `None` means "read it from the checkpoint, from the `inference.yml` beside it, or take the
    family's default", in this order.

    Attributes:
        source: A `.pdparams`, an exported model file, or a folder that holds one.
        output: Folder of the bundle to make.
        family: Family name, or "auto".
        part: Which network of a training checkpoint: one of `PARTS`.
        frames: Frames per clip.
        labels: File with one class name per line.
        opset: ONNX opset of the graph; None for that of an ONNX source, else `DEFAULT_OPSET`.
        layout: Axes of the input of a model that is no known network, see
            `convert.layout.Layout`.
        size: Side of the square input, in pixels.
        short_side: Short side after the resize, in pixels.
        resize: Resize policy, see `models.spec.Resize`.
        resize_library: Whose bilinear filter.
        mean: Per-channel mean, RGB, of pixels scaled to 1, or to 255 if a value is above 1.
        std: Per-channel standard deviation, in the same units.
        views: Crops per frame with which whole files are classified.
        clip_length_s: Length of the clips that the model was trained on, in seconds.
        fp16: Add a graph in half precision.
        static_batch: Add a graph of this fixed batch size.
        stages: Add stage graphs, if the model has work that overlapping clips can share.
        name: Name of the bundle shown to people.
        force: Replace a bundle that is already there.

    Raises:
        UsageError: A value is outside its range.
    """

    source: Path
    output: Path
    family: str = "auto"
    part: str = "auto"
    frames: int | None = None
    labels: Path | None = None
    opset: int | None = None
    layout: str | None = None
    size: int | None = None
    short_side: int | None = None
    resize: Literal["fixed_4_3", "keep_aspect", "stretch"] | None = None
    resize_library: Literal["pillow", "opencv"] | None = None
    mean: Triple | None = None
    std: Triple | None = None
    views: int | None = None
    clip_length_s: float | None = None
    fp16: bool = False
    static_batch: int | None = None
    stages: bool = True
    name: str | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise UsageError(f"--part must be one of {', '.join(PARTS)}, got '{self.part}'.")
        if self.opset is not None and not MIN_OPSET <= self.opset <= MAX_OPSET:
            raise UsageError(
                f"--opset must be {MIN_OPSET} to {MAX_OPSET}, got {self.opset}:"
                " below 13 the graph would need other forms of Squeeze and ReduceMean, above 21"
                " Paddle2ONNX has no operators.",
                hint=f"--opset {DEFAULT_OPSET}",
            )
        if self.layout is not None:
            Layout(self.layout)
        if self.name is not None and printable(self.name) != self.name:
            raise UsageError(
                f"--name must be one line of 1 to {NAME_LENGTH} characters, got {self.name!r:.80}.",
                hint=f"--name '{printable(self.name)}'",
            )
        if self.views not in {None, 1, 10}:
            raise UsageError(f"--views must be 1 or 10, got {self.views}.")
        if self.static_batch is not None and not 1 <= self.static_batch <= 256:
            raise UsageError(f"--static-batch must be 1 to 256, got {self.static_batch}.")
        for flag, triple in (("--mean", self.mean), ("--std", self.std)):
            if triple is not None and not all(map(math.isfinite, triple)):
                raise UsageError(f"{flag} must be three finite numbers, got {triple}.")
        if self.std is not None and min(self.std) <= 0:
            raise UsageError(f"--std must be positive, got {self.std}.")
        if self.frames is not None and not 1 <= self.frames <= 256:
            raise UsageError(f"--frames must be 1 to 256, got {self.frames}.")
        for flag, value in (("--size", self.size), ("--short-side", self.short_side)):
            if value is not None and not 16 <= value <= 4096:
                raise UsageError(f"{flag} must be 16 to 4096 pixels, got {value}.")
        if self.clip_length_s is not None and not 0 < self.clip_length_s <= 3600:
            raise UsageError(f"--clip-length must be 0 to 3600 s, got {self.clip_length_s:g}.")

    def to_json_dict(self) -> dict[str, Any]:
        """Plain values, for handing the request to a process in another folder."""
        return {
            key: str(value.absolute()) if isinstance(value, Path) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_json_dict(cls, values: dict[str, Any]) -> ConvertRequest:
        """Inverse of `to_json_dict`."""
        paths = {
            key: Path(values[key])
            for key in ("source", "output", "labels")
            if values[key] is not None
        }
        triples = {
            key: tuple(values[key]) for key in ("mean", "std") if values.get(key) is not None
        }
        return cls(**{**values, **paths, **triples})
