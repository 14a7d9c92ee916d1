"""The log of a recording: what befell every picture of a source, in order.

Pure; one entry is one line of JSON. Times are those of `Frame.time_s`, to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from typing_extensions import Self

from models.bundle_file import Line
from models.plain_text import plain
from runtime.records import SourceCounts, SourceEvent, SourceEventKind

LARGEST_SIDE = 16384
"""Of a picture, in pixels."""

MOST_PIXELS = 1 << 26
"""Of a picture: 67 million."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")

Seconds = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Side = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]


Answer = Literal["yes", "no", "all"]


class Opening(BaseModel):
    """The first entry: what was recorded.

    Attributes:
        version: Of this format.
        edgecls: Version of the program that recorded.
        source: Without secrets.
        description: Of the source, as shown to people.
        live: Whether the source was live.
        fps: Nominal frame rate; None when unknown.
        duration_s: As the container stated it; None when unknown or live.
        began_at_s: Seconds since 1970.
    """

    model_config = _FROZEN

    entry: Literal["opening"] = "opening"
    version: Literal[1] = 1
    edgecls: Line
    source: Line
    description: Line
    live: bool
    fps: Seconds | None
    duration_s: Seconds | None
    began_at_s: Seconds


class Asked(BaseModel):
    """The run was asked whether it wants a picture.

    Attributes:
        time_s: Of the picture.
        answer: `all` where pictures were recorded without anybody choosing.
    """

    model_config = _FROZEN

    entry: Literal["asked"] = "asked"
    time_s: Seconds
    answer: Answer


class Sized(BaseModel):
    """The pictures from here on have this size."""

    model_config = _FROZEN

    entry: Literal["sized"] = "sized"
    width: Side
    height: Side

    @model_validator(mode="after")
    def _no_more_than_a_picture(self) -> Self:
        if self.width * self.height > MOST_PIXELS:
            raise ValueError(f"{self.width}x{self.height} is no size of a picture")
        return self


class Counts(BaseModel):
    """`SourceCounts` as they were when the entry was made."""

    model_config = _FROZEN

    received: Count = 0
    delivered: Count = 0
    skipped: Count = 0
    dropped: Count = 0
    broken: Count = 0

    @classmethod
    def of(cls, counts: SourceCounts) -> Counts:
        """The same, for the log."""
        return cls(
            received=counts.received,
            delivered=counts.delivered,
            skipped=counts.skipped,
            dropped=counts.dropped,
            broken=counts.broken,
        )

    def source_counts(self) -> SourceCounts:
        """The same, for a run."""
        return SourceCounts(**self.model_dump())


class Pictured(BaseModel):
    """A picture was handed out; it is the next one of the video.

    Attributes:
        index: `Frame.index`.
        time_s: `Frame.time_s`.
        epoch: `Frame.epoch`.
        file: `Frame.file`.
        checksum: CRC-32 of its RGB bytes.
        counts: Of the source at that time.
    """

    model_config = _FROZEN

    entry: Literal["picture"] = "picture"
    index: Count
    time_s: Seconds
    epoch: Count
    file: Line | None = None
    checksum: Annotated[int, Field(ge=0, lt=2**32)]
    counts: Counts


class Happened(BaseModel):
    """Something befell the source: the fields of `SourceEvent`."""

    model_config = _FROZEN

    entry: Literal["event"] = "event"
    kind: SourceEventKind
    text: Line
    time_s: Seconds
    at_s: Seconds
    delivers: bool
    breaks: bool
    lasted_s: Seconds | None

    @classmethod
    def of(cls, event: SourceEvent) -> Happened:
        """The same, for the log."""
        return cls(
            kind=event.kind,
            text=plain(event.text),
            time_s=event.time_s,
            at_s=event.at_s,
            delivers=event.delivers,
            breaks=event.breaks,
            lasted_s=event.lasted_s,
        )

    def event(self) -> SourceEvent:
        """The same, for a run."""
        return SourceEvent(**self.model_dump(exclude={"entry"}))


class Ended(BaseModel):
    """The last entry.

    Attributes:
        how: The source `ended`; or it `failed`; or the run `stopped` before; or only the
            recording was given up, and the run went on (`cut`).
        text: Why it failed, or was cut.
        counts: Of the source; None where it was cut.
    """

    model_config = _FROZEN

    entry: Literal["ended"] = "ended"
    how: Literal["ended", "failed", "stopped", "cut"]
    text: Line = ""
    counts: Counts | None = None


Entry: TypeAlias = Opening | Asked | Sized | Pictured | Happened | Ended

_ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="entry")])


def lines_of(entries: Sequence[Entry]) -> bytes:
    """Entries as JSON, one a line."""
    return b"\n".join(_ENTRY.dump_json(entry) for entry in entries)


def entries_of(lines: bytes) -> list[Entry]:
    """Entries from JSON, one a line.

    Raises:
        ValueError: A line is none.
    """
    try:
        return [_ENTRY.validate_json(line) for line in lines.split(b"\n")]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"an entry is none: {first['msg']}") from error
