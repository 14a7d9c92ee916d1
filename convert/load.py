"""From the files of a source to a model that is ready to be converted."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from convert.checkpoint import read_checkpoint
from convert.clip_choice import clip_spec
from convert.ends import Ends, find_ends, in_fixed_rows
from convert.families import FAMILY_MODULES, all_families, check_family_name, family_named
from convert.layout import OURS, Layout, guess_layout, read_sizes
from convert.loaded import Exported, LoadedModel
from convert.locate import Located
from convert.onnx_source import at_opset, open_onnx, opset_of, raw_runner, settle_opset
from convert.paddle_program import PaddleProgram, open_program, program_from_weights
from convert.paddlex_config import PaddleXConfig
from convert.parity import Witness
from convert.recognise import recognise, resolve_frames
from convert.repairs import repair_leaky_relu
from convert.request import DEFAULT_OPSET, ConvertRequest
from convert.to_onnx import onnx_from_program
from models.errors import CheckpointError, UsageError
from models.spec import ClipSpec, Resize

EXPORTED, FOREIGN = "exported", "onnx"
"""Family of a Paddle program that nothing names, and of a model that came as ONNX."""

_PADDLE_LIBRARIES = ("paddlepaddle", "paddle2onnx", "onnx", "onnxruntime", "numpy")
_ONNX_LIBRARIES = ("onnx", "onnxruntime", "numpy")

_ELSEWHERE = ClipSpec(
    frames=1, resize=Resize(policy="keep_aspect", library="opencv", long_side="nearest")
)
"""Preprocessing of most other tool kits (MMAction2, PyTorchVideo) but for the number of frames."""


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
        UsageError: A flag has no meaning for this kind of source.
    """
    if request.family != "auto":
        check_family_name(request.family)
    _refuse_idle_flags(request, located)
    if located.kind == "pdparams":
        return _from_checkpoint(request, located, config, scratch)
    if located.kind == "onnx":
        return _from_onnx(request, located)
    return _from_program(request, located, config)


def _refuse_idle_flags(request: ConvertRequest, located: Located) -> None:
    checkpoint, graph = located.kind == "pdparams", located.kind == "onnx"
    for flag, given, idle, why in (
        ("--part", request.part != "auto", not checkpoint, "only a .pdparams has parts"),
        ("--family", request.family != "auto", graph, "families are Paddle's networks"),
        ("--layout", request.layout is not None, checkpoint, "the layout of a family is known"),
    ):
        if given and idle:
            raise UsageError(
                f"{flag} has no meaning for {located.path.name}: {why}.", hint=f"Leave out {flag}."
            )


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
        called=(config.model_name if config else None) or located.path.name,
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
    return _paddle_model(
        request,
        program,
        family=family.name,
        title=f"{architecture.title}, {frames} frames",
        ends=Ends(layout=Layout(OURS), clip=clip, classes=architecture.classes),
        notes=(*checkpoint.notes, *recognised.notes, *frames_notes),
    )


def _from_program(
    request: ConvertRequest, located: Located, config: PaddleXConfig | None
) -> LoadedModel:
    program = open_program(located)
    family = _family_of_program(request.family, config)
    default = ClipSpec(frames=1) if family == EXPORTED else family_named(family).clip(1)
    unknown = family == EXPORTED and config is None
    shape = _read_shape(request, program.input_shape, origin=str(located.path))
    frames, notes = resolve_frames(
        asked=request.frames,
        config=config.frames if config else None,
        weights=shape.frames,
        defaults=(8, 16),
        any_frames="T" not in shape.layout.text,
    )
    clip = clip_spec(
        default.model_copy(update={"frames": frames}), request, config, size=shape.size or -1
    )
    _check_size(shape, clip, origin=str(located.path))
    name = (config.model_name if config else None) or _name_of_program(located)
    rows = shape.fixed_rows
    run = program.run if rows is None else in_fixed_rows(program.run, rows)
    return _paddle_model(
        request,
        program,
        family=family,
        title=f"{name}, {frames} frames",
        ends=find_ends(run, shape.layout, clip, origin=str(located.path)),
        notes=(*shape.notes, *notes, *(_assumed(request, clip) if unknown else ())),
    )


