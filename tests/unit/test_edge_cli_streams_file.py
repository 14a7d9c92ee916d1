"""The file of `--streams`: fields, defaults, and mistakes with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_cli.event_request import OutputFile, Smooth
from edge_cli.source_options import Drop, RtspTransport
from edge_cli.stream_request import Gap
from edge_cli.stream_settings import StreamSettings
from edge_cli.streams_file import StreamPlace, read_streams, streams_asked
from models.errors import UsageError
from runtime.sources.options import CameraOptions
from runtime.sources.raw_video import RawVideo

WHOLE = """\
defaults:
  window: 2.5
  smooth: ema
  on: 0.6
  webhook: https://example.org/hook
streams:
  - source: rtsp://10.0.0.7/door
    name: front door
    stride: 0.5
    gap: hold
    gap-after: 3
    threshold: 0.1
    top: 3
    smooth-span: 2
    on: [0.7, {fall floor: 0.3}]
    off: {fall floor: 0.2}
    min-duration: {fall floor: 1.5}
    cooldown: 10
    until: fall floor
    output: [jsonl:door.jsonl, events-csv:door.csv]
    record-events: films/door
    pre-roll: 4
    post-roll: 0
    mqtt: mqtt://broker/door
    drop: newest
    retries: 3
    open-timeout: 20
    read-timeout: 2.5
    rtsp-transport: udp
    frozen-after: 0
    loop: false
  - source: 0
    smooth: ~
    webhook: []
"""


def written(folder: Path, content: str, name: str = "shop.yml") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_every_field(tmp_path: Path) -> None:
    _, read = read_streams(written(tmp_path, WHOLE))
    door, yard = read.streams
    assert (door.source, door.name) == ("rtsp://10.0.0.7/door", "front door")
    assert (yard.source, yard.name) == ("0", None)
    settings = door.filled_from(read.defaults)
    assert settings == StreamSettings.model_construct(
        window=2.5,
        stride=0.5,
        gap=Gap.HOLD,
        gap_after=3.0,
        top=3,
        threshold=0.1,
        smooth=Smooth.EMA,
        smooth_span=2.0,
        on=("0.7", "fall floor=0.3"),
        off=("fall floor=0.2",),
        min_duration=("fall floor=1.5",),
        cooldown=("10",),
        until=("fall floor",),
        output=(
            OutputFile(kind="jsonl", path=Path("door.jsonl")),
            OutputFile(kind="events-csv", path=Path("door.csv")),
        ),
        record_events=Path("films/door"),
        pre_roll=4.0,
        post_roll=0.0,
        webhook=("https://example.org/hook",),
        mqtt=("mqtt://broker/door",),
        drop=Drop.NEWEST,
        retries=3,
        open_timeout=20.0,
        read_timeout=2.5,
        rtsp_transport=RtspTransport.UDP,
        frozen_after=0.0,
        loop=False,
    )


def test_null_and_an_empty_list_take_back_a_default(tmp_path: Path) -> None:
    _, read = read_streams(written(tmp_path, WHOLE))
    settings = read.streams[1].filled_from(read.defaults)
    assert (settings.smooth, settings.webhook) == (None, ())
    assert (settings.window, settings.on) == (2.5, ("0.6",))


def test_the_first_that_says_it_counts() -> None:
    of_stream = StreamSettings.model_validate({"window": 1})
    of_command = StreamSettings.model_validate({"window": 2, "stride": 2})
    of_file = StreamSettings.model_validate({"window": 3, "stride": 3, "top": 3})
    filled = of_stream.filled_from(of_command, of_file)
    assert (filled.window, filled.stride, filled.top, filled.threshold) == (1, 2, 3, None)


def test_how_sources_are_opened(tmp_path: Path) -> None:
    content = """\
