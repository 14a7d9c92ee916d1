"""Label files, and names found but for case, blanks and punctuation."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.class_names import ClassIndex, plain_name, read_class_names
from models.errors import DatasetError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run\nwalk fast\n", ("run", "walk fast")),
        ("0 run\n1 walk fast\n", ("run", "walk fast")),
        ("1 walk\r\n0 run\r\n", ("run", "walk")),
        ("0 100 metres\n1 200 metres\n", ("100 metres", "200 metres")),
        ("3 point shot\nwalk\n\n\n", ("3 point shot", "walk")),
        ("\ufeff0 跑步\n1 走路", ("跑步", "走路")),
    ],
)
def test_label_files(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    path = tmp_path / "label.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_class_names(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 run\n2 walk\n", r"label\.txt:2: the index 2 is beyond .* must start at 0"),
        ("0 run\n2 walk\n", r"label\.txt:2: the index 2 .* left out"),
        ("1 run\n1 walk\n", r"label\.txt:2: the index 1 occurs for the second time"),
        ("run\n\nwalk\n", r"label\.txt:2: this line is blank"),
        ("run\nwalk\nrun\n", "'run' occurs more than once"),
        (" \n", "is empty"),
    ],
)
def test_label_files_with_mistakes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "label.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DatasetError, match=message):
        read_class_names(path)


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "label.txt"
    path.write_bytes("跑\n走\n".encode("utf-16"))
    assert read_class_names(path) == ("跑", "走")
    path.write_bytes("run\n跑步\n".encode("gb18030"))
    with pytest.raises(DatasetError, match=r"label\.txt:2: this is not UTF-8 text") as caught:
        read_class_names(path)
    assert "iconv -f gb18030" in caught.value.hint
    with pytest.raises(DatasetError, match="No such file"):
        read_class_names(tmp_path / "absent.txt")


@given(st.lists(st.text(min_size=1, max_size=12), unique_by=plain_name, min_size=1, max_size=12))
def test_every_name_is_found_as_it_is(names: list[str]) -> None:
    index = ClassIndex(names)
    assert [index.find(name) for name in names] == list(range(len(names)))


@pytest.mark.parametrize("spelling", ["Pan_Left", "PAN LEFT", "panleft", "pan-left", "pan  left"])
def test_spellings(spelling: str) -> None:
    assert ClassIndex(("still", "pan left", "pan right")).find(spelling) == 1


def test_names_that_differ_in_blanks_only_are_found_exactly() -> None:
    index = ClassIndex(("no one", "noone", "None!"))
    assert (index.find("no one"), index.find("noone"), index.find("No One")) == (0, 1, None)
    assert index.find("none") == 2
    assert index.find("!!") is None


def test_nearest() -> None:
    index = ClassIndex(("archery", "zumba"))
    assert index.nearest("archry") == "archery"
    assert index.nearest("swimming") is None
