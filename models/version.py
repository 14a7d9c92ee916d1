"""The version of this installation."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def edgecls_version() -> str:
    """Version of the installed distribution, or "0+source" when run from a bare checkout."""
    try:
        return version("edgecls")
    except PackageNotFoundError:
        return "0+source"
