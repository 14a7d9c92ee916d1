from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import UsageError
from runtime.sources.raw_video import Pixels, RawVideo, rgb_from_raw
from tests.video_files import number_of, numbered_picture


@pytest.mark.parametrize(
    ("text", "size", "fps", "pixels", "count"),
    [
        ("640x480@25", (640, 480), 25.0, "rgb24", 921600),
        ("640x480@29.97:bgr24", (640, 480), 29.97, "bgr24", 921600),
        ("64x48@10:yuv420p", (64, 48), 10.0, "yuv420p", 4608),
        ("64x48@10:nv12", (64, 48), 10.0, "nv12", 4608),
        ("3x5@.5:gray", (3, 5), 0.5, "gray", 15),
    ],
)
def test_what_users_write(
    text: str, size: tuple[int, int], fps: float, pixels: str, count: int
) -> None:
    raw = RawVideo.read(text)
    assert ((raw.width, raw.height), raw.fps, raw.pixels) == (size, fps, pixels)
    assert raw.picture_bytes == count
    assert RawVideo.read(str(raw)) == raw


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("640x480", "is not WIDTHxHEIGHT@FPS"),
        ("640x480@25:", "is not WIDTHxHEIGHT@FPS"),
        ("640x480@..", "is not WIDTHxHEIGHT@FPS"),
        ("-64x48@25", "is not WIDTHxHEIGHT@FPS"),
        ("0x48@25", "sides from 1 to 16384, got 0x48"),
        ("64x99999@25", "sides from 1 to 16384"),
        ("64x48@0", "up to 1000 pictures per second, got 0"),
        ("64x48@1001", "up to 1000 pictures per second"),
        ("63x48@25:nv12", "both sides are even"),
        ("64x47@25:yuv420p", "both sides are even"),
        ("64x48@25:yuyv", "knows no pixels 'yuyv', only rgb24, bgr24"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        RawVideo.read(text)
    assert "--raw 640x480@25:yuv420p" in caught.value.hint


@given(st.text(alphabet="0123456789x@:.abgr\n", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        raw = RawVideo.read(text)
    except UsageError:
        return
    assert raw.picture_bytes > 0


@pytest.mark.parametrize("pixels", ["rgb24", "bgr24", "yuv420p", "nv12", "gray"])
def test_every_layout_gives_the_picture(pixels: Pixels) -> None:
    picture = numbered_picture(21)
    data = {
        "rgb24": picture,
        "bgr24": picture[:, :, ::-1],
        "gray": picture[:, :, 0],
        "yuv420p": (i420 := cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)),
        "nv12": _nv12(np.asarray(i420)),
    }[pixels]
    raw = RawVideo(width=64, height=48, fps=25.0, pixels=pixels)
    read = bytearray(data.tobytes())
    found = rgb_from_raw(read, raw)
    assert found.dtype == np.uint8
    assert found.shape == (48, 64, 3)
    assert number_of(found) == 21
    assert np.abs(found.astype(int) - picture).max() <= 3
    before = found.copy()
    read[:] = bytes(len(read))
    np.testing.assert_array_equal(found, before)


def test_colours_keep_their_places() -> None:
    picture = np.empty((4, 4, 3), np.uint8)
    picture[:] = (200, 40, 90)
    for pixels, data in (
        ("rgb24", picture),
        ("bgr24", picture[:, :, ::-1]),
        ("yuv420p", cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)),
    ):
        raw = RawVideo.read(f"4x4@1:{pixels}")
        found = rgb_from_raw(data.tobytes(), raw)
        assert np.abs(found.astype(int) - picture).max() <= 3


def _nv12(i420: np.ndarray) -> np.ndarray:
    """The same picture with its two colours pixel by pixel."""
    u, v = i420[48:60].reshape(-1), i420[60:].reshape(-1)
    return np.concatenate([i420[:48].reshape(-1), np.stack([u, v], axis=1).reshape(-1)])
