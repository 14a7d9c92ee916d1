"""Published checkpoints: where they are, and how accurate their authors say they are.

Every address and every number stands in one of the public documents named in `SOURCES`; none was
measured here. Their authors publish no checksums, so `models.download` pins what was received
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.errors import UsageError

Kind = Literal["pdparams", "inference"]

DATASET = "Kinetics-400"

LICENCE = (
    "PaddleVideo and PaddleX are released under the Apache License 2.0; their documents state"
    " no separate licence for the weights"
)

SOURCES: dict[str, str] = {
    "paddlevideo": "PaddleVideo, docs/zh-CN/model_zoo/recognition/pp-tsm.md",
    "paddlex": "PaddleX, docs/module_usage/tutorials/video_modules/video_classification.en.md",
}
"""Documents, by the name that `Published.source` uses. PaddleX's own list of the addresses of its
exported programs is paddlex/inference/utils/official_models.py."""

_VIDEO = "https://videotag.bj.bcebos.com/PaddleVideo-release2.3/"
_VIDEO_21 = "https://videotag.bj.bcebos.com/PaddleVideo-release2.1/PPTSM/"
_PADDLEX = "https://paddle-model-ecology.bj.bcebos.com/paddlex/"
_INFERENCE = f"{_PADDLEX}official_inference_model/paddle3.0.0/"
_PRETRAINED = f"{_PADDLEX}official_pretrained_model/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A checkpoint that can be downloaded.

    Attributes:
        name: Name used by `edgecls models pull`.
        family: Network family of this code base.
        frames: Frames per clip.
        kind: `pdparams` (weights) or `inference` (a tar of an exported program).
        url: Where it is.
        top1_percent: Accuracy on the validation set of `DATASET`, as published.
        size_mb: Size as published, in MB; None where the document names none. For weights it is
            the size of the exported model that the document gives.
        source: Key of `SOURCES`.
        note: What is special about it; may be empty.
    """

    name: str
    family: str
    frames: int
    kind: Kind
    url: str
    top1_percent: float
    size_mb: float | None
    source: Literal["paddlevideo", "paddlex"]
    note: str = ""

    @property
    def file(self) -> str:
        """Name of the downloaded file."""
        return self.url.rsplit("/", 1)[1]


def _paddlex(name: str, model: str, family: str, frames: int, top1: float) -> tuple[Published, ...]:
    """The two forms in which PaddleX publishes a model."""
    size_mb = 93.4 if family == "pp-tsm" else 22.5
    forms: tuple[tuple[str, Kind, str], ...] = (
        ("", "inference", f"{_INFERENCE}{model}_infer.tar"),
        ("-weights", "pdparams", f"{_PRETRAINED}{model}_pretrained.pdparams"),
    )
    return tuple(
        Published(
            name=f"{name}-paddlex{suffix}",
            family=family,
            frames=frames,
            kind=kind,
            url=url,
            top1_percent=top1,
            size_mb=size_mb,
            source="paddlex",
        )
        for suffix, kind, url in forms
    )


CATALOG: tuple[Published, ...] = (
    *_paddlex("pptsmv2-8f", "PP-TSMv2-LCNetV2_8frames_uniform", "pp-tsmv2", 8, 71.71),
    *_paddlex("pptsmv2-16f", "PP-TSMv2-LCNetV2_16frames_uniform", "pp-tsmv2", 16, 73.11),
    *_paddlex("pptsm-r50-8f", "PP-TSM-R50_8frames_uniform", "pp-tsm", 8, 74.36),
    Published(
        name="pptsmv2-8f",
        family="pp-tsmv2",
        frames=8,
        kind="pdparams",
        url=f"{_VIDEO}PPTSMv2_k400_8f.pdparams",
        top1_percent=71.81,
        size_mb=None,
        source="paddlevideo",
    ),
    Published(
        name="pptsmv2-16f",
        family="pp-tsmv2",
        frames=16,
        kind="pdparams",
        url=f"{_VIDEO}PPTSMv2_k400_16f.pdparams",
        top1_percent=73.1,
        size_mb=None,
        source="paddlevideo",
    ),
    Published(
        name="pptsmv2-8f-dml",
        family="pp-tsmv2",
        frames=8,
        kind="pdparams",
        url=f"{_VIDEO}PPTSMv2_k400_8f_dml_student.pdparams",
        top1_percent=72.45,
        size_mb=None,
        source="paddlevideo",
        note="DML, student",
    ),
    Published(
        name="pptsmv2-16f-dml",
        family="pp-tsmv2",
        frames=16,
        kind="pdparams",
        url=f"{_VIDEO}PPTSMv2_k400_16f_dml_student.pdparams",
        top1_percent=75.16,
        size_mb=None,
        source="paddlevideo",
        note="DML, student",
    ),
    Published(
        name="pptsm-r50-8f",
        family="pp-tsm",
        frames=8,
        kind="pdparams",
        url=f"{_VIDEO_21}ppTSM_k400_uniform.pdparams",
        top1_percent=74.54,
        size_mb=None,
        source="paddlevideo",
    ),
    Published(
        name="pptsm-r50-8f-distilled",
        family="pp-tsm",
        frames=8,
        kind="pdparams",
        url=f"{_VIDEO_21}ppTSM_k400_uniform_distill.pdparams",
        top1_percent=75.11,
        size_mb=None,
        source="paddlevideo",
        note="distilled",
    ),
)


def published(name: str) -> Published:
    """Look a checkpoint up.

    Raises:
        UsageError: There is none of that name; the hint lists those that come closest.
    """
    from difflib import get_close_matches

    for entry in CATALOG:
        if entry.name == name:
            return entry
    known = [entry.name for entry in CATALOG]
    close = get_close_matches(name, known, n=3) or known
    raise UsageError(
        f"There is no published model {name!r}.", hint=f"edgecls models list; {', '.join(close)}"
    )
