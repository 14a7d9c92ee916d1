"""RTSP cameras and servers."""

from __future__ import annotations

from runtime.sources.address import scheme_of
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.network import Way, open_network
from runtime.sources.options import SourceOptions

_PROTOCOLS = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
_TRANSPORTS = {"tcp": "tcp", "udp": "udp", "multicast": "udp_multicast", "http": "http"}
_ANALYSED_US = "500000"


def open_rtsp(uri: str, options: SourceOptions) -> FrameSource:
    """Open "rtsp://" or "rtsps://".

    Args:
        uri: May hold user and password.
        options: How it is read.

    Raises:
        SourceError: The address is wrong, or the server refuses.
    """
    way = Way(
        options={
            "rtsp_transport": _TRANSPORTS[options.rtsp_transport],
            "allowed_media_types": "video",
            # The description of the stream says what is to be known: little has to be waited for.
            "analyzeduration": _ANALYSED_US,
            "fpsprobesize": "0",
        },
        protocols=_PROTOCOLS,
    )
    return open_network(uri, way, options)


SOURCE = SourceKind(
    name="rtsp",
    claims=lambda uri: scheme_of(uri) in ("rtsp", "rtsps"),
    open=open_rtsp,
    example="rtsp://192.168.1.20:554/stream1",
    about="an RTSP camera or server, rtsp:// or rtsps://",
)
