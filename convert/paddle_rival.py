"""Paddle Inference as a rival of `edgecls bench --stream`: its program, and its process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from convert.locate import Located, locate
from models.bundle import open_bundle
from models.card import ModelCard
from models.errors import CheckpointError, ConversionError
from models.extras import extra
from runtime.session import Tensor
from runtime.stream_bench import PADDLE, Entry, StreamPlan
from runtime.turn_worker import Measured, serve
from runtime.turns import worker

_MODULE = "convert.paddle_rival"
_EXPORT_S = 600


def saved_program(source: Path, card: ModelCard, bundle: Path, folder: Path) -> Path:
    """The program that Paddle is to run: the exported one, or what the checkpoint gives.

    A checkpoint is exported as the converter does it, in a process of its own.

    Args:
        source: A checkpoint or an exported model, or the folder of one.
        card: Of the bundle that was converted from it.
        bundle: That bundle.
        folder: Where the program is put as `inference.json` (or `.pdmodel`) and
            `inference.pdiparams`.

    Returns:
        The `.json` or `.pdmodel` file.

    Raises:
        CheckpointError: There is no such model, or it is no Paddle model.
        ConversionError: Paddle cannot export it.
    """
    located = locate(source)
    if located.kind == "onnx":
        raise CheckpointError(
            f"{located.path} is an ONNX file, which Paddle cannot run.",
            hint="Give what the bundle was converted from: --paddle CHECKPOINT.pdparams",
        )
    if located.kind != "pdparams":
        return _copied(located, folder)
    order = {"bundle": str(bundle.resolve()), "source": str(located.path.resolve())}
    done = subprocess.run(
        [*worker(_MODULE), "export", str(folder)],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent.parent,
        timeout=_EXPORT_S,
    )
    found = _program_in(folder)
    if done.returncode or found is None:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConversionError(
            f"Paddle cannot export {located.path.name} for {card.name} ({said}).",
            hint="Was the bundle converted from it? Look: edgecls inspect BUNDLE",
        )
    return found


def paddle_entry(bundle: Path, program: Path, plan: StreamPlan) -> Entry:
    """Paddle Inference on whole windows: with oneDNN, or without where that does not run."""
    order = {
        "bundle": str(bundle.resolve()),
        "program": str(program.resolve()),
        "streams": plan.streams,
        "onednn": True,
    }
    plain = Entry(
        backend=PADDLE,
        precision="fp32",
        way="whole",
        command=worker(_MODULE),
        order={**order, "onednn": False},
        note="without oneDNN, with which it does not run here",
    )
    return Entry(
        backend=PADDLE,
        precision="fp32",
        way="whole",
        command=worker(_MODULE),
        order=order,
        otherwise=plain,
    )


def export(order: dict[str, Any], folder: Path) -> None:
    """Export a checkpoint, in this very process.

    Raises:
        CheckpointError: It cannot be read, or is another network than that of the bundle.
        ConversionError: Paddle cannot export it.
    """
    from convert.checkpoint import read_checkpoint
    from convert.families import family_named
    from convert.paddle_program import program_from_weights
    from convert.recognise import recognise

    card = open_bundle(Path(order["bundle"])).card
    weights = read_checkpoint(Path(order["source"])).weights
    shapes = {name: tuple(array.shape) for name, array in weights.items()}
    found = recognise(shapes, [family_named(card.family)], asked=card.family)
    program_from_weights(
        weights, found, frames=card.clip.frames, size=card.clip.crop, folder=folder
    )


def prepared(order: dict[str, Any]) -> Measured:
    """Load the program; the windows' tensor is there already.

    Raises:
        MissingExtra: Paddle is not installed.
    """
    with extra("convert", "Measuring Paddle"):
        import paddle
        from paddle import inference

    program = Path(order["program"])
    config = inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(order["threads"])
    if order["onednn"]:
        config.enable_mkldnn()
    else:
        config.disable_mkldnn()
    predictor = inference.create_predictor(config)
    card = open_bundle(Path(order["bundle"])).card
    shape = card.clip.input_shape(order["streams"])
    clips = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    sink = predictor.get_output_handle(predictor.get_output_names()[0])

    def run() -> Tensor:
        source.reshape(clips.shape)
        source.copy_from_cpu(clips)
        predictor.run()
        logits: Tensor = sink.copy_to_cpu()
        return logits

    with_it = "oneDNN" if order["onednn"] else "no oneDNN"
    return Measured(call=run, facts={"engine": f"Paddle Inference {paddle.__version__}, {with_it}"})


def _copied(located: Located, folder: Path) -> Path:
    """An exported program under the names that PaddleX wants."""
    program = folder / f"inference{located.path.suffix}"
    shutil.copyfile(located.path, program)
    shutil.copyfile(located.weights, program.with_suffix(".pdiparams"))
    return program


def _program_in(folder: Path) -> Path | None:
    found = (folder / "inference.json", folder / "inference.pdmodel")
    return next((path for path in found if path.exists()), None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["export"]:
        export(json.load(sys.stdin), Path(sys.argv[2]))
    else:
        serve(prepared)
