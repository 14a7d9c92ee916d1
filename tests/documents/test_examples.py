"""Every example of the documents: run, or where it cannot be run here, at least understood."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import redirect_stdout
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

import edgecls
from edge_cli.app import build_app
from tests.cli.command import NEEDS_ENGINES
from tests.cli.command import edgecls as command
from tests.cli.in_process import called
from tests.documents.blocks import Block, blocks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [DOCS / "quickstart.md", *sorted((DOCS / "guides").glob("*.md"))]
OTHERS = [ROOT / "README.md", *(page for page in sorted(DOCS.glob("*.md")) if page not in PAGES)]

STAND_INS = {
    "camera0": "clip.mp4",
    "camera1": "videos/0.mp4",
    "rtsp://192.168.1.20/stream1": "clip.mp4",
}
"""Sources that are not here, and what is shown instead."""

ALL = bool(os.environ.get("EDGECLS_ALL_EXAMPLES"))
MAKING, SLOW = {"convert", "calibrate"}, {"bench", "doctor"}
"""Commands of seconds, which have tests of their own: run with EDGECLS_ALL_EXAMPLES=1 only, as is
Ray, else parsed, and behind the first two the rest of the page too, which needs what they make."""

PARQUET_LACKS = find_spec("pyarrow") is None

LANGUAGES = {"", "python", "sh", "text", "yaml", "ini", "json"}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@NEEDS_ENGINES
@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_examples_run(page: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in one folder, with one namespace: as somebody follows the page."""
    names: dict[str, Any] = {"__name__": "__main__"}
    lacking = False
    for block in blocks(page):
        assert block.language in LANGUAGES, block.place
        if block.not_run:
            _understood(block)
            continue
        lacking = lacking or (not ALL and _makes(block))
        if lacking:
            _understood(block)
        elif block.title:
            (here / block.title).write_text(_stood_in(block.text))
        elif block.language == "python":
            _run_python(block, names)
        elif block.language == "sh":
            for words in block.commands():
                _run_command(words, block, monkeypatch)


@pytest.mark.parametrize("page", OTHERS, ids=_name)
def test_examples_of_other_documents_are_understood(page: Path) -> None:
    for block in blocks(page):
        _understood(block)


def _run_python(block: Block, names: dict[str, Any]) -> None:
    """What the comments `# -> TEXT` behind prints say is what is printed."""
    code = compile(_stood_in(block.text), block.place, "exec")
    out = io.StringIO()
    with redirect_stdout(out):
        exec(code, names)
    expected = re.findall(r"# -> (.+)$", block.text, re.MULTILINE)
    for line in expected:
        assert line in out.getvalue(), f"{block.place}: {line!r} is not in {out.getvalue()!r}"


def _makes(block: Block) -> bool:
    """Whether it makes something that what follows needs, which takes long."""
    return block.language == "sh" and any({*words[1:2]} & MAKING for words in block.commands())


def _run_command(words: list[str], block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    if words[0] != "edgecls":
        _plausible(words, block)
        return
    slow = not ALL and ({words[1]} & SLOW or "ray" in words)
    if slow or (PARQUET_LACKS and any(word.endswith(".parquet") for word in words)):
        _parsed(words[1:], block)
        return
    target = None
    if ">" in words:
        words, target = words[: words.index(">")], words[words.index(">") + 1]
    words = [STAND_INS.get(word, word) for word in words]
    if "ray" in words:  # it warns of itself, which is no error beyond these tests
        alone = command(*words[1:])
        assert alone.returncode == 0, f"{block.place}: {' '.join(words)}\n{alone.stderr}"
        return
    done = called(*words[1:], monkeypatch=monkeypatch)
    assert done.code == 0, f"{block.place}: {' '.join(words)}\n{done.err}"
    if target:
        Path(target).write_text(done.out)


def _understood(block: Block) -> None:
    if block.language == "python":
        compile(block.text, block.place, "exec")
        for name in re.findall(r"\bedgecls\.(\w+)", block.text):
            assert name in edgecls.__all__, f"{block.place}: edgecls.{name}"
    elif block.language in ("sh", ""):
        for line in [] if block.language else block.text.splitlines():
            if not line.startswith(("edgecls ", "pip ", "make ")):
                return
        for words in block.commands():
            if words[0] == "edgecls":
                _parsed(words[1:], block)
            else:
                _plausible(words, block)


@lru_cache(maxsize=1)
def _application() -> Any:
    return typer.main.get_command(build_app())


def _parsed(words: list[str], block: Block) -> None:
    """The command line takes these words; nothing is run."""
    if "..." in words:
        return
    for sign in (">", "|"):
        words = words[: words.index(sign)] if sign in words else words
    command = _application()
    context = None
    try:
        while True:
            context = command.make_context(command.name or "edgecls", list(words), parent=context)
            rest = [*context._protected_args, *context.args]
            if not hasattr(command, "resolve_command") or not rest:
                return
            _, command, words = command.resolve_command(context, rest)
    except Exception as error:
        pytest.fail(f"{block.place}: edgecls {' '.join(words)}: {error}")


def _plausible(words: list[str], block: Block) -> None:
    """Extras and targets that commands name exist."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for word in words:
        for extras in re.findall(r"(?:edgecls|\.)\[([\w,]+)\]", word):
            known = settings["project"]["optional-dependencies"]
            missing = [extra for extra in extras.split(",") if extra not in known]
            assert not missing, f"{block.place}: no extra {missing}"
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), block.place


def _stood_in(text: str) -> str:
    for source, shown in STAND_INS.items():
        text = text.replace(source, shown)
    return text
