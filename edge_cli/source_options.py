"""Options of `edgecls run` about sources: how they are opened, read, and given up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_cli.camera_options import FROZEN_AFTER_S, CameraRequest, frozen_after
from models.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.sources import SourceOptions

_PANEL = "Sources"


class Drop(str, Enum):
    """Which picture of a live source goes when nobody fetches them in time."""

    OLDEST = "oldest"
    NEWEST = "newest"
    NONE = "none"


class RtspTransport(str, Enum):
    """How the pictures of an RTSP server come."""

    TCP = "tcp"
    UDP = "udp"
    MULTICAST = "multicast"
    HTTP = "http"


DropOption = Annotated[
    Drop | None,
    typer.Option(
        "--drop",
        show_default="oldest",
        rich_help_panel=_PANEL,
        help="Which picture of a camera or stream goes when they come faster than they are used;"
        " none: they wait, and get old.",
    ),
]

RetriesOption = Annotated[
    int | None,
    typer.Option(
        "--retries",
        metavar="N",
        min=0,
        show_default="for ever",
        rich_help_panel=_PANEL,
        help="Attempts in a row to open a lost camera or stream again before it is given up.",
    ),
]

OpenTimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--open-timeout",
        metavar="S",
        show_default="10",
        rich_help_panel=_PANEL,
        help="Longest wait for a camera or stream to open.",
    ),
]

ReadTimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--read-timeout",
        metavar="S",
        show_default="5",
        rich_help_panel=_PANEL,
        help="Longest wait for a picture before a camera or stream counts as lost.",
    ),
]

RtspTransportOption = Annotated[
    RtspTransport | None,
    typer.Option(
        "--rtsp-transport",
        show_default="tcp",
        rich_help_panel=_PANEL,
        help="How the pictures of RTSP servers come.",
    ),
]

LoopOption = Annotated[
    bool,
    typer.Option(
        "--loop",
        rich_help_panel=_PANEL,
        help="Play files and folders again from their beginning, for ever.",
    ),
]

ImageFpsOption = Annotated[
    float | None,
    typer.Option(
        "--image-fps",
        metavar="N",
        show_default="25",
        rich_help_panel=_PANEL,
        help="Pictures per second of folders and sequences of pictures.",
    ),
]

RawOption = Annotated[
    str | None,
    typer.Option(
        "--raw",
        metavar="WxH@FPS[:PIXELS]",
        show_default=False,
        rich_help_panel=_PANEL,
        help="What comes on stdin are bare pictures, e.g. 640x480@25:rgb24.",
    ),
]

_LONGEST_S = 86_400.0
_MOST_FPS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRequest:
    """What was asked for, as typed.

    Attributes:
        drop: Which picture goes.
        retries: None for ever.
        open_timeout_s: Longest wait for an opening.
        read_timeout_s: Longest wait for a picture.
        rtsp_transport: Of RTSP servers.
        frozen_after_s: When a picture is frozen; 0 for never.
        camera: What is asked of cameras.
        loop: Play again what ends.
        image_fps: Of pictures that are files of their own.
        raw: Layout of bare pictures; None for a container.
    """

    drop: Drop = Drop.OLDEST
    retries: int | None = None
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    rtsp_transport: RtspTransport = RtspTransport.TCP
    frozen_after_s: float = FROZEN_AFTER_S
    camera: CameraRequest = field(default_factory=CameraRequest)
    loop: bool = False
    image_fps: float = 25.0
    raw: str | None = None

    @classmethod
    def given(cls, **options: Any) -> SourceRequest:
        """From options by their names here, None where they were not given."""
        return cls(**{name: value for name, value in options.items() if value is not None})

    def options(self, sources: Sequence[str]) -> SourceOptions:
        """The same, checked.

        Args:
            sources: What it is for, as typed.

        Raises:
            UsageError: A number is out of range, or an option has no meaning for any source.
        """
        from runtime.sources import SourceOptions
        from runtime.sources.pipe import PIPE
        from runtime.sources.raw_video import RawVideo

        pipes = list(sources).count(PIPE)
        if pipes > 1:
            raise UsageError(
                f"There is one stdin to read, and --source {PIPE} was given {pipes} times.",
                hint=f"Give --source {PIPE} once.",
            )
        if self.raw is not None and not pipes:
            raise UsageError(
                "--raw says what comes through stdin, and no source is that.",
                hint=f"edgecls run --source {PIPE} --raw {self.raw} < FILE",
            )
        for name, value, most in (
            ("open-timeout", self.open_timeout_s, _LONGEST_S),
            ("read-timeout", self.read_timeout_s, _LONGEST_S),
            ("image-fps", self.image_fps, _MOST_FPS),
        ):
            if not (math.isfinite(value) and 0 < value <= most):
                raise UsageError(f"--{name} must be above 0 and at most {most:g}, got {value:g}.")
        return SourceOptions(
            drop=self.drop.value,
            retries=self.retries,
            open_timeout_s=self.open_timeout_s,
            read_timeout_s=self.read_timeout_s,
            rtsp_transport=self.rtsp_transport.value,
            frozen_after_s=frozen_after(self.frozen_after_s),
            camera=self.camera.options(sources),
            loop=self.loop,
            picture_fps=self.image_fps,
            raw=None if self.raw is None else RawVideo.read(self.raw),
        )
