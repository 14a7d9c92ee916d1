"""Lines of lists: separators guessed, paths with anything in them, mistakes with their lines."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.list_lines import SEPARATORS, looks_like_frame_folders, parse_lines
from calibration.text_file import lines_of

CHARACTERS = {"tab": "\t", "comma": ",", "semicolon": ";", "space": " "}

stems = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp")) | st.sampled_from(" ,;"),
    min_size=1,
    max_size=20,
).filter(lambda text: text.strip() == text and text[0] not in '#"')
paths = st.builds(lambda stem, suffix: f"{stem}{suffix}", stems, st.sampled_from([".mp4", ".AVI"]))
clips = st.lists(st.tuples(paths, st.integers(0, 10_000)), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    clips=clips,
    separator=st.sampled_from(SEPARATORS),
    end=st.sampled_from(["\n", "\r\n"]),
    last=st.booleans(),
    padding=st.sampled_from(["", " ", "  "]),
)
def test_what_is_written_is_read(
    clips: list[tuple[str, int]], separator: str, end: str, last: bool, padding: str
) -> None:
    lines = [f"{path}{CHARACTERS[separator]}{padding}{label}" for path, label in clips]
    parsed = parse_lines(end.join(lines) + (end if last else ""))
    assert [(line.path, line.label) for line in parsed.lines] == [
        (path, str(label)) for path, label in clips
    ]
    assert [line.number for line in parsed.lines] == list(range(1, len(clips) + 1))
    assert (parsed.separator, parsed.problems) == (separator, ())


@settings(max_examples=60, deadline=None)
@given(clips=clips, comments=st.lists(st.sampled_from(["", "   ", "# a comment", "#x.mp4 3"])))
def test_blank_lines_and_comments_are_counted_not_read(
    clips: list[tuple[str, int]], comments: list[str]
) -> None:
    lines = [*comments, *(f"{path} {label}" for path, label in clips), *comments]
    parsed = parse_lines("\n".join(lines))
    assert [line.path for line in parsed.lines] == [path for path, _ in clips]
    assert parsed.lines[0].number == len(comments) + 1
    assert parsed.skipped == len(lines_of("\n".join(lines))) - len(clips)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_accounted_for(text: str) -> None:
    parsed = parse_lines(text)
    assert len(parsed.lines) + len(parsed.problems) + parsed.skipped == len(lines_of(text))
    for line in parsed.lines:
        assert line.path
        assert line.label is None or line.label == line.label.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.mp4\nb c.mp4\n", [("a.mp4", None), ("b c.mp4", None)]),
        ("my clip 2.mp4 7", [("my clip 2.mp4", "7")]),
        ("a,b 5,3\nc,4", [("a,b 5", "3"), ("c", "4")]),
        ('"a, ""b"".mp4",3', [('a, "b".mp4', "3")]),
        ("path,label\nx.mp4,1", [("x.mp4", "1")]),
        ("video_path,class\nx.mp4,pan left", [("x.mp4", "pan left")]),
        ("x.mp4\tpan left\ny.mp4\tstill", [("x.mp4", "pan left"), ("y.mp4", "still")]),
        ("x y.mp4 pan left\nz.mkv still", [("x y.mp4", "pan left"), ("z.mkv", "still")]),
        ("a.mp4 -1\n", [("a.mp4", "-1")]),
        ("take 3/a 1\n", [("take 3/a", "1")]),
    ],
)
def test_forms(text: str, expected: list[tuple[str, str | None]]) -> None:
    parsed = parse_lines(text)
    assert [(line.path, line.label) for line in parsed.lines] == expected
    assert parsed.problems == ()


def test_lines_that_are_no_clip() -> None:
    parsed = parse_lines("a.mp4 1\nb.mp4\n\nc.mp4 two\nd.mp4 4\n")
    assert [line.number for line in parsed.lines] == [1, 5]
    assert [(one.number, one.message) for one in parsed.problems] == [
        (2, "'b.mp4' has no label."),
        (4, "'c.mp4 two': the label 'two' is not a whole number, as those of other lines are."),
    ]


def test_prose_is_no_list() -> None:
    parsed = parse_lines("This is a text.\nIt has lines.\n")
    assert parsed.lines == ()
    assert [one.number for one in parsed.problems] == [1, 2]


@pytest.mark.parametrize("separator", list(CHARACTERS.values()))
def test_frame_folders(separator: str) -> None:
    rows = [("frames/abc", 150, 1), ("frames/d e", 20, 0)]
    text = "\n".join(separator.join(map(str, row)) for row in rows)
    assert looks_like_frame_folders(parse_lines(text).lines)
    assert not looks_like_frame_folders(parse_lines("a 1.mp4 3\nb 2.mp4 4").lines)
    assert not looks_like_frame_folders(())
