"""What `edgecls convert --help` says."""

from __future__ import annotations

from convert.families import FAMILY_MODULES
from tests.cli.command import edgecls


def test_every_family_is_named() -> None:
    done = edgecls("convert", "--help")
    assert done.returncode == 0, done.stderr
    *others, last = FAMILY_MODULES
    assert f" {', '.join(others)} or {last};" in " ".join(done.stdout.replace("│", " ").split())
