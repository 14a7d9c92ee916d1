"""RTSP cameras and servers."""

from __future__ import annotations

from functools import partial

from runtime.sources.address import address_from_uri, scheme_of
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.live import open_live
from runtime.sources.network import NetworkConnection, Way
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
    address = address_from_uri(uri)
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
    connect = partial(NetworkConnection, address, way, options)
    return open_live(connect, name=address.shown, options=options)


SOURCE = SourceKind(
    name="rtsp",
    claims=lambda uri: scheme_of(uri) in ("rtsp", "rtsps"),
    open=open_rtsp,
    example="rtsp://192.168.1.20:554/stream1",
    about="an RTSP camera or server, rtsp:// or rtsps://",
)
