"""What `edgecls run` is asked for besides results on stdout: events, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from edge_cli.render import FILE_FORMATS
from models.errors import UsageError

if TYPE_CHECKING:
    from runtime.events import EventRules, Smoothing


class Smooth(str, Enum):
    """How results are smoothed."""

    EMA = "ema"
    MEAN = "mean"
    VOTE = "vote"


class Fsync(str, Enum):
    """When lines are forced onto the disk."""

    NEVER = "never"
    EVENTS = "events"
    ALWAYS = "always"


SPAN_STRIDES = 4
"""Results are smoothed over so many strides, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRequest:
    """Smoothing and events, as asked for.

    Attributes:
        smooth: None for none.
        span_s: None for `SPAN_STRIDES` strides.
        on: `P` or `CLASS=P`.
        off: The same.
        least: Minimum duration, `S` or `CLASS=S`.
        cooldown: The same.
        until: Classes of which an event ends the run.

    Raises:
        UsageError: An option has no meaning without another.
    """

    smooth: Smooth | None = None
    span_s: float | None = None
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    least: tuple[str, ...] = ()
    cooldown: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.span_s is not None and self.smooth is None:
            raise UsageError(
                "--smooth-span has no meaning without --smooth.",
                hint="--smooth ema --smooth-span 2",
            )

    @property
    def given(self) -> bool:
        """Whether an option asks for events."""
        return bool(self.on or self.off or self.until or self.least or self.cooldown)

    def smoothing(self, stride_s: float) -> Smoothing | None:
        """How to smooth results that come `stride_s` apart.

        Raises:
            UsageError: The span is no time.
        """
        from runtime.events import Smoothing

        if self.smooth is None:
            return None
        span_s = stride_s * SPAN_STRIDES if self.span_s is None else self.span_s
        return Smoothing(kind=self.smooth.value, span_s=span_s)

    def rules(self, labels: Sequence[str]) -> EventRules:
        """When events begin and end.

        Raises:
            UsageError: A class or a number is none.
        """
        from runtime.events.rules import RuleWords, check_labels, label_rules

        check_labels("--until", self.until, labels)
        words = RuleWords(on=self.on, off=self.off, least=self.least, cooldown=self.cooldown)
        rules = label_rules(labels, words)
        for label in self.until:
            if rules[list(labels).index(label)] is None:
                raise UsageError(
                    f"--until waits for {label!r}, of which --on makes no events.",
                    hint=f"--on '{label}=0.5'",
                )
        return rules


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One `--output KIND:FILE`.

    Attributes:
        kind: One of `FILE_FORMATS`.
        path: Appended to.
    """

    kind: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRequest:
    """Where results and events go besides stdout, as asked for.

    Attributes:
        files: Each other than the others.
        clips: Folder for films of events; None for none.
        pre_roll_s: None for the length of a window.
        post_roll_s: None for the usual.
        clips_limit_bytes: Of all films together; None for no limit.
        webhooks: Addresses.
        mqtt: Addresses.

    Raises:
        UsageError: An option has no meaning without another, or a number is out of range.
    """

    files: tuple[OutputFile, ...] = ()
    clips: Path | None = None
    pre_roll_s: float | None = None
    post_roll_s: float | None = None
    clips_limit_bytes: int | None = None
    webhooks: tuple[str, ...] = ()
    mqtt: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        paths = [file.path.absolute() for file in self.files]
        for path in paths:
            if paths.count(path) > 1:
                raise UsageError(f"--output names {path} twice.", hint="Give each its own file.")
        for name, addresses in (("webhook", self.webhooks), ("mqtt", self.mqtt)):
            if len(set(addresses)) < len(addresses):
                raise UsageError(f"--{name} names the same address twice.")
        rolls = (("pre-roll", self.pre_roll_s), ("post-roll", self.post_roll_s))
        for name, value in (*rolls, ("record-limit", self.clips_limit_bytes)):
            if value is not None and self.clips is None:
                raise UsageError(f"--{name} has no meaning without --record-events DIR.")
        for name, value_s in rolls:
            if value_s is not None and not 0 <= value_s <= 600:
                raise UsageError(f"--{name} must be 0 to 600 seconds, got {value_s}.")

    @property
    def of_events(self) -> bool:
        """Whether an output takes events, so that there must be some."""
        return bool(
            self.clips is not None
            or self.webhooks
            or self.mqtt
            or any(file.kind.startswith("events-") for file in self.files)
        )


def film_bytes(text: str) -> int:
    """The size of `--record-limit`.

    Raises:
        UsageError: It is none.
    """
    from models.sizes import bytes_from_text

    return bytes_from_text(text, option="--record-limit")


def output_files(words: Sequence[str]) -> tuple[OutputFile, ...]:
    """The files of `--output KIND:FILE`.

    Raises:
        UsageError: A word is none.
    """
    files = []
    for word in words:
        kind, colon, name = word.partition(":")
        if not colon or kind not in FILE_FORMATS or not name:
            raise UsageError(
                f"--output takes KIND:FILE with a KIND of {', '.join(FILE_FORMATS)}; got {word!r}.",
                hint="--output jsonl:results.jsonl",
            )
        files.append(OutputFile(kind=kind, path=Path(name)))
    return tuple(files)
