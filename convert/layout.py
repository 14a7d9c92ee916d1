"""Axis orders: the one order of our graphs, and those of everyone else's models.

Every graph of a bundle takes clips as `NTCHW`. Models from elsewhere take their axes in other
orders, merge some, or add axes of length 1. A `Layout` says how, and bridges the gap twice: in
numpy, to run a model as it is, and as operators in front of its graph, so that nothing after the
conversion has to know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.errors import UsageError
from models.spec import ClipSpec
from runtime.session import Tensor

OURS = "NTCHW"
_AXIS = re.compile(r"\(([NTCHW]+)\)|([NTCHW1])")
_EXAMPLES = "NTCHW, NCTHW, NTHWC, N1CTHW (an axis of length 1), N(TC)HW (two axes merged), or NCHW"


@dataclass(frozen=True, slots=True)
class Step:
    """One ONNX operator of a chain.

    Attributes:
        operator: Its type.
        constants: Inputs behind the first one, each a list of int64.
        attributes: Its attributes.
    """

    operator: str
    constants: tuple[tuple[int, ...], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """Order of the axes of a model's input.

    Attributes:
        text: One letter per axis: N clips, T frames, C channels, H rows, W columns, `1` an axis of
            length 1; axes in brackets are merged, the first varying slowest. A layout without T,
            such as NCHW, is a network of single pictures: the frames take the place of the
            clips, `(NT)CHW`, and their logits are averaged.
    """

    text: str

    def __post_init__(self) -> None:
        letters = self.text.replace("(", "").replace(")", "").replace("1", "")
        if (
            _AXIS.sub("", self.text)
            or sorted(letters) != sorted(OURS if "T" in letters else OURS.replace("T", ""))
            or "N" not in self.groups[0]
        ):
            raise UsageError(
                f"'{self.text}' is no layout of a clip: it needs each of N, C, H and W once, N in"
                " the first axis, and T once or not at all.",
                hint=f"For example --layout {_EXAMPLES}",
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """Letters of each axis; `1` for an axis of length 1."""
        text = self.text if "T" in self.text else self.text.replace("N", "(NT)", 1)
        return tuple(merged or single for merged, single in _AXIS.findall(text))

    def shape(self, clip: ClipSpec, batch: int) -> tuple[int, ...]:
        """Shape of the model's input for `batch` clips; -1 as batch for a free size."""
        sizes = dict(zip(OURS, clip.input_shape(batch), strict=True)) | {"1": 1}
        return tuple(
            -1
            if batch < 0 and "N" in group
            else int(np.prod([sizes[letter] for letter in group], dtype=np.int64))
            for group in self.groups
        )

    def arrange(self, clips: Tensor) -> Tensor:
        """Bring clips, float32 [N, T, C, H, W], into this layout; C-contiguous."""
        sizes = dict(zip(OURS, clips.shape, strict=True)) | {"1": 1}
        shape = [
            int(np.prod([sizes[letter] for letter in group], dtype=np.int64))
            for group in self.groups
        ]
        return np.ascontiguousarray(clips.transpose(self._permutation).reshape(shape))

    def steps(self, clip: ClipSpec) -> list[Step]:
        """The same as operators, for any batch size; none for our own layout."""
        steps = []
        if self._permutation != tuple(range(len(OURS))):
            steps.append(Step("Transpose", attributes={"perm": self._permutation}))
        if any(len(group) > 1 or group == "1" for group in self.groups):
            steps.append(Step("Reshape", constants=(self.shape(clip, -1),)))
        return steps

    @property
    def _permutation(self) -> tuple[int, ...]:
        letters = "".join(self.groups).replace("1", "")
        return tuple(OURS.index(letter) for letter in letters)


def read_sizes(layout: Layout, shape: Sequence[int]) -> dict[str, int]:
    """Sizes of T, C, H and W as far as an input shape tells them; free axes are negative.

    Args:
        layout: Of the input.
        shape: Of the input.

    Raises:
        UsageError: The shape has another number of axes, or other than 3 channels.
    """
    if len(shape) != len(layout.groups):
        raise UsageError(
            f"The model takes {len(shape)} axes, {_shown(shape)}; the layout {layout.text} has"
            f" {len(layout.groups)}.",
            hint=f"For example --layout {_EXAMPLES}",
        )
    sizes = {}
    for group, side in zip(layout.groups, shape, strict=True):
        if len(group) == 1:
            sizes[group] = side
        elif group in {"TC", "CT"}:
            sizes |= {"T": side // 3 if side > 0 else side, "C": side if side % 3 else 3}
    channels = sizes.get("C", 3)
    if channels != 3 and channels > 0:
        raise UsageError(
            f"The model takes {_shown(shape)}, which in the layout {layout.text} is"
            f" {channels} channels; RGB has 3.",
            hint="Is --layout right?",
        )
    return sizes


_GUESSES: dict[int, tuple[str, ...]] = {
    4: ("NCHW", "NHWC"),
    5: (OURS, "NCTHW", "NTHWC"),
    6: ("N1CTHW", "N1TCHW", "N1THWC"),
}


def guess_layout(shape: Sequence[int]) -> Layout:
    """The one usual layout that an input shape allows.

    The channel axis is the one of length 3; if there are several such axes or none, the user is
    asked. Of four axes with a multiple of 3 channels, e.g. 24, nothing is guessed either: they
    may be stacked frames, or something else altogether.

    Args:
        shape: Of the input; free axes are negative.

    Raises:
        UsageError: None or several fit.
    """
    fitting = [
        text
        for text in _GUESSES.get(len(shape), ())
        if shape[Layout(text).groups.index("C")] == 3 and ("1" not in text or shape[1] in {1, -1})
    ]
    if len(fitting) == 1:
        return Layout(fitting[0])
    what = f"may be {' or '.join(fitting)}" if fitting else "is none of the usual layouts of a clip"
    raise UsageError(
        f"The model takes {_shown(shape)}, which {what}.",
        hint=f"Say which axis is what: --layout {_EXAMPLES}",
    )


def _shown(shape: Sequence[int]) -> str:
    return "[" + ", ".join(str(side) if side >= 0 else "?" for side in shape) + "]"
