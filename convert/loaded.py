"""From the files of a source to a model that Paddle runs, with everything known about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.checkpoint import read_checkpoint
from convert.families import FAMILY_MODULES, all_families, check_family_name
from convert.locate import Located
from convert.paddle_program import PaddleProgram, open_program, program_from_weights
from convert.paddlex_config import PaddleXConfig
from convert.recognise import recognise, resolve_frames
from convert.request import ConvertRequest
from models.errors import CheckpointError, UsageError
from models.spec import ClipSpec, Resize

EXPORTED = "exported"
"""Family of an exported program that nothing names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model that Paddle runs.

    Attributes:
        family: Family name, or `EXPORTED`.
        title: Name shown to people.
        program: The program on disk, and its reference logits.
        clip: What the model takes.
        classes: Number of logits.
        notes: What was chosen or assumed on the way, one sentence each.
    """

    family: str
    title: str
    program: PaddleProgram
    clip: ClipSpec
    classes: int
    notes: tuple[str, ...] = ()


def load(
    request: ConvertRequest, located: Located, config: PaddleXConfig | None, scratch: Path
) -> LoadedModel:
    """Load whatever kind of source it is.

    Args:
        request: What the user asked.
        located: The files.
        config: The `inference.yml` beside them.
        scratch: Folder for a program made of a checkpoint.

    Raises:
        CheckpointError: The source cannot be used; see its subclasses.
    """
    if request.family != "auto":
        check_family_name(request.family)
    if located.kind == "pdparams":
        return _from_checkpoint(request, located, config, scratch)
    return _from_program(request, located, config)


def _from_checkpoint(
    request: ConvertRequest, located: Located, config: PaddleXConfig | None, scratch: Path
) -> LoadedModel:
    checkpoint = read_checkpoint(located.path, part=request.part)
    recognised = recognise(
        {name: tuple(array.shape) for name, array in checkpoint.weights.items()},
        all_families(),
        asked=request.family,
        parameter_names=checkpoint.parameter_names,
        renamed=checkpoint.renamed,
    )
    family, architecture = recognised.family, recognised.architecture
    frames, frames_notes = resolve_frames(
        asked=request.frames,
        config=config.frames if config else None,
        weights=architecture.frames,
        defaults=family.default_frames,
        any_frames=family.any_frames,
    )
    clip = clip_spec(family.clip(frames), request, config)
    program = program_from_weights(
        checkpoint.weights, recognised, frames=frames, size=clip.crop, folder=scratch
    )
    return LoadedModel(
        family=family.name,
        title=f"{architecture.title}, {frames} frames",
        program=program,
        clip=clip,
        classes=architecture.classes,
        notes=(*checkpoint.notes, *recognised.notes, *frames_notes),
    )


def _from_program(
    request: ConvertRequest, located: Located, config: PaddleXConfig | None
) -> LoadedModel:
    program = open_program(located)
    _, frames, _, height, width = program.input_shape
    frames, notes = resolve_frames(
        asked=request.frames,
        config=config.frames if config else None,
        weights=frames if frames > 0 else None,
        defaults=(8, 16),
    )
    clip = clip_spec(ClipSpec(frames=frames), request, config, size=max(height, width))
    if height != width or (height > 0 and height != clip.crop):
        raise CheckpointError(
            f"{located.path} takes pictures of {width}x{height}, but {clip.crop}x{clip.crop} was"
            " asked for; a square input is expected.",
            hint=f"--size {height}" if height == width else "",
        )
    one = np.zeros(clip.input_shape(), np.float32)
    try:
        logits = program.reference(one)
    except Exception as error:
        raise CheckpointError(
            f"{located.path} does not run on a clip of shape {list(one.shape)}.",
            hint="Does it take one clip of T RGB pictures? Is --frames right?",
        ) from error
    if logits.ndim != 2 or logits.shape[0] != 1:
        raise CheckpointError(
            f"{located.path} gives {list(logits.shape)} for one clip; expected [1, classes]."
        )
    name = config.model_name if config and config.model_name else located.path.stem
    return LoadedModel(
        family=_family_of_program(request.family, config),
        title=f"{name}, {frames} frames",
        program=program,
        clip=clip,
        classes=int(logits.shape[1]),
        notes=notes,
    )


def clip_spec(
    default: ClipSpec,
    request: ConvertRequest,
    config: PaddleXConfig | None,
    *,
    size: int = -1,
) -> ClipSpec:
    """Settle the preprocessing: flags first, then `inference.yml`, then the family's default.

    Args:
        default: What the family was tested with.
        request: The flags.
        config: The `inference.yml`; PaddleX always resizes to 4:3 with OpenCV.
        size: Side of the input where the program fixes it, else -1.

    Raises:
        UsageError: The flags contradict one another.
    """
    resize, crop = default.resize, default.crop
    mean, std = default.mean, default.std
    if config is not None:
        resize = Resize(
            policy="fixed_4_3",
            short_side=config.short_side or resize.short_side,
            library="opencv",
        )
        crop = config.crop or crop
        mean, std = config.mean or mean, config.std or std
    if size > 0 and config is None:
        crop = size
    crop = request.size or crop
    short_side = request.short_side or max(resize.short_side, crop)
    if request.size and not request.short_side and (config is None or not config.short_side):
        # Keep the reference proportion of resize and crop, 256 to 224.
        short_side = round(request.size * default.resize.short_side / default.crop)
    if crop > short_side:
        raise UsageError(
            f"The input side {crop} is larger than the short side {short_side} after the resize.",
            hint=f"--short-side {crop}",
        )
    return ClipSpec(
        frames=default.frames,
        resize=Resize(
            policy=request.resize or resize.policy, short_side=short_side, library=resize.library
        ),
        crop=crop,
        mean=mean,
        std=std,
        clip_length_s=request.clip_length_s or default.clip_length_s,
    )


def _family_of_program(asked: str, config: PaddleXConfig | None) -> str:
    """An exported program does not tell its family; the user or PaddleX may."""
    if asked != "auto":
        return asked
    name = (config.model_name or "").lower() if config else ""
    return next(
        (
            family
            for family in sorted(FAMILY_MODULES, key=len, reverse=True)
            if name.startswith(family + "-")
        ),
        EXPORTED,
    )
