"""Shorten what native libraries say."""

from __future__ import annotations

_NOISE = ("exception from ", "check '", "while ")
"""Beginnings of lines that name source files, not the trouble."""

_LONGEST = 300


def telling_line(error: BaseException) -> str:
    """The line of a native library's message that says what is wrong.

    Engines and Paddle print whole stacks: a line that names an error (`…Error: …`, `[Shape] …`) is
    preferred, then one that does not begin like a place in the source.

    Returns:
        At most 300 characters, without a full stop at the end; the name of the class when the
        message is empty.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Error:" in line or line.startswith("[")]
    plain = [line for line in lines if not line.lower().startswith(_NOISE)]
    chosen = (named or plain or lines or [type(error).__name__])[0]
    return chosen[:_LONGEST].rstrip(".")
