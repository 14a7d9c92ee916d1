"""edgecls from Python: open a converted model, classify files, follow streams.

    import edgecls

    with edgecls.open_session() as session:
        print(session.classify_file("demo").top[0].label)

The command line is built on these names. They are the ones that stay; what other packages of the
distribution (`models`, `runtime`, `convert`, `calibration`) hold may change with any release.
"""

from __future__ import annotations

from edgecls.clip_session import ClipSession, open_session
from edgecls.loading import load_bundle
from edgecls.stream_session import StreamSession, open_stream
from edgecls.windows import Windows
from models.bundle import Bundle
from models.card import ModelCard
from models.errors import EdgeclsError
from models.version import edgecls_version
from runtime.engine_request import EngineRequest
from runtime.placement import Placement
from runtime.records import Latency, Prediction, ScoredLabel
from runtime.sources import SourceOptions

__all__ = [
    "Bundle",
    "ClipSession",
    "EdgeclsError",
    "EngineRequest",
    "Latency",
    "ModelCard",
    "Placement",
    "Prediction",
    "ScoredLabel",
    "SourceOptions",
    "StreamSession",
    "Windows",
    "edgecls_version",
    "load_bundle",
    "open_session",
    "open_stream",
]
