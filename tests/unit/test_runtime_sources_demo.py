from __future__ import annotations

import numpy as np
import pytest

from models.motion.demo import FRAME_RATE, demo_frames, demo_schedule
from runtime.sources import open_source


def test_whole_clip_in_time_and_the_same_every_time() -> None:
    with open_source("demo") as source:
        assert not source.live
        assert source.description == "demo (built in, 320x240, 25 fps)"
        assert source.fps == FRAME_RATE
        assert source.counts.dropped == 0
        assert source.duration_s == demo_schedule()[-1].end_s
        count = round(source.duration_s * FRAME_RATE)
        # Side by side, since painting the textures is what takes time.
        for index, (frame, (_, picture)) in enumerate(zip(source, demo_frames(), strict=True)):
            assert frame.index == index
            assert frame.time_s == pytest.approx(index / FRAME_RATE)
            assert frame.picture.shape == (240, 320, 3)
            np.testing.assert_array_equal(frame.picture, picture)
        assert index == count - 1
