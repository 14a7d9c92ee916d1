"""What a backend lets its users set, how it is written, and what was asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from models.errors import UsageError

if TYPE_CHECKING:
    from models.card import ModelCard
    from runtime.session import SessionOptions

Value = bool | int | str

MOST = 1024
"""Largest number that a setting takes: a card from elsewhere must not ask for a million threads."""

MOST_MIB = 1 << 20
"""The same of memory, in MiB."""

_WORDS = {
    **dict.fromkeys(("on", "true", "yes", "1"), True),
    **dict.fromkeys(("off", "false", "no", "0"), False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that can be set.

    Attributes:
        name: As in `--backend-option NAME=VALUE`.
        parse: Gives the value of a text, or raises `ValueError`.
        expected: What texts it takes, e.g. "on or off".
        default: What holds when it is not set, in words.
        help: What it does, one sentence.
    """

    name: str
    parse: Callable[[str], Value]
    expected: str
    default: str
    help: str


def switch(name: str, *, default: str, about: str) -> Setting:
    """A setting that is on or off; true, false, 1, 0, yes and no are understood as well."""

    def parse(text: str) -> bool:
        try:
            return _WORDS[text.lower()]
        except KeyError:
            raise ValueError(text) from None

    return Setting(name=name, parse=parse, expected="on or off", default=default, help=about)


def count(name: str, *, default: str, about: str, least: int = 1, most: int = MOST) -> Setting:
    """A setting that is a whole number."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    expected = f"a whole number from {least} to {most}"
    return Setting(name=name, parse=parse, expected=expected, default=default, help=about)


def one_of(name: str, choices: Sequence[str], *, default: str, about: str) -> Setting:
    """A setting that is one of several words."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(text)
        return text.lower()

    return Setting(
        name=name, parse=parse, expected=" or ".join(choices), default=default, help=about
    )


def resolved(
    backend: str, settings: Sequence[Setting], *layers: Mapping[str, str]
) -> dict[str, Value]:
    """The values of what was set.

    Args:
        backend: Name of the backend, for errors.
        settings: What it lets be set.
        layers: What was asked for by name, a later one over an earlier one.

    Returns:
        Only what was set; the rest is the backend's own to decide.

    Raises:
        UsageError: The backend has no such setting, or it does not take such a value.
    """
    known = {one.name: one for one in settings}
    asked = {name: text for layer in layers for name, text in layer.items()}
    values: dict[str, Value] = {}
    for name, text in asked.items():
        setting = known.get(name)
        if setting is None:
            raise UsageError(
                f"Backend {backend} has no option {name!r}.",
                hint=f"It has {', '.join(known)}." if known else "It has none.",
            )
        try:
            values[name] = setting.parse(text)
        except ValueError:
            raise UsageError(
                f"Option {name} of backend {backend} is {text!r}; expected {setting.expected}."
            ) from None
    return values


def asked_of(
    backend: str, settings: Sequence[Setting], card: ModelCard, options: SessionOptions
) -> dict[str, Value]:
    """What the card sets of a backend, and over it what the options do; see `resolved`.

    Args:
        backend: Name of the backend.
        settings: What it lets be set.
        card: Of the model.
        options: As asked for.

    Raises:
        UsageError: The backend has no such setting, or it does not take such a value.
    """
    layers = card.settings.get(backend, {}), options.settings.get(backend, {})
    return resolved(backend, settings, *layers)


def over_card(options: SessionOptions, card: ModelCard, backend: str) -> SessionOptions:
    """The options with what the card sets of a backend below what they ask of it.

    Args:
        options: As asked for.
        card: Of the model.
        backend: Name of the backend.
    """
    layers = card.settings.get(backend, {}), options.settings.get(backend, {})
    return replace(options, settings={**options.settings, backend: {**layers[0], **layers[1]}})
