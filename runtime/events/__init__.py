"""From predictions to events: smoothing, hysteresis, minimum duration, cooldown."""

from __future__ import annotations

from runtime.events.changes import Event, EventChange
from runtime.events.detector import EventDetector
from runtime.events.rules import EventRules, LabelRule, RuleWords
from runtime.events.smoothing import Smoothing, SmoothKind, smoother
from runtime.events.watch import EventWatch, WatchedStream

__all__ = [
    "Event",
    "EventChange",
    "EventDetector",
    "EventRules",
    "EventWatch",
    "LabelRule",
    "RuleWords",
    "SmoothKind",
    "Smoothing",
    "WatchedStream",
    "smoother",
]
