"""The site of the documents: built strictly, whole, and readable without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edgecls

pytest.importorskip("material", reason="needs the `docs` extra")
pytest.importorskip("mkdocstrings", reason="needs the `docs` extra")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_is_a_page(site: Path) -> None:
    docs = ROOT / "docs"
    pages = {path.relative_to(docs).with_suffix(".html") for path in docs.rglob("*.md")}
    assert {page for page in pages if not (site / page).is_file()} == set()
    start = (site / "index.html").read_text()
    assert [page for page in pages if f'"{page}"' not in start and page.name != "index.html"] == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = path.read_text()
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(https?:[^\" >]+)", text)
        loaded += re.findall(r"<link\b[^>]*rel=\"?stylesheet[^>]*href=\"?(https?:[^\" >]+)", text)
        loaded += re.findall(r"(?:@import|url\()\s*[\"']?(https?:[^\"')]+)", text)
        assert loaded == [], path.name


def test_the_reference_has_every_name_of_the_interface(site: Path) -> None:
    text = (site / "reference.html").read_text()
    missing = [name for name in edgecls.__all__ if f'id="edgecls.{name}"' not in text]
    assert missing == []


def test_bars_of_tables_are_bars(site: Path) -> None:
    """What GitHub needs to be escaped is not shown as escaped."""
    text = (site / "cli.html").read_text()
    assert "fp32|fp16" in text
    assert "fp32\\|fp16" not in text
