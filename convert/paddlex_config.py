"""PaddleX's `inference.yml`: what it says of labels, frames and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import CheckpointError
from models.spec import Finite, Side

MAX_BYTES = 1 << 20
"""Larger files are refused: the label list of Kinetics-400 has 6 kB."""

MAX_OPERATORS = 100
_NULLS = ("", "~", "null", "Null", "NULL")
"""How YAML writes that there is nothing (YAML 1.2, core schema)."""

Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _ReadVideo(BaseModel):
    num_seg: Annotated[int, Field(ge=1, le=256)] = 8


class _Scale(BaseModel):
    # PaddleX passes only short_size on: its resize is always 4:3, by OpenCV.
    short_size: Side = 224


class _CenterCrop(BaseModel):
    target_size: Side = 224


class _Normalize(BaseModel):
    mean: tuple[Finite, Finite, Finite] | None = None
    std: tuple[Deviation, Deviation, Deviation] | None = None


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

    Every value is read as the text that it is written as, so that the labels `no`, `007` and
    `1e3` stay what they are; tags and merge keys have no effect. The reader is the one in
    Python: that in C crashes on a file that is nested deeply.

    Raises:
        CheckpointError: Not YAML, too large, or a field has the wrong type.
    """
    import yaml

    remove = f"Mend or remove {path}; flags such as --frames and --labels replace it."
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path} is larger than {MAX_BYTES >> 20} MiB.", hint=remove)
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} is not readable YAML: {reason}.", hint=remove) from error
    try:
        return _interpret(raw)
    except (ValidationError, TypeError) as error:
        raise CheckpointError(
            f"{path} is not a PaddleX configuration: {_reason(error)}.", hint=remove
        ) from error


def _reason(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def _interpret(raw: Any) -> PaddleXConfig:
    sections = _mapping(raw, "the file")
    operators: dict[str, Any] = {}
    preprocess = _section(sections, "PreProcess") or {}
    steps = _given(preprocess.get("transform_ops")) or []
    if not isinstance(steps, list) or len(steps) > MAX_OPERATORS:
        raise TypeError(f"transform_ops is not a list of at most {MAX_OPERATORS} operators")
    for item in steps:
        operators.update(_mapping(item, "an entry of transform_ops"))
    read = _section(operators, "ReadVideo")
    scale = _section(operators, "Scale")
    crop = _section(operators, "CenterCrop")
    normalize = _section(operators, "NormalizeVideo")
    post = _section(sections, "PostProcess") or {}
    topk = _Topk.model_validate(_section(post, "Topk") or {})
    name = _given((_section(sections, "Global") or {}).get("model_name"))
    statistics = _Normalize.model_validate(normalize or {})
    return PaddleXConfig(
        model_name=name if isinstance(name, str) else None,
        frames=None if read is None else _ReadVideo.model_validate(read).num_seg,
        short_side=None if scale is None else _Scale.model_validate(scale).short_size,
        crop=None if crop is None else _CenterCrop.model_validate(crop).target_size,
        mean=statistics.mean,
        std=statistics.std,
        labels=None if topk.label_list is None else tuple(topk.label_list),
    )


def _given(value: Any) -> Any:
    """None where the file says that there is nothing."""
    return None if isinstance(value, str) and value in _NULLS else value


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{what} is a {type(value).__name__}, not a mapping")
    return value


def _section(parent: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A mapping inside another; None where there is none, and no keys without a value."""
    if name not in parent:
        return None
    section = _mapping(_given(parent[name]) or {}, name)
    return {key: value for key, value in section.items() if _given(value) is not None}
