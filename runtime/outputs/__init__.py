"""Where results and events go besides stdout; one file per kind of output."""

from __future__ import annotations

from runtime.outputs.base import EventNews, FrameOutput, Output

__all__ = ["EventNews", "FrameOutput", "Output"]
