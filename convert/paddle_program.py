"""The Paddle side: build a network from weights or open an exported program, run it, save it.

Both kinds of source end as the same two things: a program on disk that the exporter reads, and a
function that computes reference logits.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.ends import INPUT_NAME, RawRun
from convert.locate import Located
from convert.pdparams import Weights
from convert.program_facts import ProgramFacts, read_program
from convert.recognise import Recognised, check_weights
from models.errors import CheckpointError, ConversionError, OutputError
from models.messages import telling_line
from runtime.cpu import usable_cpus
from runtime.session import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddleProgram:
    """A saved program and what Paddle itself computes.

    Attributes:
        model: `.json` or `.pdmodel` file.
        weights: `.pdiparams` file.
        input_shape: Shape of the input, -1 for a free axis.
        leaky_slopes: Slope of every `leaky_relu`, in program order.
        run: What Paddle computes: from an input to the output, both as the program has them. For
            a checkpoint this is the network as trained, with its branches *not* folded, so that
            folding is verified like everything else.
    """

    model: Path
    weights: Path
    input_shape: tuple[int, ...]
    leaky_slopes: tuple[float, ...]
    run: RawRun


def program_from_weights(
    weights: Weights, recognised: Recognised, *, frames: int, size: int, folder: Path
) -> PaddleProgram:
    """Build the network, fill it, fold its branches and save it as a program.

    Args:
        weights: The checkpoint.
        recognised: What it is.
        frames: Frames per clip, T.
        size: Height and width of the input, in pixels.
        folder: Where to save; must exist.

    Raises:
        WeightMismatch: The checkpoint does not fill the network exactly.
        ConversionError: Paddle cannot trace or save the network.
    """
    import paddle

    family, architecture = recognised.family, recognised.architecture
    _require_space(folder, sum(array.nbytes for array in weights.values()))
    trained = family.build(architecture, frames)
    expected = {name: tuple(tensor.shape) for name, tensor in trained.state_dict().items()}
    check_weights(weights, expected, family.name)
    state = {name: array.astype(np.float32) for name, array in weights.items()}
    trained.set_state_dict(state)
    deployed = family.build(architecture, frames)
    deployed.set_state_dict(state)
    family.fold(deployed)

    shape = (-1, frames, 3, size, size)
    spec = paddle.static.InputSpec([None, *shape[1:]], "float32", name=INPUT_NAME)
    try:
        static = paddle.jit.to_static(deployed, input_spec=[spec], full_graph=True)
        paddle.jit.save(static, str(folder / "inference"))
    except Exception as error:
        raise ConversionError(
            f"Paddle cannot export the network: {telling_line(error)}."
        ) from error
    program = next(
        path for path in (folder / "inference.json", folder / "inference.pdmodel") if path.exists()
    )

    def run(clips: Tensor) -> Tensor:
        with paddle.no_grad():
            logits: Tensor = trained(paddle.to_tensor(clips)).numpy()
        return logits

    return PaddleProgram(
        model=program,
        weights=program.with_suffix(".pdiparams"),
        input_shape=shape,
        leaky_slopes=_saved_facts(program).leaky_slopes,
        run=run,
    )


def _require_space(folder: Path, weight_bytes: int) -> None:
    """Paddle writes to a full disk without noticing, so look first.

    The program, its ONNX export and the folded graph are each about as large as the weights.
    """
    needed, free = 4 * weight_bytes, shutil.disk_usage(folder).free
    if free < needed:
        raise OutputError(
            f"The disk is full: {folder} has {free >> 20} MiB free, the conversion needs"
            f" {needed >> 20} MiB for temporary files.",
            hint="Free some space, or choose another temporary folder: TMPDIR=/big/disk edgecls …",
        )


def _saved_facts(program: Path) -> ProgramFacts:
    """Read back what Paddle has just saved.

    Raises:
        ConversionError: It is damaged.
    """
    try:
        return read_program(program)
    except CheckpointError as error:
        free = shutil.disk_usage(program.parent).free >> 20
        raise ConversionError(
            f"Paddle saved a damaged program in {program.parent} ({free} MiB free).",
            hint="Is the disk full, or a limit on the size of files set (ulimit -f)?",
        ) from error


def open_program(located: Located) -> PaddleProgram:
    """Open an exported model with Paddle Inference (oneDNN off: some models crash in it).

    Raises:
        CheckpointError: Paddle cannot read it, or it is not a classifier of one clip tensor.
    """
    from paddle import inference

    facts = read_program(located.path)
    if len(facts.input_shapes) != 1 or facts.outputs != 1:
        raise CheckpointError(
            f"{located.path} has {len(facts.input_shapes)} inputs and {facts.outputs} outputs; a"
            " clip classifier has one of each."
        )
    config = inference.Config(str(located.path), str(located.weights))
    config.disable_gpu()
    config.disable_mkldnn()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(usable_cpus())
    try:
        predictor = inference.create_predictor(config)
    except Exception as error:
        raise CheckpointError(
            f"Paddle cannot load {located.path} with {located.weights.name}:"
            f" {telling_line(error)}.",
            hint="The weights are damaged or belong to another program; export both again.",
        ) from error
    source, sink = predictor.get_input_names()[0], predictor.get_output_names()[0]

    def run(raw: Tensor) -> Tensor:
        handle = predictor.get_input_handle(source)
        handle.reshape(raw.shape)
        handle.copy_from_cpu(np.ascontiguousarray(raw))
        predictor.run()
        logits: Tensor = predictor.get_output_handle(sink).copy_to_cpu()
        return logits

    return PaddleProgram(
        model=located.path,
        weights=located.weights,
        input_shape=facts.input_shapes[0],
        leaky_slopes=facts.leaky_slopes,
        run=run,
    )
