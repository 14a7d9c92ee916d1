"""Frames, resize, crops and views of whole files, against the original pipelines."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import open_bundle
from models.spec import ClipSpec
from runtime import whole_file
from runtime.records import Picture
from runtime.sampling import dense_frames, segment_frames
from runtime.session import Tensor
from runtime.sources import FrameSource, open_source
from runtime.whole_file import classify_whole
from tests.fakes import FakeSession, FakeSource, frame_at
from tests.video_files import ARCHERY

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "preprocess.json").read_text(encoding="utf-8")
)
FILTER_LEVELS = 1
"""Measured between Pillow 11 and 13; OpenCV's rounding depends on the processor. With the versions
named in README.md every pixel is equal."""

DECODER_LEVELS = 0 if platform.machine() == "x86_64" else 6
"""FFmpeg's conversion from YUV to RGB rounds differently elsewhere."""


def drawn(number: int, width: int, height: int) -> Picture:
    """The picture of the rule in README.md; sharp, so that half a pixel more changes everything."""
    y, x, channel = np.ogrid[:height, :width, :3]
    values = 3 * x * x + 5 * y * y + 7 * x * y + x * (11 + number) + 85 * channel + 29 * number
    return np.asarray(values % 256, dtype=np.uint8)


def test_segment_frames() -> None:
    for rule, available, segments, expected in GOLDEN["segment_frames"]:
        assert list(segment_frames(available, segments, rule=rule)) == expected


def test_dense_frames() -> None:
    for available, segments, expected in GOLDEN["dense_frames"]:
        assert [list(clip) for clip in dense_frames(available, segments)] == expected


class SamplingSession(FakeSession):
    """Notes single pixels of the clips it is given, as levels of 0 to 255.

    Args:
        samples: Rows of view, clip, frame, row, column, red, green, blue.
        views: Views per clip; they come one after the other.
    """

    def __init__(self, samples: list[list[int]], views: int) -> None:
        super().__init__(lambda clips: np.zeros((len(clips), 4), np.float32))
        self._samples, self._views = samples, views
        self.runs = 0
        self.differences: list[float] = []

    def run(self, clips: Tensor) -> Tensor:
        clip, view = divmod(self.runs, self._views)
        self.runs += 1
        for row in self._samples:
            if row[:2] == [view, clip]:
                frame, y, x = row[2:5]
                self.differences += np.abs(clips[0, frame, :, y, x] * 255 - row[5:]).tolist()
        return self._fn(clips)


@pytest.mark.parametrize("case", GOLDEN["pictures"], ids=lambda case: case["name"])
def test_views(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if case["video"] is None and not ARCHERY.exists():
        pytest.skip(f"{ARCHERY} is not on this machine")
    clip = ClipSpec.model_validate({**case["clip"], "mean": (0, 0, 0), "std": (1, 1, 1)})
    card = open_bundle(None).card.model_copy(update={"clip": clip, "labels": tuple("abcd")})

    def opened(uri: str) -> FrameSource:
        if case["video"] is None:
            return open_source(uri)
        count, width, height = case["video"]
        pictures = (drawn(number, width, height) for number in range(count))
        return FakeSource(frame_at(i / 25, i, picture=one) for i, one in enumerate(pictures))

    monkeypatch.setattr(whole_file, "open_source", opened)
    if case["video"] is not None:
        monkeypatch.setattr(whole_file, "chosen_frames", lambda uri, choose: None)
    session = SamplingSession(case["samples"], case["views"])
    classify_whole(
        str(ARCHERY),
        session,
        card,
        top_k=1,
        threshold=0.0,
        views=case["views"],
        sampling=case["sampling"],
    )
    assert session.runs == case["views"] * (10 if case["sampling"] == "dense" else 1)
    assert len(session.differences) == 3 * len(case["samples"])
    decoder = DECODER_LEVELS if case["video"] is None else 0
    assert max(session.differences) <= FILTER_LEVELS + decoder + 1e-3