defaults: {read-timeout: 3, camera-size: 640x480}
streams:
- {source: camera0, camera-format: mjpg, read-timeout: 9}
- {source: clip.mp4, loop: true}
- {source: "-", raw: "64x48@10"}
"""
    options = StreamSettings.given(drop=Drop.NONE, loop=None, until=[])
    camera, clip, pipe = streams_asked(written(tmp_path, content), options)
    assert [one.source_options.drop for one in (camera, clip, pipe)] == ["none"] * 3
    assert [one.source_options.read_timeout_s for one in (camera, clip, pipe)] == [9, 3, 3]
    assert camera.source_options.camera == CameraOptions(size=(640, 480), pixel_format="MJPG")
    assert [one.source_options.loop for one in (camera, clip, pipe)] == [False, True, False]
    assert pipe.source_options.raw == RawVideo.read("64x48@10")
    assert (camera.source_options.open_timeout_s, camera.source_options.retries) == (10, None)
    assert not camera.events.given
    path = written(tmp_path, "streams:\n- source: clip.mp4\n  camera-fps: 5")
    with pytest.raises(UsageError, match=r"line 2: streams\[0\]: camera-fps is about cameras"):
        streams_asked(path, options)


def test_toml(tmp_path: Path) -> None:
    content = "[defaults]\non = 0.6\n[[streams]]\nsource = 'demo'\non = {pan = 0.5}\ntop = 3\n"
    _, read = read_streams(written(tmp_path, content, "shop.toml"))
    assert read.streams[0].on == ("pan=0.5",)
    assert read.streams[0].top == 3
    with pytest.raises(UsageError, match=r"shop\.toml: streams\[0\]\.top must be 1 or more"):
        read_streams(written(tmp_path, "[[streams]]\nsource='x'\ntop=0", "shop.toml"))


def test_variables_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(
        tmp_path, "streams:\n- source: rtsp://${CAM_USER}:${CAM_PASSWORD}@door\n  webhook: $x{}"
    )
    monkeypatch.setenv("CAM_USER", "guard")
    monkeypatch.setenv("CAM_PASSWORD", "s3cret${HOME}")
    _, read = read_streams(path)
    assert read.streams[0].source == "rtsp://guard:s3cret${HOME}@door"
    assert read.streams[0].webhook == ("$x{}",)
    monkeypatch.delenv("CAM_PASSWORD")
    with pytest.raises(UsageError) as refused:
        read_streams(path)
    assert "line 2: streams[0].source names the environment variable CAM_PASSWORD" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("stream", "message", "hint"),
    [
        ("windo: 3", "line 3: streams[0].windo is no field", "window"),
        ("gap_after: 3", "line 3: streams[0].gap_after is no field", "gap-after"),
        ("backend: cpu", "line 3: streams[0].backend is no field", "Fields: "),
        ("threshold: 3", "line 3: streams[0].threshold must be 1 or less, got '3'", ""),
        ("threshold: -1", "must be 0 or more", ""),
        ("threshold: much", "takes a number, got 'much'", ""),
        ("window: 0", "must be more than 0", ""),
        ("window: .inf", "takes a number", ""),
        ("window: inf", "must be a finite number", ""),
        ("window: [1]", "takes a number", ""),
        ("stride: yes", "takes a number, got 'yes'", ""),
        ("top: 2.5", "takes a whole number, got '2.5'", ""),
        ("top: 0", "must be 1 or more", ""),
        ("gap: hol", "must be 'reset' or 'hold', got 'hol'", ""),
        ("smooth: fast", "must be 'ema', 'mean' or 'vote'", ""),
        ("on: high", "streams[0].on takes a number, got 'high'", ""),
        ("on: {fall: high}", "streams[0].on.fall takes a number, got 'high'", ""),
        ("on: {fall: [1]}", "streams[0].on.fall takes a number for each class", ""),
        ("on: [0.5, {fall: ~}]", "streams[0].on[1].fall takes a number for each class", ""),
        ("on: [[0.5]]", "streams[0].on takes a number, or a number for each class", ""),
        ("until: {fall: 1}", "takes a list", ""),
        ("output: door.jsonl", "streams[0].output takes KIND:FILE", ""),
        ("output: [[x]]", "streams[0].output takes KIND:FILE", ""),
        ("record-events: [x]", "takes the name of a file", ""),
        ("drop: all", "must be 'oldest', 'newest' or 'none', got 'all'", ""),
        ("retries: -1", "must be 0 or more", ""),
        ("loop: sometimes", "must be true or false, got 'sometimes'", ""),
        ("record-limit: much", "takes a size", ""),
        ("pre-roll: 700", "must be 600 or less", ""),
        ("webhook: [[secret]]", "streams[0].webhook[0] takes a text", ""),
        ("name: ''", "must not be empty", ""),
        ("name: [x]", "takes a text", ""),
        (f"name: {'x' * 81}", "must have 80 characters at most", ""),
        ("windo: 3\n  strid: 3", "line 3: streams[0].windo is no field of this file (and 1", ""),
    ],
)
def test_mistakes_in_a_stream(tmp_path: Path, stream: str, message: str, hint: str) -> None:
    path = written(tmp_path, f"streams:\n- source: demo\n  {stream}\n")
    with pytest.raises(UsageError) as refused:
        read_streams(path)
    assert str(refused.value).startswith(f"{path}, line 3: streams[0].")
    assert message in str(refused.value)
    assert hint in refused.value.hint
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no file of streams"),
        ("- source: demo", "is no file of streams"),
        ("streams: []", "line 1: streams is an empty list"),
        ("streams: demo", "line 1: streams takes a list, got 'demo'"),
        ("streams: {source: demo}", "line 1: streams takes a list"),
        ("streams: [demo]", "line 1: streams[0] takes fields"),
        ("streams:\n- window: 1", "line 2: streams[0].source is missing"),
        ("streams:\n- source: ~", "line 2: streams[0].source takes a text"),
        ("streams:\n- source: ''", "line 2: streams[0].source must not be empty"),
        ("stream: []", "stream"),
        ("streams: [{source: demo}]\nbackend: cpu", "line 2: backend is no field"),
        ("streams: [{source: demo}]\ndefaults: 3", "line 2: defaults takes fields"),
        ("defaults:\n  source: x\nstreams: [{source: demo}]", "line 2: defaults.source is no"),
    ],
)
def test_mistakes_around_the_streams(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_streams(written(tmp_path, content))
    assert message in str(refused.value)


def test_places_of_fields(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    text, _ = read_streams(path)
    door, yard = StreamPlace(text=text, number=0), StreamPlace(text=text, number=1)
    assert door.of("off", "fall floor") == f"{path}, line 16: streams[0].off.fall floor"
    assert door.of("on", "fall floor") == f"{path}, line 15: streams[0].on"
    assert door.of("window") == f"{path}, line 2: defaults.window"
    assert yard.of("on") == f"{path}, line 4: defaults.on"
    assert yard.of("stride") == f"{path}, line 32: streams[1].stride"
    error = yard.error(UsageError("--a has no meaning without --b.", hint="--b 3 --on 'x=0.5'"))
    assert error.message == f"{path}, line 32: streams[1]: a has no meaning without b."
    assert error.hint == "b: 3 on: 'x=0.5'"
