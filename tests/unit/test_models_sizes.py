"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from models.errors import UsageError
from models.sizes import bytes_from_text, size_in_words


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GB", 10_000_000_000),
        ("500 mb", 500_000_000),
        ("1.5TB", 1_500_000_000_000),
        ("2GiB", 2 * 1024**3),
        ("64k", 64_000),
        (" 3M ", 3_000_000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert bytes_from_text(text, option="--record-limit") == size


@pytest.mark.parametrize(
    "text", ["", "10", "GB", "-1GB", "0GB", "1e9", "ten GB", "\u0661GB", "1.GB"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="--record-limit"):
        bytes_from_text(text, option="--record-limit")


@given(some.integers(1000, 10**13))
def test_words_can_be_read_again(size: int) -> None:
    read = bytes_from_text(size_in_words(size), option="--x")
    assert read == pytest.approx(size, rel=0.06)
