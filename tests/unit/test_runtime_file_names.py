from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.file_names import is_picture_name, is_video_name, natural_key


def test_numbers_count_and_letters_have_no_case() -> None:
    names = ["b1.mp4", "A10.mp4", "a2.mp4", "a.mp4", "10.mp4", "9.mp4", "a2b10.mp4", "a2b9.mp4"]
    assert sorted(names, key=natural_key) == [
        "9.mp4",
        "10.mp4",
        "a.mp4",
        "a2.mp4",
        "a2b9.mp4",
        "a2b10.mp4",
        "A10.mp4",
        "b1.mp4",
    ]


@given(st.lists(st.text(alphabet="ab019.²ü/-", max_size=8), unique=True))
def test_any_names_have_one_order(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    backwards = names[::-1]
    backwards.sort(key=natural_key)
    assert backwards == ordered
    assert len({natural_key(name) for name in names}) == len(names)


@given(st.text(alphabet="ab", max_size=3), st.integers(0, 10**6), st.integers(0, 10**6))
def test_the_same_name_with_a_larger_number_comes_later(name: str, one: int, other: int) -> None:
    first, second = sorted((f"{name}{one}.png", f"{name}{other}.png"), key=natural_key)
    assert [first, second] == [f"{name}{number}.png" for number in sorted((one, other))]


@pytest.mark.parametrize(
    ("name", "video", "picture"),
    [
        ("a.mp4", True, False),
        ("/x/A.MKV", True, False),
        ("a.jpeg", False, True),
        ("._a.mp4", False, False),
        (".thumb.png", False, False),
        ("notes.txt", False, False),
        ("mp4", False, False),
        ("", False, False),
    ],
)
def test_kinds_are_told_by_the_ending(name: str, video: bool, picture: bool) -> None:
    assert (is_video_name(name), is_picture_name(name)) == (video, picture)
