"""YAML and TOML as trees of text with lines: what is read, and how what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_cli.streams_text import MAX_BYTES, SettingsText, Tree, read_settings
from models.errors import UsageError


def written(folder: Path, content: str | bytes, name: str = "streams.yml") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_words_stay_as_they_are_written(tmp_path: Path) -> None:
    """`on`, `no`, 007 and 1:30 are something else in YAML 1.1."""
    content = "on: [no, 007, 1e3, 1:30, 2001-01-01, 'null', ~, null, 0x10, !!int 5]\n"
    assert read_settings(written(tmp_path, content)).tree == {
        "on": ["no", "007", "1e3", "1:30", "2001-01-01", "null", None, None, "0x10", "5"]
    }


def test_lines_and_names(tmp_path: Path) -> None:
    content = (
        "# streams\nstreams:\n  - source: demo\n    on:\n      fall: 0.3\n"
        "  - {source: 0,\n     top: 2}\n"
    )
    text = read_settings(written(tmp_path, content, "s.yaml"))
    path = tmp_path / "s.yaml"
    assert text.where(("streams", 0, "on", "fall")) == f"{path}, line 5: streams[0].on.fall"
    assert text.where(("streams", 1, "top")) == f"{path}, line 7: streams[1].top"
    assert text.where(("streams", 1, "stride")) == f"{path}, line 6: streams[1].stride"
    assert text.where(("defaults",)) == f"{path}: defaults"


def test_toml_is_the_same_tree(tmp_path: Path) -> None:
    content = "[[streams]]\nsource = 0\nloop = true\nwindow = 2.50\non = {'fall floor' = 0.3}\n"
    text = read_settings(written(tmp_path, content, "s.toml"))
    tree: Tree = {
        "streams": [
            {"source": "0", "loop": "true", "window": "2.5", "on": {"fall floor": "0.3"}},
        ]
    }
    assert text == SettingsText(path=tmp_path / "s.toml", tree=tree)
    assert text.where(("streams", 0)) == f"{tmp_path / 's.toml'}: streams[0]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: b: c", "line 1: this is not YAML: mapping values"),
        ("a: 1\n\ta: 2", "line 2: this is not YAML"),
        ("a: 1\nb: {c: 1, c: 2}", "line 2: 'c' is there twice"),
        ("a: &x [1]\nb: *x", "anchors"),
        ("&a [*a]", "anchors"),
        ("&a {b: *a}", "anchors"),
        ("a0: &a [x]\na1: &b [*a, *a]\na2: [*b, *b]", "anchors"),
        ("{[a]: b}", "line 1: a key must be a word"),
        ("a: x\n--- b\n", "line 2: this is not YAML"),
        ("a: \x00", "not YAML: unacceptable character"),
        (b"a: 1\nb: \xff", "line 2: this is not UTF-8"),
        ("[" * 5000, "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
        (b" " * (MAX_BYTES + 1), "larger than 1 MiB"),
    ],
)
def test_what_is_no_yaml(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_settings(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a = 1\nb = ", r"this is not TOML: [A-Z]"),
        ("a = 1\na = 2\n", "this is not TOML"),
        ("\n\nx\n", "line 3: this is not TOML"),
        ("a = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_settings(written(tmp_path, content, "s.toml"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither YAML nor TOML"):
        read_settings(written(tmp_path, "a: 1", "streams.txt"))
    with pytest.raises(UsageError, match="No such file"):
        read_settings(tmp_path / "none.yml")
    (tmp_path / "folder.yml").mkdir()
    with pytest.raises(UsageError, match="directory"):
        read_settings(tmp_path / "folder.yml")
    with pytest.raises(UsageError, match="null"):
        read_settings(Path("a\0b.yml"))
    assert read_settings(written(tmp_path, "# nothing yet")).tree is None


@given(
    st.recursive(
        st.none() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        lambda below: st.lists(below) | st.dictionaries(st.text("abc: #-'\"", min_size=1), below),
        max_leaves=8,
    )
)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> None:
    import yaml

    path = tmp_path_factory.mktemp("tree") / "s.yml"
    path.write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    assert read_settings(path).tree == tree
