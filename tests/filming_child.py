"""Records an event that never ends, at 30 pictures a second; made to be killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from runtime.events import Event, EventChange
from runtime.outputs.clip_recorder import ClipSettings
from runtime.outputs.clips import EventClips
from runtime.records import Frame

if __name__ == "__main__":
    clips = EventClips({0: ClipSettings(folder=Path(sys.argv[1]))}, live=[True])
    started_s = time.monotonic()
    index = 0
    while True:
        picture = np.full((240, 320, 3), index % 256, np.uint8)
        picture[index % 240] = 255
        now_s = time.monotonic()
        clips.frame(
            Frame(
                picture=picture,
                index=index,
                time_s=now_s - started_s,
                arrived_s=now_s,
                decode_ms=0.0,
            ),
            0,
        )
        if index == 3:
            event = Event(id="0-1", label="fall", start_s=0.0, peak=0.9, peak_s=0.0)
            clips.event(EventChange(kind="start", event=event, time_s=0.1))
            sys.stdout.write("begun\n")
            sys.stdout.flush()
        index += 1
        time.sleep(max(0.0, started_s + index / 30 - time.monotonic()))
