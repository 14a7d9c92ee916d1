"""Refuse values that a type checker would refuse, for those who do not use one."""

from __future__ import annotations

from collections.abc import Sequence

from models.errors import UsageError


def check_one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Refuse a value that is none of some.

    Args:
        name: Of the parameter, for the message.
        value: Given.
        allowed: What there is.

    Raises:
        UsageError: It is none of them.
    """
    if value not in allowed:
        words = ", ".join(map(repr, allowed))
        raise UsageError(f"{name} is one of {words}; got {value!r}.")
