from __future__ import annotations

import math
from typing import get_args

import pytest

from edge_cli.camera_options import CameraRequest
from edge_cli.source_options import Drop, RtspTransport, SourceRequest
from models.errors import UsageError
from runtime.sources import SourceOptions
from runtime.sources import options as source_options
from runtime.sources.options import CameraOptions
from runtime.sources.raw_video import RawVideo


def test_what_is_not_asked_for_is_the_usual() -> None:
    usual = SourceOptions()
    given = SourceRequest().options(["demo"])
    assert {
        name: getattr(given, name) for name in SourceOptions.__slots__ if name != "stopping"
    } == {name: getattr(usual, name) for name in SourceOptions.__slots__ if name != "stopping"}


def test_what_is_asked_for_arrives() -> None:
    request = SourceRequest(
        drop=Drop.NEWEST,
        retries=3,
        open_timeout_s=1.0,
        read_timeout_s=2.0,
        rtsp_transport=RtspTransport.UDP,
        frozen_after_s=0.0,
        camera=CameraRequest(fps=15.0),
        loop=True,
        image_fps=5.0,
        raw="64x48@10:gray",
    )
    given = request.options(["camera0", "-"])
    assert (given.drop, given.retries, given.rtsp_transport) == ("newest", 3, "udp")
    assert (given.open_timeout_s, given.read_timeout_s, given.frozen_after_s) == (1.0, 2.0, None)
    assert (given.loop, given.picture_fps) == (True, 5.0)
    assert given.camera == CameraOptions(fps=15.0)
    assert given.raw == RawVideo(width=64, height=48, fps=10.0, pixels="gray")


def test_choices_are_those_that_sources_know() -> None:
    assert tuple(one.value for one in Drop) == get_args(source_options.Drop)
    assert tuple(one.value for one in RtspTransport) == get_args(source_options.RtspTransport)


def test_stdin_is_read_once_and_raw_video_comes_from_it() -> None:
    with pytest.raises(UsageError, match="--source - was given 2 times"):
        SourceRequest().options(["-", "demo", "-"])
    with pytest.raises(UsageError, match="--raw says what comes through stdin") as caught:
        SourceRequest(raw="64x48@10").options(["demo"])
    assert caught.value.hint == "edgecls run --source - --raw 64x48@10 < FILE"


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, 1e9])
@pytest.mark.parametrize("name", ["open_timeout_s", "read_timeout_s", "image_fps"])
def test_numbers_out_of_range(name: str, value: float) -> None:
    option = name.removesuffix("_s").replace("_", "-")
    with pytest.raises(UsageError, match=f"--{option} must be above 0"):
        SourceRequest(**{name: value}).options(["demo"])  # type: ignore[arg-type]
