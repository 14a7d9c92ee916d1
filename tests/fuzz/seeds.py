"""Small valid files of every kind, from which damaged ones are made."""

from __future__ import annotations

import json
import os
import pickle
import struct
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from models.bundle import open_bundle
from models.card import CARD_NAME, BundleFile
from tests.checkpoints import (
    narrow_pptsm,
    narrow_pptsmv2,
    weights_by_rule,
    write_checkpoint,
)
from tests.onnx_models import FORMS, write_onnx
from tests.staged_models import write_staged_bundle
from tests.tiny_models import write_tiny_bundle

FRAMES, SIZE = 4, 32
"""Of the networks that Paddle makes: as small as they can be."""

ONNX_FORMS = ("3d", "our own", "frozen batch", "stacked channels", "pictures", "recogniser 3d")


@dataclass(frozen=True, slots=True)
class Seeds:
    """Folders of valid files, all in one.

    Attributes:
        folder: That one.
        paddle: Whether there are those that only Paddle makes.
    """

    folder: Path
    paddle: bool

    def files(self, kind: str) -> list[Path]:
        """Files, or folders, of one kind, in a fixed order."""
        return sorted((self.folder / kind).iterdir())


def make_seeds(folder: Path, *, paddle: bool) -> Seeds:
    """Make them all.

    Args:
        folder: Empty.
        paddle: Whether Paddle is here to export programs; it must be loaded.
    """
    _checkpoints(folder / "pdparams")
    _safetensors(folder / "safetensors")
    _onnx(folder / "onnx")
    write_tiny_bundle(folder / "bundle" / "tiny")
    write_tiny_bundle(folder / "bundle" / "tiny1", batch=1)
    write_staged_bundle(folder / "staged" / "tiny")
    _in_a_fork(lambda: _with_openvino_graph(folder / "ir" / "tiny"))
    if paddle:
        _exports(folder)
    return Seeds(folder, paddle)


def _checkpoints(folder: Path) -> None:
    folder.mkdir(parents=True)
    v2, r50 = weights_by_rule(narrow_pptsmv2()), weights_by_rule(narrow_pptsm())
    write_checkpoint(folder / "v2.pdparams", v2)
    write_checkpoint(folder / "r50.pdparams", r50)
    attention = weights_by_rule(narrow_pptsmv2(frames=FRAMES))
    (folder / "old.pdparams").write_bytes(pickle.dumps(dict(attention), protocol=2))
    names = {name: f"{name.split('.')[-1]}_{index}.w_0" for index, name in enumerate(r50)}
    whole = {
        "model": {name: (names[name], array) for name, array in r50.items()},
        "optimizer": {"x_moment1_0": np.zeros(3, np.float32), "LR_Scheduler": {"last_lr": 0.1}},
        "epoch": 3,
    }
    (folder / "training.pdparams").write_bytes(pickle.dumps(whole, protocol=3))
    table = {**v2, "StructuredToParameterName@@": {name: f"w_{name}" for name in v2}}
    (folder / "table.pdparams").write_bytes(pickle.dumps(table, protocol=4))


def _safetensors(folder: Path) -> None:
    folder.mkdir(parents=True)
    table, data = {}, b""
    for name, array in weights_by_rule(narrow_pptsmv2()).items():
        offsets = [len(data), len(data) + array.nbytes]
        table[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(table).encode()
    (folder / "v2.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def _onnx(folder: Path) -> None:
    """Each in a folder of its own, with its layout in the folder's name."""
    for number, name in enumerate(ONNX_FORMS):
        home = folder / f"{number}-{FORMS[name].layout}"
        home.mkdir(parents=True)
        write_onnx(home / "model.onnx", FORMS[name], opset=17 if number % 2 else 13)
    _with_branches(folder / "7-NCTHW")
    _with_weights_beside(folder / "8-NCTHW")


def _with_branches(folder: Path) -> None:
    """A model that ends in an If, both branches of which use a weight of the graph around it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir()
    write_onnx(folder / "model.onnx", FORMS["3d"])
    model = onnx.load(str(folder / "model.onnx"))
    model.graph.node[-1].output[0] = "scores"
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(operator, ["scores", "factor"], [f"{name}_out"])],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)],
        )
        for name, operator in (("then", "Mul"), ("else", "Add"))
    }
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.full(5, 2, np.float32), "factor"),
            numpy_helper.from_array(np.float32(0.1), "zero"),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["scores"], ["largest"], keepdims=0),
            helper.make_node("Greater", ["largest", "zero"], ["condition"]),
            helper.make_node("If", ["condition"], ["out"], **branches),
        ]
    )
    onnx.save(model, str(folder / "model.onnx"))


def _with_weights_beside(folder: Path) -> None:
    import onnx

    folder.mkdir()
    write_onnx(folder / "model.onnx", FORMS["3d"])
    model = onnx.load(str(folder / "model.onnx"))
    onnx.save(
        model,
        str(folder / "model.onnx"),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=64,
    )


def _exports(folder: Path) -> None:
    """Programs of Paddle 3 and of Paddle 2."""
    for kind, family, source in (
        ("pir", "pp-tsmv2", "v2.pdparams"),
        ("pir", "pp-tsm", "r50.pdparams"),
        ("pdmodel", "pp-tsm", "r50.pdparams"),
    ):
        target = folder / kind / family
        target.mkdir(parents=True)
        path, old = folder / "pdparams" / source, kind == "pdmodel"
        _in_a_fork(partial(_export_as, path, target, old=old))


def _in_a_fork(work: Callable[[], None]) -> None:
    """Do something in a fork, so that the libraries of this process stay as they are."""
    pid = os.fork()
    if pid == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError("a seed could not be made")


def _with_openvino_graph(folder: Path) -> None:
    """A bundle that also has a graph in OpenVINO's own format, as calibration writes them."""
    import openvino

    bundle = write_tiny_bundle(folder)
    model = openvino.Core().read_model(str(bundle.model_path()))
    openvino.save_model(model, str(folder / "model.int8.xml"), compress_to_fp16=False)
    card = json.loads(bundle.card.to_json())
    figures = {"max_rel_diff": 0.0, "max_probability_diff": 0.0, "top1_agreement": 1.0}
    card["variants"].append(
        {
            **BundleFile.of(folder / "model.int8.xml").model_dump(),
            "precision": "int8",
            "engine": "openvino",
            "weights": BundleFile.of(folder / "model.int8.bin").model_dump(),
            "check": {"clips": 3, **figures},
        }
    )
    (folder / CARD_NAME).write_text(json.dumps(card))
    open_bundle(folder)


def _export_as(source: Path, target: Path, *, old: bool) -> None:
    """Export as Paddle 3 does, or as Paddle 2 did."""
    import paddle

    with paddle.pir_utils.OldIrGuard() if old else nullcontext():
        paddle.disable_static()
        _export(source, target, family=target.name)


def _export(source: Path, target: Path, *, family: str) -> None:
    """Export a checkpoint of pickled weights with `paddle.jit.save`."""
    import paddle

    from convert.families import all_families
    from convert.recognise import recognise

    weights = pickle.loads(source.read_bytes())
    shapes = {name: array.shape for name, array in weights.items()}
    found = recognise(shapes, all_families(), asked=family)
    network = found.family.build(found.architecture, FRAMES)
    network.set_state_dict(weights)
    found.family.fold(network)
    spec = paddle.static.InputSpec([None, FRAMES, 3, SIZE, SIZE], "float32", name="x")
    static = paddle.jit.to_static(network, input_spec=[spec], full_graph=True)
    paddle.jit.save(static, str(target / "inference"))
