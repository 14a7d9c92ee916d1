"""Video over HTTP: MJPEG of cameras, HLS, and files, which are played in real time."""

from __future__ import annotations

from runtime.sources.address import scheme_of
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.network import Way, open_network
from runtime.sources.options import SourceOptions

_WAY = Way(
    options={"analyzeduration": "1000000", "fpsprobesize": "0"},
    # A playlist may point elsewhere, but never to files of this machine.
    protocols="http,https,tcp,tls,crypto,httpproxy",
    ends=True,
)


def open_http(uri: str, options: SourceOptions) -> FrameSource:
    """Open "http://" or "https://".

    Args:
        uri: May hold user and password.
        options: How it is read.

    Raises:
        SourceError: The address is wrong, the server refuses, or it gives no video.
    """
    return open_network(uri, _WAY, options)


SOURCE = SourceKind(
    name="http",
    claims=lambda uri: scheme_of(uri) in ("http", "https"),
    open=open_http,
    example="http://192.168.1.20/video.mjpg",
    about="MJPEG, HLS or a video over http:// or https://",
)
