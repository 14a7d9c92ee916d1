"""An RTSP server that sends H.264: run by the Python of the distribution, which has `gi`.

    python3 rtsp_server_child.py --check
    python3 rtsp_server_child.py PORT COLOUR [LOGIN]

COLOUR of the background is 0xffRRGGBB; LOGIN is user:password in base64.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

_PIPELINE = (
    "( videotestsrc is-live=true pattern=ball background-color={colour}"
    " ! video/x-raw,width=160,height=120,framerate=15/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15"
    " ! rtph264pay name=pay0 pt=96 )"
)


def main(words: list[str]) -> None:
    """Serve /live on a port of this machine until killed."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer

    Gst.init(None)
    for name in ("videotestsrc", "x264enc", "rtph264pay"):
        if Gst.ElementFactory.find(name) is None:
            raise SystemExit(f"GStreamer has no element {name}")
    if words == ["--check"]:
        return
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(words[0])
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(_PIPELINE.format(colour=words[1]))
    if len(words) > 2:
        _protect(server, factory, GstRtspServer, base64.b64decode(words[2]).decode())
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


def _protect(server: Any, factory: Any, rtsp: Any, login: str) -> None:
    """Let only one user in."""
    auth, token = rtsp.RTSPAuth(), rtsp.RTSPToken()
    token.set_string(rtsp.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    user, password = login.split(":", 1)
    auth.add_basic(rtsp.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = rtsp.RTSPPermissions()
    permissions.add_permission_for_role("viewer", rtsp.RTSP_PERM_MEDIA_FACTORY_ACCESS, True)
    permissions.add_permission_for_role("viewer", rtsp.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT, True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    main(sys.argv[1:])
