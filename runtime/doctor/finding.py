"""What the doctor found: a sentence, how bad it is, and the command that fixes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "note", "warn", "fail"]
"""`note`: neither good nor bad, such as an engine that is not installed while others work. `warn`:
something works less well than it could. `fail`: something that is needed does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a diagnosis.

    Attributes:
        name: What it is about, in small letters, the same on every machine.
        status: How bad it is.
        message: A sentence or less, without a full stop at the end.
        fix: Command that changes it; empty when there is none or nothing to change.
        facts: The values behind it, for programs: anything that JSON can hold.
    """

    name: str
    status: Status
    message: str
    fix: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
