"""How sources are to be opened and read, whatever their kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from runtime.sources.raw_video import RawVideo

Drop = Literal["oldest", "newest", "none"]
"""Which picture of a live source goes when nobody fetches them in time; `none`: they wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraOptions:
    """What is asked of a camera; None for what it does by itself.

    Attributes:
        size: Width and height of the pictures.
        fps: Pictures per second.
        pixel_format: Four letters as the driver knows them, e.g. "MJPG".
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None


RtspTransport = Literal["tcp", "udp", "multicast", "http"]
"""How the pictures of an RTSP server come: over the connection itself, or beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How a source is opened and read; a kind looks at what concerns it.

    Attributes:
        drop: What a live source does with a slow reader. `oldest` lets go of the oldest waiting
            picture, so that the newest wins; `newest` of the one that comes; `none` of none.
        retries: Attempts in a row to open a lost live source again; None: for ever.
        open_timeout_s: Longest wait for a live source to open.
        read_timeout_s: Longest wait for a picture before a live source counts as lost, and a
            pipe as silent.
        frozen_after_s: Seconds without any change after which the picture of a live source counts
            as frozen; None: never.
        camera: What is asked of cameras.
        rtsp_transport: Of RTSP servers: `tcp`, `udp`, `multicast` or `http`.
        loop: Play what ends again from its beginning, for ever.
        picture_fps: Pictures per second of those that are files of their own.
        raw: How pictures without a container are laid out; None where there is a container.
        stopping: Whether to give up opening; looked at while waiting.
    """

    drop: Drop = "oldest"
    retries: int | None = None
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    frozen_after_s: float | None = 20.0
    camera: CameraOptions = CameraOptions()
    rtsp_transport: RtspTransport = "tcp"
    loop: bool = False
    picture_fps: float = 25.0
    raw: RawVideo | None = None
    stopping: Callable[[], bool] = lambda: False
