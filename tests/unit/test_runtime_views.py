from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from models.spec import ClipSpec, Resize
from runtime.records import Picture
from runtime.views import (
    SEVERAL,
    CropOffset,
    View,
    Views,
    centre,
    ten_crops,
    three_crops,
    views_of,
)

sides = st.integers(0, 2000)


def numbered(width: int, height: int) -> Picture:
    """Every pixel tells where it is: column, row, and the sum of their higher bits."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x & 255, y & 255, (x >> 8) + 16 * (y >> 8)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("width", "halved_to_even", "down"),
    [
        (341, 58, 58),
        (224, 0, 0),
        (225, 0, 0),
        (226, 1, 1),
        (227, 2, 1),
        (228, 2, 2),
        (455, 116, 115),
        (256, 16, 16),
    ],
)
def test_centre_of_uneven_margins(width: int, halved_to_even: int, down: int) -> None:
    assert centre((width - 224, 32), "round") == View(halved_to_even, 16)
    assert centre((width - 224, 32), "down") == View(down, 16)
    assert centre((32, width - 224), "round") == View(16, halved_to_even)


@given(sides, sides)
def test_both_offsets_are_within_half_a_pixel_of_the_centre(x: int, y: int) -> None:
    for offset in get_args(CropOffset):
        view = centre((x, y), offset)
        assert abs(2 * view.left - x) <= 1
        assert abs(2 * view.top - y) <= 1
        assert not view.mirrored


def test_offsets_are_those_of_the_clip_specification() -> None:
    assert get_args(ClipSpec.model_fields["crop_offset"].annotation) == get_args(CropOffset)


def test_ten_crops_of_the_worked_example() -> None:
    assert [(view.left, view.top) for view in ten_crops((117, 32))[::2]] == [
        (0, 0),
        (116, 0),
        (0, 32),
        (116, 32),
        (58, 16),
    ]


@given(sides, sides)
def test_ten_crops_are_corners_and_centre_each_followed_by_its_mirror_image(x: int, y: int) -> None:
    views = ten_crops((x, y))
    assert [view.mirrored for view in views] == [False, True] * 5
    assert [(v.left, v.top) for v in views[::2]] == [(v.left, v.top) for v in views[1::2]]
    left, right, lower_left, lower_right, middle = views[::2]
    assert (left.left, left.top, right.top, lower_left.left) == (0, 0, 0, 0)
    assert (lower_right.left, lower_right.top) == (right.left, lower_left.top)
    assert 0 <= x - right.left < 4
    assert 0 <= y - lower_left.top < 4
    assert (middle.left * 2, middle.top * 2) == (right.left, lower_left.top)


@given(sides, sides)
def test_three_crops_are_left_right_and_centre_at_half_height(x: int, y: int) -> None:
    left, right, middle = three_crops((x, y))
    corners = ten_crops((x, y))
    assert {left.top, right.top, middle.top} == {corners[8].top}
    assert (left.left, right.left, middle.left) == (0, corners[2].left, corners[8].left)
    assert not any(view.mirrored for view in (left, right, middle))


@given(st.integers(16, 600), st.integers(16, 600), st.sampled_from([1, 3, 10]))
def test_views_lie_in_the_picture(width: int, height: int, views: Views) -> None:
    side = min(width, height, 224)
    clip = ClipSpec(frames=1, crop=side, resize=Resize(short_side=256))
    picture = numbered(width, height)
    found = views_of(picture, clip, views)
    assert len(found) == views
    for view in found:
        square = view.cut(picture, side)
        assert square.shape == (side, side, 3)
        corner = square[0, -1 if view.mirrored else 0].tolist()
        assert corner == picture[view.top, view.left].tolist()


def test_a_mirrored_view_exchanges_left_and_right_only() -> None:
    picture = numbered(40, 30)
    plain, mirrored = View(3, 5).cut(picture, 20), View(3, 5, True).cut(picture, 20)
    np.testing.assert_array_equal(plain, picture[5:25, 3:23])
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    assert np.shares_memory(plain, picture)
    assert np.shares_memory(mirrored, picture)


@pytest.mark.parametrize("views", [1, *SEVERAL])
def test_crop_larger_than_the_picture(views: Views) -> None:
    with pytest.raises(UsageError, match="300x100 after resizing, too small for a 224x224"):
        views_of(numbered(300, 100), ClipSpec(frames=1), views)


def test_every_number_of_views_has_its_places() -> None:
    assert {1, *SEVERAL} == set(get_args(Views))
    picture = numbered(341, 256)
    assert all(
        len(views_of(picture, ClipSpec(frames=1), views)) == views for views in get_args(Views)
    )
