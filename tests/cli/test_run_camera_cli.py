"""`edgecls run` on a camera, for which a capture of OpenCV and a device file stand in."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.bundle import Bundle
from runtime.records import Picture
from runtime.sources import camera
from tests.cli.command import NEEDS_ENGINES
from tests.cli.in_process import called
from tests.unit.test_runtime_sources_camera import Obedient

FPS = 50
FROZEN, LOST = int(1.2 * FPS), int(2.7 * FPS)
"""Pictures until the picture moves, and until the camera is unplugged."""


class Plugged:
    """A camera that shows the same picture for a while, and is unplugged once."""

    def __init__(self) -> None:
        self.openings: list[Obedient] = []
        self.shown = 0
        self._rng = np.random.default_rng(0)

    def open(self, number: int, api: int) -> Obedient:
        """As `cv2.VideoCapture`."""
        self.openings.append(_Opened(self))
        return self.openings[-1]

    def picture(self) -> Picture:
        """The newest."""
        if self.shown < FROZEN:
            return np.full((48, 64, 3), 100, np.uint8)
        return self._rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)


class _Opened(Obedient):
    def __init__(self, plugged: Plugged) -> None:
        super().__init__(6)
        self._plugged = plugged

    def grab(self) -> bool:
        time.sleep(1 / FPS)
        self._plugged.shown += 1
        return self._plugged.shown != LOST

    def retrieve(self) -> tuple[bool, Picture | None]:
        return True, self._plugged.picture()


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugged:
    (tmp_path / "video7").touch()
    monkeypatch.setattr(camera, "_DEVICES", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    device = Plugged()
    monkeypatch.setattr(cv2, "VideoCapture", device.open)
    return device


@NEEDS_ENGINES
def test_what_befalls_a_camera(
    plugged: Plugged, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = called(
        *("run", bundle.path, "--source", "camera7", "--format", "jsonl", "--max-windows", "9"),
        *("--camera-size", "64x48", "--camera-format", "mjpeg", "--frozen-after", "1"),
        monkeypatch=monkeypatch,
    )
    assert done.code == 0, done.err
    assert "camera7 (64x48, YUYV, 30 fps; asked for MJPG)" in done.err
    # The same is asked for after each opening.
    assert len(plugged.openings) == 2
    assert plugged.openings[0].asked == plugged.openings[1].asked
    lines = [json.loads(line) for line in done.out.splitlines()]
    told = [line["change"] for line in lines if line["type"] == "source"]
    assert told == ["frozen", "picture", "lost", "back"]
    kinds = [line.get("change", line["type"]) for line in lines]
    # Results go on while the picture is frozen.
    assert "window" in kinds[kinds.index("frozen") : kinds.index("picture")]
    resets = [line["resets"] for line in lines if line["type"] == "window"]
    assert (resets[0], resets[-1]) == (0, 1)
    assert "the picture has not changed at all for 1 s" in done.err
    assert "the picture moves again, after" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("demo", "--camera-size", "640x480"), "--camera-size is about cameras, and demo is none"),
        (("camera7", "--camera-size", "640"), "--camera-size takes width and height"),
        (("camera7", "--camera-format", "H.264"), "--camera-format takes the four letters"),
        (("camera7", "--camera-fps", "0"), "--camera-fps must be above 0"),
        (("camera7", "--frozen-after", "-1"), "--frozen-after must be 0"),
    ],
)
def test_mistakes_in_options(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    done = called("run", bundle.path, "--source", *words, monkeypatch=monkeypatch, columns=200)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
