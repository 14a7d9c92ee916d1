from __future__ import annotations

import errno
import itertools
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from models.errors import SourceError
from runtime.records import Frame, SourceEvent
from runtime.sources import SourceOptions, open_source
from runtime.sources.address import address_from_uri
from runtime.sources.network_errors import Attempt, what_went_wrong
from tests.pauses import Pauses
from tests.stream_servers import HttpServer, RtspServer, SilentServer, colour_of, jpeg
from tests.video_files import write_numbered

QUICK = SourceOptions(open_timeout_s=1.0, read_timeout_s=1.0)


@pytest.fixture(scope="module")
def http() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.close()


def test_mjpeg_frames_are_as_they_were_drawn(http: HttpServer) -> None:
    with open_source(http.uri("video.mjpg")) as source:
        assert source.live
        assert source.description == f"{http.uri('video.mjpg')} (160x120, mjpeg)"
        assert source.fps is None
        frames = list(itertools.islice(source, 8))
    assert [colour_of(frame.picture) for frame in frames] == list(range(8))
    # FFmpeg would say that they are 0.04 s apart.
    span_s = frames[-1].time_s - frames[0].time_s
    assert span_s == pytest.approx(frames[-1].arrived_s - frames[0].arrived_s)


def test_another_size_is_another_epoch(http: HttpServer) -> None:
    with open_source(http.uri("sizes.mjpg"), SourceOptions(drop="none")) as source:
        items = list(itertools.islice(source.frames(), 60))
    sizes = {
        epoch: {frame.picture.shape[1] for frame in frames}
        for epoch, frames in itertools.groupby(
            (one for one in items if isinstance(one, Frame)), key=lambda frame: frame.epoch
        )
    }
    assert sizes == {0: {160}, 1: {200}, 2: {160}}
    events = [one for one in items if isinstance(one, SourceEvent)]
    assert [event.text for event in events] == [
        "200x120 instead of 160x120",
        "160x120 instead of 200x120",
    ]


def test_damaged_pictures_are_left_out_and_counted(http: HttpServer) -> None:
    with open_source(http.uri("damaged.mjpg"), SourceOptions(drop="none")) as source:
        frames = list(itertools.islice(source, 10))
        counts = source.counts
    numbers = [colour_of(frame.picture) for frame in frames]
    assert numbers == [number % 12 for number in range(15) if number % 3 != 2]
    assert counts.broken >= 4
    # Those that were damaged have used up an index.
    assert [frame.index for frame in frames] == [n for n in range(15) if n % 3 != 2]


def test_what_ends_is_taken_up_again(http: HttpServer) -> None:
    with open_source(http.uri("short.mjpg"), SourceOptions(drop="none")) as source:
        items = list(itertools.islice(source.frames(), 16))
    kinds = [one.kind if isinstance(one, SourceEvent) else one.epoch for one in items]
    assert kinds == [0] * 10 + ["lost", "back"] + [1] * 4
    lost = items[10]
    assert isinstance(lost, SourceEvent)
    assert re.match(
        r"the (connection broke|server ended the stream); trying again in 0\.", lost.text
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("401", r"wants a user and a password, or other ones \(401\)"),
        ("403", r"forbidden to this user \(403\)"),
        ("404", r"^The server has no http.*/404 \(404\)"),
        ("410", r"does not understand the request"),
        ("page.html", "is no video that FFmpeg can decode"),
        ("snapshot.jpg", "is a single picture, not a video"),
    ],
)
def test_what_waiting_does_not_mend_is_an_error_at_once(
    http: HttpServer, name: str, words: str
) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        open_source(http.uri(name), SourceOptions(retries=0))
    assert caught.value.exit_code == 4


def test_an_error_of_the_server_is_waited_for(http: HttpServer) -> None:
    with open_source(http.uri("503")) as source:
        (lost,) = itertools.islice(source.frames(), 1)
        assert isinstance(lost, SourceEvent)
        assert lost.text.startswith("an error of the server (5xx); trying again")


def test_user_and_password(http: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="401"):
        open_source(http.uri("secret.mjpg"))
    login = http.uri("secret.mjpg").replace("://", "://me:p%40ss%2Fw%3Ard@")
    with open_source(login) as source:
        assert "ss%2F" not in source.description
        next(iter(source))
    monkeypatch.setenv("EDGECLS_SOURCE_USER", "me")
    monkeypatch.setenv("EDGECLS_SOURCE_PASSWORD", "p@ss/w:rd")
    with open_source(http.uri("secret.mjpg")) as source:
        next(iter(source))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make one with")
def test_a_certificate_of_its_own_making_is_taken(tmp_path: Path) -> None:
    made = tmp_path / "camera.pem"
    words = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=camera",
        "-keyout",
    ]
    subprocess.run(["openssl", *words, made, "-out", made], check=True, capture_output=True)
    server = HttpServer(certificate=made)
    with open_source(server.uri("video.mjpg")) as source:
        assert source.description.startswith("https://")
        next(iter(source))
    server.close()


def test_nobody_there_is_tried_again_unless_told_otherwise() -> None:
    uri = "rtsp://me:secret@127.0.0.1:9/live"
    with open_source(uri) as source:
        (lost,) = itertools.islice(source.frames(), 1)
        assert isinstance(lost, SourceEvent)
        assert lost.text.startswith("connection refused; trying again in 0.")
    with pytest.raises(SourceError) as caught:
        open_source(uri, SourceOptions(retries=0))
    assert caught.value.message == "rtsp://***@127.0.0.1:9/live: connection refused."


