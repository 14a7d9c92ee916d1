"""PaddleX's `inference.yml`: what it says of labels, frames and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from models.errors import CheckpointError
from models.extras import extra

MAX_BYTES = 8 << 20
"""Larger files are refused: a label list of a million classes is far smaller."""


class _ReadVideo(BaseModel):
    num_seg: int = 8


class _Scale(BaseModel):
    # PaddleX passes only short_size on: its resize is always 4:3, by OpenCV.
    short_size: int = 224


class _CenterCrop(BaseModel):
    target_size: int = 224


class _Normalize(BaseModel):
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None


class _Topk(BaseModel):
    label_list: list[str] | None = None
    model_config = ConfigDict(coerce_numbers_to_str=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddleXConfig:
    """The parts of an `inference.yml` that concern us; None where it is silent.

    Attributes:
        model_name: PaddleX's name of the model, e.g. "PP-TSMv2-LCNetV2_8frames_uniform".
        frames: `ReadVideo.num_seg`.
        short_side: `Scale.short_size`, in pixels.
        crop: `CenterCrop.target_size`, in pixels.
        mean: `NormalizeVideo.mean`.
        std: `NormalizeVideo.std`.
        labels: `PostProcess.Topk.label_list`.
    """

    model_name: str | None
    frames: int | None
    short_side: int | None
    crop: int | None
    mean: tuple[float, float, float] | None
    std: tuple[float, float, float] | None
    labels: tuple[str, ...] | None


def read_paddlex_config(path: Path) -> PaddleXConfig:
    """Read an `inference.yml`.

    Raises:
        CheckpointError: Not YAML, too large, or a field has the wrong type.
    """
    with extra("convert", "Reading inference.yml"):
        import yaml
    remove = f"Mend or remove {path}; flags such as --frames and --labels replace it."
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path} is larger than {MAX_BYTES >> 20} MiB.", hint=remove)
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path} is not readable YAML: {error}.", hint=remove) from error
    try:
        return _interpret(raw)
    except (ValidationError, TypeError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise CheckpointError(
            f"{path} is not a PaddleX configuration: {detail}.", hint=remove
        ) from error


def _interpret(raw: Any) -> PaddleXConfig:
    sections = _mapping(raw, "the file")
    operators: dict[str, Any] = {}
    preprocess = _mapping(sections.get("PreProcess") or {}, "PreProcess")
    for item in preprocess.get("transform_ops") or []:
        operators.update(_mapping(item, "an entry of transform_ops"))
    read = _section(operators, "ReadVideo")
    scale = _section(operators, "Scale")
    crop = _section(operators, "CenterCrop")
    normalize = _section(operators, "NormalizeVideo")
    post = _mapping(sections.get("PostProcess") or {}, "PostProcess")
    topk = _Topk.model_validate(_section(post, "Topk") or {})
    name = _mapping(sections.get("Global") or {}, "Global").get("model_name")
    statistics = _Normalize.model_validate(normalize or {})
    return PaddleXConfig(
        model_name=str(name) if name is not None else None,
        frames=None if read is None else _ReadVideo.model_validate(read).num_seg,
        short_side=None if scale is None else _Scale.model_validate(scale).short_size,
        crop=None if crop is None else _CenterCrop.model_validate(crop).target_size,
        mean=statistics.mean,
        std=statistics.std,
        labels=None if topk.label_list is None else tuple(topk.label_list),
    )


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{what} is a {type(value).__name__}, not a mapping")
    return value


def _section(operators: dict[str, Any], name: str) -> dict[str, Any] | None:
    return None if name not in operators else _mapping(operators[name] or {}, name)
