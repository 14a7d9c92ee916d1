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
    "paddlevideo": "PaddleVideo, docs/zh-CN/model_zoo/recognition/ (pp-tsm, pp-tsn, tsm, tsn)",
    "paddlex": "PaddleX, docs/module_usage/tutorials/video_modules/video_classification.en.md",
}
"""Documents, by the name that `Published.source` uses. PaddleX's own list of the addresses of its
exported programs is paddlex/inference/utils/official_models.py."""

_V21, _V22, _V23 = (
    f"https://videotag.bj.bcebos.com/PaddleVideo-release{release}/"
    for release in ("2.1", "2.2", "2.3")
)
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


def _paddlevideo(name: str, family: str, url: str, top1: float, *, note: str = "") -> Published:
    """A checkpoint of PaddleVideo; the name tells the number of frames that it is tested with."""
    frames = next(int(part[:-1]) for part in name.split("-") if part[:-1].isdigit())
    return Published(
        name=name,
        family=family,
        frames=frames,
        kind="pdparams",
        url=url,
        top1_percent=top1,
        size_mb=None,
        source="paddlevideo",
        note=note,
    )


CATALOG: tuple[Published, ...] = (
    *_paddlex("pptsmv2-8f", "PP-TSMv2-LCNetV2_8frames_uniform", "pp-tsmv2", 8, 71.71),
    *_paddlex("pptsmv2-16f", "PP-TSMv2-LCNetV2_16frames_uniform", "pp-tsmv2", 16, 73.11),
    *_paddlex("pptsm-r50-8f", "PP-TSM-R50_8frames_uniform", "pp-tsm", 8, 74.36),
    _paddlevideo("pptsmv2-8f", "pp-tsmv2", f"{_V23}PPTSMv2_k400_8f.pdparams", 71.81),
    _paddlevideo("pptsmv2-16f", "pp-tsmv2", f"{_V23}PPTSMv2_k400_16f.pdparams", 73.1),
    _paddlevideo(
        "pptsmv2-8f-dml",
        "pp-tsmv2",
        f"{_V23}PPTSMv2_k400_8f_dml_student.pdparams",
        72.45,
        note="DML, student",
    ),
    _paddlevideo(
        "pptsmv2-16f-dml",
        "pp-tsmv2",
        f"{_V23}PPTSMv2_k400_16f_dml_student.pdparams",
        75.16,
        note="DML, student",
    ),
    _paddlevideo("pptsm-mv2-8f", "pp-tsm-mv2", f"{_V23}ppTSM_mv2_k400.pdparams", 68.09),
    _paddlevideo("pptsm-mv3-8f", "pp-tsm-mv3", f"{_V23}ppTSM_mv3_k400.pdparams", 69.84),
    _paddlevideo("pptsm-r50-8f", "pp-tsm", f"{_V21}PPTSM/ppTSM_k400_uniform.pdparams", 74.54),
    _paddlevideo(
        "pptsm-r50-8f-distilled",
        "pp-tsm",
        f"{_V21}PPTSM/ppTSM_k400_uniform_distill.pdparams",
        75.11,
        note="distilled",
    ),
    _paddlevideo(
        "pptsm-r50-8f-dense",
        "pp-tsm",
        f"{_V21}PPTSM/ppTSM_k400_dense.pdparams",
        75.69,
        note="dense",
    ),
    _paddlevideo(
        "pptsm-r50-8f-dense-distilled",
        "pp-tsm",
        f"{_V21}PPTSM/ppTSM_k400_dense_distill.pdparams",
        76.16,
        note="distilled, dense",
    ),
    _paddlevideo(
        "pptsm-r101-8f-distilled",
        "pp-tsm",
        f"{_V22}ppTSM_k400_uniform_distill_r101.pdparams",
        76.35,
        note="distilled",
    ),
    _paddlevideo(
        "pptsm-r101-8f-dense",
        "pp-tsm",
        f"{_V22}ppTSM_k400_dense_r101.pdparams",
        77.15,
        note="dense",
    ),
    _paddlevideo(
        "pptsn-r50-25f",
        "pp-tsn",
        f"{_V22}ppTSN_k400.pdparams",
        73.68,
        note="3 in training",
    ),
    _paddlevideo(
        "pptsn-r50-25f-distilled",
        "pp-tsn",
        f"{_V22}ppTSN_k400_8.pdparams",
        75.06,
        note="distilled, 8 in training",
    ),
    _paddlevideo("tsn-r50-25f", "tsn", f"{_V22}TSN_k400.pdparams", 69.81, note="3 in training"),
    _paddlevideo("tsn-r50-25f-8", "tsn", f"{_V22}TSN_k400_8.pdparams", 71.7, note="8 in training"),
    _paddlevideo("tsm-r50-8f", "tsm", f"{_V21}TSM/TSM_k400.pdparams", 71.06),
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
