"""Cameras on the CSI connector of a Jetson, by way of GStreamer.

Not tried on such a device: the elements and their properties are those of NVIDIA's documentation.
"""

from __future__ import annotations

import re

from models.errors import SourceError
from runtime.opencv import quiet_opencv
from runtime.sources.base import FrameSource, SourceKind
from runtime.sources.camera import CaptureConnection
from runtime.sources.live import open_live
from runtime.sources.options import CameraOptions, SourceOptions

_SENSOR = re.compile(r"^csi(\d)$", re.ASCII)

_SIZE = (1280, 720)
_FPS = 30.0


def open_csi(uri: str, options: SourceOptions) -> FrameSource:
    """Open a camera such as "csi0" and start reading it.

    Args:
        uri: "csi" and the number of the sensor.
        options: How it is read.

    Raises:
        SourceError: This OpenCV has no GStreamer, or the camera cannot be opened.
    """
    match = _SENSOR.match(uri)
    if match is None:
        raise SourceError(f"{uri!r} names no CSI camera.", hint="For example: csi0")
    sensor, asked = int(match[1]), options.camera
    if asked.pixel_format is not None:
        raise SourceError(
            f"{uri} has no pixel formats to choose from: the image processor of the Jetson makes"
            f" its pictures, got {asked.pixel_format}.",
            hint="Leave out --camera-format.",
        )
    _check_gstreamer(uri)
    return open_live(lambda unwanted: _connection(sensor, asked), name=uri, options=options)


def csi_pipeline(sensor: int, *, size: tuple[int, int], fps: float) -> str:
    """What GStreamer is told: from the sensor to BGR, of which it keeps the newest picture only.

    Args:
        sensor: Number of the camera.
        size: Width and height.
        fps: Pictures per second.
    """
    rate = f"{round(fps * 1000)}/1000" if fps % 1 else f"{fps:.0f}/1"
    elements = (
        f"nvarguscamerasrc sensor-id={sensor}",
        f"video/x-raw(memory:NVMM),width={size[0]},height={size[1]},format=NV12,framerate={rate}",
        "nvvidconv",
        "video/x-raw,format=BGRx",
        "videoconvert",
        "video/x-raw,format=BGR",
        "appsink drop=true max-buffers=1 sync=false",
    )
    return " ! ".join(elements)


def _check_gstreamer(uri: str) -> None:
    quiet_opencv()
    import cv2

    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise SourceError(
            f"{uri} needs an OpenCV with GStreamer, and OpenCV {cv2.__version__} here"
            f" ({cv2.__file__}) was built without; the one that pip installs always is.",
            hint="Use that of JetPack: python3 -m venv --system-site-packages, and in it pip"
            " uninstall opencv-python. A camera on USB needs none: camera0",
        )


def _connection(sensor: int, asked: CameraOptions) -> CaptureConnection:
    import cv2

    size, fps = asked.size or _SIZE, asked.fps or _FPS
    pipeline = csi_pipeline(sensor, size=size, fps=fps)
    capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            f"csi{sensor} cannot be opened at {size[0]}x{size[1]}, {fps:g} fps.",
            hint="sudo systemctl restart nvargus-daemon; v4l2-ctl --list-devices;"
            f" gst-launch-1.0 nvarguscamerasrc sensor-id={sensor} num-buffers=9 ! fakesink",
        )
    description = f"csi{sensor} ({size[0]}x{size[1]}, {fps:g} fps)"
    return CaptureConnection(capture, description=description, fps=fps)


SOURCE = SourceKind(
    name="csi",
    claims=lambda uri: _SENSOR.match(uri) is not None,
    open=open_csi,
    example="csi0",
    about="a camera on the CSI connector of a Jetson, through GStreamer",
)
