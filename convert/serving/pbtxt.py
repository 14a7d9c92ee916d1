"""Write a protobuf message in its text format, which is what `config.pbtxt` is.

A message is a mapping from the names of its fields. A list repeats a field, a mapping is a message
inside it, and an entry of a protobuf map is a message with `key` and `value`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Field = str | int | Mapping[str, "Field"] | Sequence["Field"]
Message = Mapping[str, Field]


class EnumName(str):
    """The name of a value of an enum, which is written without quotes."""

    __slots__ = ()


def to_pbtxt(message: Message) -> str:
    """The message as text.

    Args:
        message: Its fields, in the order in which they are written.

    Returns:
        Lines, each with a line feed.
    """
    return "".join(f"{line}\n" for line in _lines(message, ""))


def _lines(message: Message, indent: str) -> Iterator[str]:
    for name, field in message.items():
        if isinstance(field, (str, int)):
            yield f"{indent}{name}: {_scalar(field)}"
        elif isinstance(field, Mapping):
            yield f"{indent}{name} {{"
            yield from _lines(field, f"{indent}  ")
            yield f"{indent}}}"
        elif all(isinstance(one, (str, int)) for one in field):
            shown = ", ".join(_scalar(one) for one in field if isinstance(one, (str, int)))
            yield f"{indent}{name}: [{shown}]"
        else:
            for one in field:
                yield from _lines({name: one}, indent)


def _scalar(value: str | int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, EnumName)):
        return str(value)
    return f'"{"".join(_escaped(character) for character in value)}"'


def _escaped(character: str) -> str:
    """A character inside quotes; those that are not ASCII as the octal codes of their UTF-8."""
    if character in '"\\':
        return f"\\{character}"
    if " " <= character <= "~":
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode())
