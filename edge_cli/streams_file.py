"""`--streams FILE`: what each of several streams is to be, in YAML or TOML."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_cli.stream_request import StreamRequest
from edge_cli.stream_settings import Address, StreamSettings
from edge_cli.streams_text import Location, SettingsText, Tree, read_settings
from models.errors import UsageError

_EXAMPLE = "streams: [{source: demo}]"

_SECRET = ("source", "webhook", "mqtt")
"""Fields whose values may hold passwords, and are not shown."""

_WANTED = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "enum": "must be {expected}",
    "finite_number": "must be a finite number",
    "float_parsing": "takes a number",
    "float_type": "takes a number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "int_parsing": "takes a whole number",
    "int_type": "takes a whole number",
    "less_than_equal": "must be {le:g} or less",
    "list_type": "takes a list",
    "model_type": "takes fields",
    "path_type": "takes the name of a file",
    "string_too_long": "must have {max_length} characters at most",
    "string_too_short": "must not be empty",
    "string_type": "takes a text",
    "tuple_type": "takes a list",
}
"""Mistakes by the name that pydantic has for them, with what it tells of them."""

_OPTION = re.compile(r"--(?=[a-z])")
_OPTION_WITH_VALUE = re.compile(r"--([a-z][a-z-]*) (?!--)")


class StreamEntry(StreamSettings):
    """A stream of the file.

    Attributes:
        source: As for `--source`.
        name: Shown instead of the source.
    """

    source: Address
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None


class StreamsFile(BaseModel):
    """The whole file.

    Attributes:
        defaults: For what a stream does not say itself.
        streams: In the order of their numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    defaults: StreamSettings = StreamSettings()
    streams: tuple[StreamEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlace:
    """Where a stream stands, for messages.

    Attributes:
        text: The file.
        number: Of the stream, from 0.
    """

    text: SettingsText
    number: int

    def of(self, field: str, label: str | None = None) -> str:
        """File, line and name of a field, which may be one of the defaults.

        Args:
            field: As in the file.
            label: The class that it is about.
        """
        location: Location = ("streams", self.number, field)
        if not self._has(location) and self._has(("defaults", field)):
            location = ("defaults", field)
        exact = (*location, label) if label is not None else location
        return self.text.where(exact if exact in self.text.lines else location)

    def error(self, error: UsageError) -> UsageError:
        """An error in the options of the stream, as one in its fields."""
        return UsageError(
            f"{self.text.where(('streams', self.number))}: {_OPTION.sub('', error.message)}",
            hint=_OPTION_WITH_VALUE.sub(r"\1: ", error.hint),
        )

    def _has(self, location: Location) -> bool:
        tree: Tree = self.text.tree
        for part in location:
            if isinstance(tree, dict) and part in tree:
                tree = tree[str(part)]
            elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
                tree = tree[part]
            else:
                return False
        return True


def streams_asked(path: Path, options: StreamSettings) -> tuple[StreamRequest, ...]:
    """The streams of a file.

    Args:
        path: Of the file.
        options: Of the command line; they go before the defaults of the file.

    Raises:
        UsageError: See `read_streams`; or fields that do not go together, or a name twice.
    """
    text, read = read_streams(path)
    found: list[StreamRequest] = []
    sources = [entry.source for entry in read.streams]
    for number, entry in enumerate(read.streams):
        settings = entry.filled_from(options, read.defaults)
        place = StreamPlace(text=text, number=number)
        same = [one for one in read.streams[:number] if one.name == entry.name is not None]
        if same:
            raise UsageError(
                f"{place.of('name')} is also the name of streams[{read.streams.index(same[0])}]."
            )
        found.append(settings.request(entry.source, among=sources, name=entry.name, place=place))
    return tuple(found)


def read_streams(path: Path) -> tuple[SettingsText, StreamsFile]:
    """Read and check a file of streams.

    Returns:
        The file as written, and what it says.

    Raises:
        UsageError: It cannot be read, or says something that makes no sense; the message names
            file, line and field of the first mistake.
    """
    text = read_settings(path)
    if not isinstance(text.tree, dict):
        raise UsageError(
            f"{path} is no file of streams: it is to have a list called streams.",
            hint=_EXAMPLE,
        )
    try:
        read = StreamsFile.model_validate(text.tree)
    except ValidationError as error:
        raise _first_mistake(text, error) from None
    if not read.streams:
        raise UsageError(f"{text.where(('streams',))} is an empty list.", hint=_EXAMPLE)
    return text, read


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mistake:
    location: Location
    message: str
    hint: str = ""


def _first_mistake(text: SettingsText, error: ValidationError) -> UsageError:
    found = error.errors(include_url=False)
    order = {location: place for place, location in enumerate(text.lines)}
    # To say it in words takes time, of which there would be much for thousands of mistakes.
    first = _mistake(min(found, key=lambda one: order.get(_location(one), -1)))
    more = len(found) - 1
    others = f" (and {more} more mistake{'s' * (more > 1)})" if more else ""
    return UsageError(f"{text.where(first.location)} {first.message}{others}.", hint=first.hint)


def _location(found: Any) -> Location:
    location: Location = found["loc"]
    return (*location, *found["ctx"]["at"]) if found["type"] == "place" else location


def _mistake(found: Any) -> _Mistake:
    """One mistake that pydantic found, in our words."""
    location = _location(found)
    kind, value = found["type"], found.get("input")
    if kind == "place":
        return _Mistake(location=location, message=found["ctx"]["what"])
    if kind == "extra_forbidden":
        return _unknown(location)
    if kind == "missing":
        return _Mistake(location=location, message="is missing")
    if kind == "value_error":
        return _Mistake(location=location, message=str(found["ctx"]["error"]))
    wanted = _WANTED.get(kind, found["msg"]).format(**found.get("ctx", {}))
    secret = any(part in _SECRET for part in location)
    got = f", got {value!r}" if isinstance(value, str) and not secret else ""
    return _Mistake(location=location, message=f"{wanted}{got}")


def _unknown(location: Location) -> _Mistake:
    name = str(location[-1])
    known: Sequence[str] = ("defaults", "streams")
    if len(location) > 1:
        model = StreamSettings if location[0] == "defaults" else StreamEntry
        known = [field.alias or plain for plain, field in model.model_fields.items()]
    near = difflib.get_close_matches(name.replace("_", "-"), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Fields: {', '.join(known)}"
    return _Mistake(location=location, message="is no field of this file", hint=hint)