def test_a_host_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(host: str, port: None) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    address = address_from_uri("rtsp://me:secret@camera/x")
    broken = av.error.OSError(errno.EIO, "Input/output error", address.uri)
    opens = Attempt(address, limit_s=9, opens=True)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert str(what_went_wrong(broken, opens)) == "there is no host camera"
    reads = Attempt(address, limit_s=9, opens=False)
    assert str(what_went_wrong(broken, reads)) == "the connection broke"
    assert str(what_went_wrong(ValueError(address.uri), reads)) == "ValueError"


# --- blocked ----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    "answer", [b"", b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nConte", b"HTTP/1.1 200 OK\r\nContent-Ty"]
)
def test_a_server_that_says_nothing_or_half_of_it(scheme: str, answer: bytes) -> None:
    server = SilentServer(answer)
    uri = f"{scheme}://127.0.0.1:{server.port}/live"
    started_s = time.monotonic()
    source = open_source(uri, QUICK)
    found: list[Frame | SourceEvent] = []
    reader = threading.Thread(target=lambda: found.extend(source.frames()))
    reader.start()
    # The reader is blocked in the second attempt or waits for it.
    reader.join(0.3)
    interrupted_s = time.monotonic()
    with Pauses() as pauses:
        source.interrupt()
        reader.join(5)
        assert time.monotonic() - interrupted_s < 0.3 + pauses.lost_s
        lost_s = pauses.lost_s
    source.close()
    assert time.monotonic() - interrupted_s < 1.5 + lost_s
    assert time.monotonic() - started_s < 4.0 + lost_s
    assert [one.kind for one in found if isinstance(one, SourceEvent)] in (["silent"], ["lost"])
    server.close()


def test_half_a_picture_and_then_nothing(http: HttpServer) -> None:
    with open_source(http.uri("half.mjpg"), QUICK) as source:
        items = list(itertools.islice(source.frames(), 6))
    silent = items[5]
    assert isinstance(silent, SourceEvent)
    assert silent.text.startswith("no picture for 1 s; trying again")
    assert all(isinstance(one, Frame) for one in items[:5])


# --- RTSP -------------------------------------------------------------------------------------


def test_rtsp_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    server = RtspServer("me", "p@ss/word")
    server.start(5)
    try:
        with pytest.raises(SourceError, match=r"wants a user and a password.*401"):
            open_source(server.uri)
        with pytest.raises(SourceError, match=r"401"):
            open_source(server.uri.replace("://", "://me:wrong@"))
        monkeypatch.setenv("EDGECLS_SOURCE_USER", "me")
        monkeypatch.setenv("EDGECLS_SOURCE_PASSWORD", "p@ss/word")
        with open_source(server.uri) as source:
            assert source.description == f"{server.uri} (160x120, 15 fps, h264)"
            frames = list(itertools.islice(source, 5))
        assert {colour_of(frame.picture) for frame in frames} == {5}
        with pytest.raises(SourceError, match=r"^The server has no rtsp.*\(404\)"):
            open_source(server.uri.replace("/live", "/dead"))
    finally:
        server.kill()


# --- what has an end --------------------------------------------------------------------------


def hls(folder: Path, *, pictures: int, live: bool) -> None:
    """A playlist with segments of half a second; a live one has no end written in it."""
    with av.open(
        str(folder / "live.m3u8"), "w", format="hls", options={"hls_time": "0.5", "g": "12"}
    ) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number in range(pictures):
            picture = cv2.imdecode(np.frombuffer(jpeg(number), np.uint8), cv2.IMREAD_COLOR)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    playlist = folder / "live.m3u8"
    if live:
        playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST\n", ""))


@pytest.mark.parametrize("name", ["live.m3u8", "clip.mp4"])
def test_a_video_is_played_in_real_time_and_over_at_its_end(tmp_path: Path, name: str) -> None:
    if name == "clip.mp4":
        write_numbered(tmp_path / name, 25)
    else:
        hls(tmp_path, pictures=25, live=False)
    server = HttpServer(tmp_path)
    with Pauses() as pauses, open_source(server.uri(name), SourceOptions(drop="none")) as source:
        items = list(source.frames())
        lost_s = pauses.lost_s
    server.close()
    frames = [one for one in items if isinstance(one, Frame)]
    assert len(frames) == len(items) == 25
    took_s = frames[-1].arrived_s - frames[0].arrived_s
    assert took_s == pytest.approx(24 / 25, abs=0.2 + lost_s)
    assert frames[-1].time_s - frames[0].time_s == pytest.approx(24 / 25, abs=0.1)


def test_a_live_playlist_comes_in_bursts_and_is_spread_out(tmp_path: Path) -> None:
    hls(tmp_path, pictures=50, live=True)
    server = HttpServer(tmp_path)
    with Pauses() as pauses, open_source(server.uri("live.m3u8")) as source:
        frames = list(itertools.islice(source, 30))
        lost_s = pauses.lost_s
        assert source.counts.dropped <= lost_s * 25
    server.close()
    took_s = frames[-1].arrived_s - frames[0].arrived_s
    assert took_s == pytest.approx(29 / 25, abs=0.2 + lost_s)


def test_a_playlist_cannot_point_to_files_of_this_machine(tmp_path: Path) -> None:
    secret = write_numbered(tmp_path / "secret.ts.mp4", 25)
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "live.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    )
    server = HttpServer(folder)
    with pytest.raises(SourceError):
        open_source(server.uri("live.m3u8"), SourceOptions(retries=0))
    server.close()