def _paddle_model(
    request: ConvertRequest,
    program: PaddleProgram,
    *,
    family: str,
    title: str,
    ends: Ends,
    notes: tuple[str, ...],
) -> LoadedModel:
    rows = program.input_shape[0] if program.input_shape[0] > 0 else None

    def export(opset: int, scratch: Path) -> Exported:
        graph = onnx_from_program(program.model, program.weights, opset=opset, folder=scratch)
        repair = repair_leaky_relu(graph, program.leaky_slopes)
        return Exported(graph=graph, repairs=(repair,) if repair else ())

    return LoadedModel(
        family=family,
        title=title,
        ends=ends,
        fixed_rows=rows,
        reference=ends.reference(program.run if rows is None else in_fixed_rows(program.run, rows)),
        witness=Witness(
            name=f"paddlepaddle {version('paddlepaddle')}", short="Paddle", proves="training"
        ),
        opset=request.opset or DEFAULT_OPSET,
        export=export,
        libraries=_PADDLE_LIBRARIES,
        notes=notes,
    )


def _from_onnx(request: ConvertRequest, located: Located) -> LoadedModel:
    source = open_onnx(located.path)
    origin = str(located.path)
    shape = _read_shape(request, source.input_shape, origin=origin)
    frames, notes = resolve_frames(
        asked=request.frames,
        config=None,
        weights=shape.frames,
        defaults=(8, 16),
        any_frames="T" not in shape.layout.text,
    )
    clip = clip_spec(
        _ELSEWHERE.model_copy(update={"frames": frames}), request, None, size=shape.size or -1
    )
    _check_size(shape, clip, origin=origin)
    run = raw_runner(source)
    if shape.fixed_rows is not None:
        run = in_fixed_rows(run, shape.fixed_rows)
    ends = find_ends(run, shape.layout, clip, origin=origin)

    def export(opset: int, scratch: Path) -> Exported:
        del scratch
        return Exported(graph=at_opset(source.graph, opset))

    return LoadedModel(
        family=FOREIGN,
        title=f"{located.path.stem}, {frames} frames",
        ends=ends,
        fixed_rows=shape.fixed_rows,
        reference=ends.reference(run),
        witness=Witness(
            name=f"the given ONNX file in onnxruntime {version('onnxruntime')}, not optimised",
            short="the given ONNX file",
            proves="graph",
        ),
        opset=settle_opset(opset_of(source.graph), request.opset),
        export=export,
        libraries=_ONNX_LIBRARIES,
        notes=(*shape.notes, *notes, *_assumed(request, clip)),
    )


def _name_of_program(located: Located) -> str:
    """The file's name, or that of its folder when all files of all models are called alike."""
    stem = located.path.stem
    return stem if stem not in {"inference", "model"} else located.path.absolute().parent.name


def _assumed(request: ConvertRequest, clip: ClipSpec) -> tuple[str, ...]:
    """What nothing told about the preprocessing of a model from elsewhere."""
    flags = (("--resize", request.resize), ("--mean", request.mean), ("--std", request.std))
    silent = [flag for flag, value in flags if value is None]
    if not silent:
        return ()
    return (
        f"preprocessing: {clip.resize.policy} to {clip.resize.short_side}, ImageNet mean and"
        f" deviation unless given ({', '.join(silent)}); compare with how the model was trained",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What the shape of an input tells.

    Attributes:
        layout: Of the axes.
        frames: T, where it is fixed.
        size: Height and width, where they are fixed.
        fixed_rows: Length of the first axis, where it is fixed.
        notes: What was guessed.
    """

    layout: Layout
    frames: int | None
    size: int | None
    fixed_rows: int | None
    notes: tuple[str, ...]


def _read_shape(request: ConvertRequest, shape: tuple[int, ...], *, origin: str) -> _Shape:
    notes: tuple[str, ...] = ()
    if request.layout is not None:
        layout = Layout(request.layout)
    else:
        layout = guess_layout(shape)
        if layout.text != OURS:
            notes = (f"layout: {layout.text}, by the shape of the input (--layout for another)",)
    sizes = read_sizes(layout, shape)
    height, width, frames = sizes["H"], sizes["W"], sizes.get("T", -1)
    if height != width:
        raise CheckpointError(
            f"{origin} takes pictures of {width}x{height}; a square input is expected."
        )
    return _Shape(
        layout=layout,
        frames=frames if frames > 0 else None,
        size=height if height > 0 else None,
        fixed_rows=shape[0] if shape[0] > 0 else None,
        notes=notes,
    )


def _check_size(shape: _Shape, clip: ClipSpec, *, origin: str) -> None:
    if shape.size is not None and shape.size != clip.crop:
        raise CheckpointError(
            f"{origin} takes pictures of {shape.size}x{shape.size}, but {clip.crop}x{clip.crop}"
            " was asked for.",
            hint=f"--size {shape.size}",
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
