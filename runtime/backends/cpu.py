"""ONNX Runtime on the CPU: runs everywhere."""

from __future__ import annotations

from pathlib import Path

from models.card import ModelCard
from models.stages import Stage
from runtime.backends._ort import SETTINGS, open_ort, probe_ort
from runtime.backends._ort_stage import open_ort_stage
from runtime.session import Backend, Probe, Session, SessionOptions
from runtime.stage_session import StageSession

_NAME = "cpu"
_EXTRA = "cpu"
_PROVIDER = "CPUExecutionProvider"


def _probe() -> Probe:
    return probe_ort(_PROVIDER, extra_name=_EXTRA)


def _open(path: Path, card: ModelCard, options: SessionOptions) -> Session:
    return open_ort(path, card, options, backend=_NAME, extra_name=_EXTRA, provider=_PROVIDER)


def _open_stage(path: Path, stage: Stage, options: SessionOptions) -> StageSession:
    return open_ort_stage(
        path, stage, options, backend=_NAME, extra_name=_EXTRA, provider=_PROVIDER
    )


BACKEND = Backend(
    name=_NAME,
    extra=_EXTRA,
    probe=_probe,
    open=_open,
    open_stage=_open_stage,
    settings=SETTINGS,
)
