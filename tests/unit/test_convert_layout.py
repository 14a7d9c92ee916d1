"""Axis orders: parsing, shapes, and that arranging never mixes up a value."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.layout import OURS, Layout, guess_layout, read_sizes
from models.errors import UsageError
from models.spec import ClipSpec, Resize

CLIP = ClipSpec(frames=4, crop=16, resize=Resize(short_side=16))
ORDERS = ["N" + "".join(rest) for rest in itertools.permutations("TCHW")]


def numbered(batch: int) -> np.ndarray:
    """Every value tells where it is."""
    shape = CLIP.input_shape(batch)
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@given(st.sampled_from(ORDERS), st.integers(1, 3))
def test_every_order_of_axes(order: str, batch: int) -> None:
    clips = numbered(batch)
    layout = Layout(order)
    arranged = layout.arrange(clips)
    assert arranged.shape == layout.shape(CLIP, batch)
    assert arranged.flags.c_contiguous
    back = arranged.transpose([order.index(letter) for letter in OURS])
    assert np.array_equal(back, clips)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("NCTHW", (2, 3, 4, 16, 16)),
        ("N1CTHW", (2, 1, 3, 4, 16, 16)),
        ("N(TC)HW", (2, 12, 16, 16)),
        ("N(CT)HW", (2, 12, 16, 16)),
        ("(NT)CHW", (8, 3, 16, 16)),
        ("NCHW", (8, 3, 16, 16)),
        ("NHWC", (8, 16, 16, 3)),
    ],
)
def test_merged_and_added_axes(text: str, shape: tuple[int, ...]) -> None:
    layout = Layout(text)
    assert layout.shape(CLIP, 2) == shape
    assert layout.shape(CLIP, -1) == (-1, *shape[1:])
    assert layout.arrange(numbered(2)).shape == shape


def test_merged_axes_keep_their_order() -> None:
    clips = numbered(2)
    stacked = Layout("N(TC)HW").arrange(clips)
    assert np.array_equal(stacked[1, 3 * 2 + 1], clips[1, 2, 1])
    pictures = Layout("NHWC").arrange(clips)
    assert np.array_equal(pictures[4 + 3, :, :, 2], clips[1, 3, 2])


@pytest.mark.parametrize(
    "text", ["", "NTCH", "NTCHWW", "TNCHW", "ntchw", "N T C H W", "NTCHX", "N(TC HW", "CHW", "11"]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no layout of a clip"):
        Layout(text)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((-1, 8, 3, 224, 224), "NTCHW"),
        ((1, 3, 8, 224, 224), "NCTHW"),
        ((1, 8, 224, 224, 3), "NTHWC"),
        ((1, 1, 3, 32, 224, 224), "N1CTHW"),
        ((-1, 3, 224, 224), "NCHW"),
        ((-1, 224, 224, 3), "NHWC"),
    ],
)
def test_usual_layouts_are_seen(shape: tuple[int, ...], text: str) -> None:
    assert guess_layout(shape).text == text


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 3, 224, 224), "may be NTCHW or NCTHW"),
        ((1, 24, 224, 224), "none of the usual layouts"),
        ((1, -1, -1, -1, -1), "none of the usual layouts"),
        ((1, 10, 3, 32, 224, 224), "none of the usual layouts"),
        ((1, 400), "none of the usual layouts"),
        ((), "none of the usual layouts"),
    ],
)
def test_unclear_shapes_are_asked_about(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        guess_layout(shape)
    assert "--layout" in caught.value.hint


def test_sizes_are_read_off_a_shape() -> None:
    assert read_sizes(Layout("NCTHW"), (1, 3, 8, 112, -1)) == {
        "N": 1, "C": 3, "T": 8, "H": 112, "W": -1,
    }  # fmt: skip
    assert read_sizes(Layout("N(TC)HW"), (-1, 24, 64, 64))["T"] == 8
    assert "T" not in read_sizes(Layout("NHWC"), (-1, 64, 64, 3))


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("NCTHW", (1, 8, 3, 64, 64), "8 channels"),
        ("NCTHW", (1, 3, 64, 64), r"4 axes, \[1, 3, 64, 64\]; the layout NCTHW has 5"),
        ("N(TC)HW", (1, 25, 64, 64), "25 channels"),
    ],
)
def test_shapes_that_contradict_the_layout(text: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_sizes(Layout(text), shape)
