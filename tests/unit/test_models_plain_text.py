from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.plain_text import plain, shortened


@given(st.text())
def test_one_line_that_steers_nothing(text: str) -> None:
    line = plain(text)
    assert len(line) == len(text)
    assert line.splitlines() in ([line], [])
    assert all(char >= " " and not "\x7f" <= char <= "\x9f" for char in line)


def test_writing_is_not_turned_round() -> None:
    assert plain("a\u202e4pm.exe\x1b[2J") == "a 4pm.exe [2J"


def test_what_is_not_utf_8_can_be_written() -> None:
    assert plain("a\udcff.mp4") == "a\ufffd.mp4"


def test_shortened() -> None:
    assert shortened("a" * 2000) == "a" * 2000
    assert shortened("b" + "a" * 5000 + "c", 10) == "baaaa ... aaaac"
