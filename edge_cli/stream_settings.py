"""What can be said of one stream in a file of streams: fields named as the options of `run`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from edge_cli.camera_options import CameraRequest
from edge_cli.event_request import (
    EventRequest,
    OutputFile,
    OutputRequest,
    Smooth,
    film_bytes,
    output_files,
)
from edge_cli.source_options import Drop, RtspTransport, SourceRequest
from edge_cli.stream_request import Gap, StreamRequest
from models.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_cli.streams_file import StreamPlace

_NEEDED = {
    "smooth_span": "smooth",
    "pre_roll": "record_events",
    "post_roll": "record_events",
    "record_limit": "record_events",
}
"""Fields that mean something only beside another."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _filled(text: str) -> str:
    """An address with the values of its `${VARIABLES}`."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in os.environ:
            raise ValueError(f"names the environment variable {found[1]}, which is not set")
        return os.environ[found[1]]

    return _VARIABLE.sub(value, text)


def _listed(value: Any) -> Any:
    """A single text stands for a list of one, and null for an empty one."""
    return [value] if isinstance(value, str) else [] if value is None else value


def _words(value: Any) -> Any:
    """`0.5`, `{CLASS: 0.3}` or a list of both, as the words `0.5` and `CLASS=0.3`.

    Raises:
        PydanticCustomError: Something else; its context says `at` which place.
    """
    if not isinstance(value, list):
        return _words([value]) if value is not None else []
    words: list[str] = []
    whole = len(value) == 1
    for at, one in enumerate(value):
        place: tuple[str | int, ...] = () if whole else (at,)
        if isinstance(one, dict):
            for label, number in one.items():
                if not isinstance(number, str):
                    raise _misplaced("takes a number for each class", (*place, label))
                words.append(f"{label}={_number(number, (*place, label))}")
        elif isinstance(one, str):
            _number(one.rpartition("=")[2], place)
            words.append(one)
        else:
            raise _misplaced("takes a number, or a number for each class", place)
    return words


def _number(text: str, place: tuple[str | int, ...]) -> str:
    try:
        float(text)
    except ValueError:
        raise _misplaced(f"takes a number, got {text!r}", place) from None
    return text


def _misplaced(message: str, place: tuple[str | int, ...]) -> PydanticCustomError:
    return PydanticCustomError("place", "{what}", {"what": message, "at": place})


def _files(value: Any) -> Any:
    try:
        return output_files([str(one) for one in _listed(value)])
    except UsageError as error:
        raise ValueError(error.message.removeprefix("--output ").rstrip(".")) from None


def _bytes(value: Any) -> int:
    try:
        return film_bytes(str(value))
    except UsageError as error:
        raise ValueError(error.message.removeprefix("--record-limit ").rstrip(".")) from None


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Address = Annotated[str, Field(min_length=1), AfterValidator(_filled)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_listed)]
Labels = Annotated[tuple[str, ...], BeforeValidator(_listed)]
LabelValues = Annotated[tuple[str, ...], BeforeValidator(_words)]
Files = Annotated[tuple[OutputFile, ...], BeforeValidator(_files)]
Bytes = Annotated[int, BeforeValidator(_bytes)]
Roll = Annotated[float, Field(ge=0, le=600)]


class StreamSettings(BaseModel):
    """What holds for a stream; fields that were not set leave it to something else to say.

    Attributes:
        window: Seconds of a window.
        stride: Seconds from one to the next.
        gap: What becomes of the frames before a gap.
        gap_after: Seconds without a frame that count as one.
        top: Classes per result.
        threshold: Least probability reported.
        smooth: How results are smoothed.
        smooth_span: Over how many seconds.
        on: `P` or `CLASS=P`: where events begin.
        off: The same: where they end.
        min_duration: `S` or `CLASS=S`: shorter ones are none.
        cooldown: The same: seconds after an event without another.
        until: Classes of which an event ends the run.
        output: Files.
        record_events: Folder for films.
        pre_roll: Seconds of film before an event.
        post_roll: Seconds of film after it.
        record_limit: Bytes of all films in their folder.
        webhook: Addresses.
        mqtt: Addresses.
        drop: Which picture of a live source goes.
        retries: Attempts to open it again.
        open_timeout: Seconds.
        read_timeout: Seconds.
        rtsp_transport: Of an RTSP server.
        frozen_after: Seconds; 0 for never.
        camera_size: E.g. "1280x720".
        camera_fps: Pictures per second.
        camera_format: E.g. "MJPG".
        loop: Play again what ends.
        image_fps: Of pictures that are files of their own.
        raw: Layout of bare pictures on stdin.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=lambda name: name.replace("_", "-")
    )

    window: Seconds | None = None
    stride: Seconds | None = None
    gap: Gap | None = None
    gap_after: Seconds | None = None
    top: Annotated[int, Field(ge=1)] | None = None
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    smooth: Smooth | None = None
    smooth_span: Seconds | None = None
    on: LabelValues = ()
    off: LabelValues = ()
    min_duration: LabelValues = ()
    cooldown: LabelValues = ()
    until: Labels = ()
    output: Files = ()
    record_events: Path | None = None
    pre_roll: Roll | None = None
    post_roll: Roll | None = None
    record_limit: Bytes | None = None
    webhook: Addresses = ()
    mqtt: Addresses = ()
    drop: Drop | None = None
    retries: Annotated[int, Field(ge=0)] | None = None
    open_timeout: Seconds | None = None
    read_timeout: Seconds | None = None
    rtsp_transport: RtspTransport | None = None
    frozen_after: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    camera_size: str | None = None
    camera_fps: Seconds | None = None
    camera_format: str | None = None
    loop: bool | None = None
    image_fps: Seconds | None = None
    raw: str | None = None

    @classmethod
    def given(cls, **options: Any) -> StreamSettings:
        """Settings from options of the command line, None or empty where they were not given."""
        found: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in options.items()
            if value is not None and value != []
        }
        return cls.model_construct(**found)

    def filled_from(self, *others: StreamSettings) -> StreamSettings:
        """These settings; what they leave open as in the first of the others that says it.

        What means nothing without what was taken back here is taken back, too.
        """
        found: dict[str, Any] = {}
        for one in (*reversed(others), self):
            found |= {name: getattr(one, name) for name in one.model_fields_set}
        for name, other in _NEEDED.items():
            if found.get(other) is None and name not in self.model_fields_set:
                found.pop(name, None)
        fields = StreamSettings.model_fields
        return StreamSettings.model_construct(
            **{name: value for name, value in found.items() if name in fields}
        )

    def request(
        self,
        source: str,
        *,
        among: Sequence[str],
        name: str | None = None,
        place: StreamPlace | None = None,
    ) -> StreamRequest:
        """The stream that these settings describe.

        Args:
            source: As for `--source`.
            among: All sources of the run.
            name: Shown instead of it.
            place: In a file of streams; None for the command line.

        Raises:
            UsageError: A number is out of range, or fields do not go together.
        """
        try:
            return StreamRequest(
                source=source,
                source_options=self._source_request().options(among),
                name=name,
                window_s=self.window,
                stride_s=self.stride,
                gap=self.gap,
                gap_after_s=self.gap_after,
                top_k=self.top,
                threshold=self.threshold or 0.0,
                events=EventRequest(
                    smooth=self.smooth,
                    span_s=self.smooth_span,
                    on=self.on,
                    off=self.off,
                    least=self.min_duration,
                    cooldown=self.cooldown,
                    until=self.until,
                ),
                outputs=OutputRequest(
                    files=self.output,
                    clips=self.record_events,
                    pre_roll_s=self.pre_roll,
                    post_roll_s=self.post_roll,
                    clips_limit_bytes=self.record_limit,
                    webhooks=self.webhook,
                    mqtt=self.mqtt,
                ),
                place=place,
            )
        except UsageError as error:
            raise (error if place is None else place.error(error)) from None

    def _source_request(self) -> SourceRequest:
        return SourceRequest.given(
            drop=self.drop,
            retries=self.retries,
            open_timeout_s=self.open_timeout,
            read_timeout_s=self.read_timeout,
            rtsp_transport=self.rtsp_transport,
            frozen_after_s=self.frozen_after,
            camera=CameraRequest(
                size=self.camera_size, fps=self.camera_fps, pixel_format=self.camera_format
            ),
            loop=self.loop,
            image_fps=self.image_fps,
            raw=self.raw,
        )
