"""Clips that overlap, at the cost of the frames that are new: rows are computed once and kept."""

from runtime.incremental.clips import Reuse, Sharing, StagedModel, StreamClip
from runtime.incremental.opening import open_incremental, open_staged
from runtime.incremental.session import IncrementalSession

__all__ = [
    "IncrementalSession",
    "Reuse",
    "Sharing",
    "StagedModel",
    "StreamClip",
    "open_incremental",
    "open_staged",
]
