"""Find out what the user pointed at: a checkpoint, or an exported model and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.errors import CheckpointError, CheckpointNotFound

CONFIG_NAME = "inference.yml"
_WANTED = (
    "a .pdparams file, or an exported model: .pdmodel + .pdiparams, or inference.json +"
    " inference.pdiparams"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The files of one source.

    Attributes:
        kind: `pdparams` (weights only), `pdmodel` (program of Paddle 2), `pir` (of Paddle 3) or
            `onnx`.
        path: The file given to the converter: weights, or the program.
        weights: The weights of an exported model; equals `path` for a checkpoint.
        config: PaddleX's `inference.yml` beside it, if there is one.
        notes: What was chosen among several files, one sentence each.
    """

    kind: Literal["pdparams", "pdmodel", "pir", "onnx"]
    path: Path
    weights: Path
    config: Path | None
    notes: tuple[str, ...] = ()


def locate(source: Path) -> Located:
    """Resolve a path to the files of one model.

    A folder must hold exactly one model; an exported one is preferred over a checkpoint because
    it says more.

    Raises:
        CheckpointNotFound: Nothing is there, or the weights of a program are missing.
        CheckpointError: The path is something else, or a folder holds several models.
    """
    if not source.exists():
        raise CheckpointNotFound(f"{source} does not exist.", hint=f"SRC is {_WANTED}.")
    if source.is_dir():
        source = _only_model_in(source)
    if source.suffix == ".pdparams":
        return Located(kind="pdparams", path=source, weights=source, config=_config(source))
    if source.suffix == ".onnx":
        return Located(kind="onnx", path=source, weights=source, config=None)
    program = _program_for(source)
    weights = program.with_suffix(".pdiparams")
    if not weights.exists():
        raise CheckpointNotFound(
            f"{program} has no weights beside it: {weights.name} is missing.",
            hint=f"Put {weights.name} into {program.parent}",
        )
    kind: Literal["pdmodel", "pir"] = "pdmodel" if program.suffix == ".pdmodel" else "pir"
    return Located(kind=kind, path=program, weights=weights, config=_config(program))


def _config(path: Path) -> Path | None:
    config = path.parent / CONFIG_NAME
    return config if config.is_file() else None


def _only_model_in(folder: Path) -> Path:
    programs = [
        path for path in sorted(folder.glob("*.json")) if path.with_suffix(".pdiparams").exists()
    ]
    programs += sorted(folder.glob("*.pdmodel"))
    orphans = [path for path in sorted(folder.glob("inference.json")) if path not in programs]
    found = programs or orphans or sorted(folder.glob("*.pdparams"))
    if not found:
        raise CheckpointNotFound(f"{folder} holds no model.", hint=f"It should hold {_WANTED}.")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise CheckpointError(
            f"{folder} holds {len(found)} models: {names}.",
            hint=f"Name the one to convert: edgecls convert {found[0]} -o BUNDLE",
        )
    return found[0]


def _program_for(path: Path) -> Path:
    if path.suffix in {".pdmodel", ".json"}:
        return path
    if path.suffix == ".pdiparams":
        for suffix in (".json", ".pdmodel"):
            if path.with_suffix(suffix).exists():
                return path.with_suffix(suffix)
        raise CheckpointNotFound(
            f"{path} holds only weights; its program {path.stem}.json or {path.stem}.pdmodel is"
            " missing.",
            hint=f"Put the program into {path.parent}",
        )
    raise CheckpointError(f"{path} is not a Paddle model.", hint=f"SRC is {_WANTED}.")
