"""Find out what the user pointed at: a checkpoint, an exported model, or a folder of them."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convert.checkpoint import OPTIMIZER_SUFFIXES, optimizer_only
from models.errors import CheckpointError, CheckpointNotFound

CONFIG_NAME = "inference.yml"
EXPORT_FOLDER = "inference"
"""Where PaddleX and PaddleClas put the exported program of a checkpoint, beside it."""

BEST_FOLDERS = ("best_model", "latest")
"""Folders of a PaddleX training's output that hold one model, the better first."""

WEIGHTS_SUFFIXES = (".pdparams", ".pdema", ".safetensors")
_WANTED = (
    "a .pdparams file, an exported model (.pdmodel + .pdiparams, or inference.json +"
    " inference.pdiparams), an .onnx file, or a folder that holds one of them"
)
_BEST = re.compile(r"(.*_)?best(_model)?")
_STUDENT = "_student"
_SHOWN = 8
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


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

    Of a folder the exported program is taken, in it or in its `inference/`, because it says more
    than a checkpoint; else the checkpoint, of several the only best one, a student before the
    file that holds it and its teacher; else the same of PaddleX's `best_model/` and `latest/`;
    else an ONNX file.

    Raises:
        CheckpointNotFound: Nothing is there, or the weights of a program are missing.
        CheckpointError: The path is something else, cannot be read, or holds several models.
    """
    try:
        if not _is_folder(source):
            return _located(source, ())
        path = _model_in(source)
        return _located(path, _about(path, source))
    except CheckpointError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CheckpointNotFound(f"{source} does not exist.", hint=f"SRC is {_WANTED}.") from error
    except OSError as error:
        why = "it is a symbolic link to itself" if error.errno == errno.ELOOP else error.strerror
        raise CheckpointError(f"{source} cannot be read: {why}.") from error


def _is_folder(source: Path) -> bool:
    mode = source.stat().st_mode
    if stat.S_ISDIR(mode):
        return True
    if not stat.S_ISREG(mode):
        what = _KINDS.get(stat.S_IFMT(mode), "no file")
        raise CheckpointError(f"{source} is {what}; expected a file.", hint=f"SRC is {_WANTED}.")
    return False


def _located(path: Path, notes: tuple[str, ...]) -> Located:
    if path.suffix in OPTIMIZER_SUFFIXES:
        raise optimizer_only(path)
    if path.suffix in WEIGHTS_SUFFIXES:
        config = _config(path.parent) or _config(path.parent / EXPORT_FOLDER)
        return Located(kind="pdparams", path=path, weights=path, config=config, notes=notes)
    if path.suffix == ".onnx":
        return Located(kind="onnx", path=path, weights=path, config=None, notes=notes)
    program = _program_for(path)
    weights = program.with_suffix(".pdiparams")
    if not weights.is_file():
        raise CheckpointNotFound(
            f"{program} has no weights beside it: {weights.name} is missing.",
            hint=f"Put {weights.name} into {program.parent}",
        )
    kind: Literal["pdmodel", "pir"] = "pdmodel" if program.suffix == ".pdmodel" else "pir"
    config = _config(program.parent)
    return Located(kind=kind, path=program, weights=weights, config=config, notes=notes)


def _config(folder: Path) -> Path | None:
    config = folder / CONFIG_NAME
    return config if config.is_file() else None


def _model_in(folder: Path) -> Path:
    """The one model of a folder, or of the folders that a training makes in it."""
    listing = _files(folder)
    subfolders = [folder / name for name in BEST_FOLDERS if (folder / name).is_dir()]
    for found in (
        _programs(listing),
        _programs(_files_if_there(folder / EXPORT_FOLDER)),
        _checkpoints(listing),
    ):
        if found:
            return _only(folder, found)
    for subfolder in subfolders:
        return _model_in(subfolder)
    found = [path for path in listing if path.suffix == ".onnx"]
    if not found:
        raise _nothing_in(folder, listing)
    return _only(folder, found)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _files_if_there(folder: Path) -> list[Path]:
    return _files(folder) if folder.is_dir() else []


def _programs(files: Iterable[Path]) -> list[Path]:
    """Exported programs; an `inference.json` or a `.pdmodel` counts even without its weights."""
    listing = list(files)
    found = [
        path
        for path in listing
        if path.suffix == ".pdmodel"
        or (path.suffix == ".json" and path.with_suffix(".pdiparams") in listing)
    ]
    return found or [path for path in listing if path.name == "inference.json"]


def _checkpoints(files: Iterable[Path]) -> list[Path]:
    """Checkpoints to choose from: one alone where the others are earlier or hold more."""
    listing = list(files)
    for suffix in WEIGHTS_SUFFIXES:
        found = [path for path in listing if path.suffix == suffix]
        best = [path for path in found if _BEST.fullmatch(path.stem.removesuffix(_STUDENT))]
        for candidates in (best, found):
            networks = {path.stem.removesuffix(_STUDENT) for path in candidates}
            if len(networks) == 1:
                return [max(candidates, key=lambda path: path.stem.endswith(_STUDENT))]
        if found:
            return found
    return []


def _only(folder: Path, found: Sequence[Path]) -> Path:
    if len(found) > 1:
        more = f", … ({len(found) - _SHOWN} more)" if len(found) > _SHOWN else ""
        names = ", ".join(path.name for path in found[:_SHOWN])
        raise CheckpointError(
            f"{folder} holds {len(found)} models: {names}{more}.",
            hint=f"Name the one to convert: edgecls convert {found[0]} -o BUNDLE",
        )
    return found[0]


def _nothing_in(folder: Path, listing: Sequence[Path]) -> CheckpointError:
    for path in listing:
        if path.suffix == ".pdopt":
            return optimizer_only(path)
    return CheckpointNotFound(f"{folder} holds no model.", hint=f"It should hold {_WANTED}.")


def _about(path: Path, folder: Path) -> tuple[str, ...]:
    """Say which model of a folder was taken, where it holds more than that."""
    others = [
        other.name
        for other in _files(path.parent)
        if other.suffix in (*WEIGHTS_SUFFIXES, ".onnx") and other != path
    ]
    if path.parent == folder and not others:
        return ()
    return (f"{path.relative_to(folder)} was taken from {folder}",)


def _program_for(path: Path) -> Path:
    if path.suffix in {".pdmodel", ".json"}:
        return path
    if path.suffix == ".pdiparams":
        for suffix in (".json", ".pdmodel"):
            if path.with_suffix(suffix).is_file():
                return path.with_suffix(suffix)
        raise CheckpointNotFound(
            f"{path} holds only weights; its program {path.stem}.json or {path.stem}.pdmodel is"
            " missing.",
            hint=f"Put the program into {path.parent}",
        )
    raise CheckpointError(f"{path} is not a Paddle model.", hint=f"SRC is {_WANTED}.")
