"""What the real `paddle.save` writes, in every form, gives the same weights and the same bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import open_bundle
from models.errors import CheckpointError, FamilyError
from tests.checkpoints import NARROW, weights_by_rule, write_checkpoint
from tests.cli.command import edgecls

for _module in ("paddle", "paddle2onnx"):
    pytest.importorskip(_module, reason="needs the `convert` extra")

import paddle
from paddle import nn

from convert.checkpoint import Checkpoint, read_checkpoint
from convert.families import all_families, family_named
from convert.family import Family
from convert.pipeline import convert
from convert.recognise import IMAGENET_CLASSES, recognise
from convert.request import ConvertRequest

pytestmark = pytest.mark.paddle
FAMILY, FRAMES, SIZE = "pp-tsm", 4, 64
SHAPES = NARROW[FAMILY]()
WEIGHTS = weights_by_rule(SHAPES)
TEACHER = {name: array * 0.5 for name, array in WEIGHTS.items()}


def network(weights: dict[str, np.ndarray[Any, Any]]) -> nn.Layer:
    """A network as trainings build it, filled."""
    family = family_named(FAMILY)
    built = family.build(family.read(SHAPES), FRAMES)
    built.set_state_dict(weights)
    return built


class Distillation(nn.Layer):  # type: ignore[misc]
    """As PaddleVideo's RecognizerDistillation keeps its networks: sequences under two names."""

    def __init__(self) -> None:
        super().__init__()
        for name, weights in (("Teacher", TEACHER), ("Student", WEIGHTS)):
            built = network(weights)
            self.add_sublayer(name, nn.Sequential(built.backbone, built.head))


class Parallel(nn.Layer):  # type: ignore[misc]
    """As wrappers of Paddle's hybrid parallelism keep a network."""

    def __init__(self, layers: nn.Layer) -> None:
        super().__init__()
        self._layers = layers


def trained(built: nn.Layer) -> tuple[dict[str, Any], list[str]]:
    """State of an optimizer after a step that moves nothing, and the names of its tensors."""
    scheduler = paddle.optimizer.lr.StepDecay(0.1, 10)
    optimizer = paddle.optimizer.Adam(scheduler, parameters=built.parameters())
    sum((one * 0).sum() for one in built.parameters()).backward()
    optimizer.step()
    state = optimizer.state_dict()
    return state, [name for name in state if name != "LR_Scheduler"]


def cast(built: nn.Layer, dtype: str) -> dict[str, Any]:
    return {name: tensor.astype(dtype) for name, tensor in built.state_dict().items()}


def mixed(built: nn.Layer) -> dict[str, Any]:
    return {**built.state_dict(), **trained(built)[0]}


Form = Callable[[nn.Layer], Any]
FORMS: dict[str, Form] = {
    "flat": lambda built: built.state_dict(),
    "numpy": lambda built: {name: one.numpy() for name, one in built.state_dict().items()},
    "nested": lambda built: {
        "model": built.state_dict(),
        "optimizer": trained(built)[0],
        "epoch": 3,
        "best": np.float32(0.5),
    },
    "nested numpy": lambda built: {
        "epoch": 3,
        "state_dict": {name: one.numpy() for name, one in built.state_dict().items()},
    },
    "with the optimizer's state": mixed,
    "with its moving average": lambda built: {
        "model": built.state_dict(),
        "ema": network(TEACHER).state_dict(),
    },
    "distilled": lambda built: Distillation().state_dict(),
    "distilled and nested": lambda built: {"net": Distillation().state_dict(), "epoch": 1},
    "student alone": lambda built: nn.Sequential(built.backbone, built.head).state_dict(),
    "wrapped": lambda built: Parallel(Parallel(built)).state_dict(),
    "bare": lambda built: {
        name.removeprefix("backbone."): one for name, one in built.state_dict().items()
    },
    "doubles": lambda built: cast(built, "float64"),
}
LOST = {"numpy", "nested numpy", "doubles"}
"""Forms that have lost the names of the parameters."""


def assert_same(found: Checkpoint, expected: dict[str, np.ndarray[Any, Any]]) -> None:
    assert set(found.weights) == set(expected)
    for name, array in expected.items():
        assert found.weights[name].dtype == np.float32
        np.testing.assert_array_equal(found.weights[name], array)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_paddle_save(tmp_path: Path, form: str, protocol: int) -> None:
    path = tmp_path / "x.pdparams"
    paddle.save(FORMS[form](network(WEIGHTS)), str(path), protocol=protocol)
    found = read_checkpoint(path)
    assert_same(found, WEIGHTS)
    assert set(found.parameter_names) == (set() if form in LOST else set(WEIGHTS))
    if form not in LOST:
        assert found.parameter_names["head.fc.weight"].startswith("linear_")
    shapes = {name: array.shape for name, array in found.weights.items()}
    assert recognise(shapes, all_families(), asked=FAMILY).architecture.classes == 5


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("distilled", "teacher"),
        ("distilled and nested", "teacher"),
        ("with its moving average", "ema"),
    ],
)
def test_the_other_part(tmp_path: Path, form: str, part: str) -> None:
    path = tmp_path / "x.pdparams"
    paddle.save(FORMS[form](network(WEIGHTS)), str(path))
    assert_same(read_checkpoint(path, part=part), TEACHER)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves(tmp_path: Path, dtype: str, nested: bool) -> None:
    """Paddle itself widens them to what is expected here."""
    path = tmp_path / "x.pdparams"
    halves = cast(network(WEIGHTS), dtype)
    paddle.save({"model": halves} if nested else halves, str(path))
    found = read_checkpoint(path)
    assert_same(found, {name: one.astype("float32").numpy() for name, one in halves.items()})
    assert f"{len(WEIGHTS)} of {len(WEIGHTS)} tensors are {dtype}" in found.notes[-1]


def test_safetensors_of_paddle(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    halves = cast(network(WEIGHTS), "bfloat16")
    paddle.save(halves, str(path), safetensors=True)
    expected = {name: one.astype("float32").numpy() for name, one in halves.items()}
    assert_same(read_checkpoint(path), expected)


def test_the_state_of_an_optimizer_is_told_by_its_names(tmp_path: Path) -> None:
    built = network(WEIGHTS)
    state, accumulators = trained(built)
    for content in (state, [state]):
        path = tmp_path / "x.pdparams"
        paddle.save(content, str(path))
        with pytest.raises(CheckpointError, match="state of an optimizer only"):
            read_checkpoint(path)
    path = tmp_path / "mixed.pdparams"
    paddle.save(mixed(built), str(path))
    left_out = f"left out the optimizer's state, {len(accumulators) + 1} entries"
    assert read_checkpoint(path).notes == (left_out,)


@pytest.mark.parametrize(
    "name",
    [
        "ASGD",
        "Adadelta",
        "Adagrad",
        "Adamax",
        "AdamW",
        "Lamb",
        "Momentum",
        "NAdam",
        "RAdam",
        "RMSProp",
        "Rprop",
    ],
)
def test_the_tensors_of_every_optimizer_are_known(tmp_path: Path, name: str) -> None:
    layer = nn.Linear(2, 2)
    optimizer = getattr(paddle.optimizer, name)(learning_rate=0.1, parameters=layer.parameters())
    layer(paddle.ones([1, 2])).sum().backward()
    optimizer.step()
    path = tmp_path / "x.pdparams"
    paddle.save(optimizer.state_dict(), str(path))
    with pytest.raises(CheckpointError, match="state of an optimizer only"):
        read_checkpoint(path)


def test_read_as_paddle_reads(tmp_path: Path) -> None:
    """`paddle.load`, which executes the file, finds the same values."""
    path = tmp_path / "x.pdparams"
    paddle.save(FORMS["nested"](network(WEIGHTS)), str(path), protocol=2)
    loaded = paddle.load(str(path), return_numpy=True)
    assert_same(read_checkpoint(path), loaded["model"])


@pytest.mark.parametrize(
    "family", [one for one in all_families() if one.image_classifier], ids=lambda one: one.name
)
def test_image_classifiers_are_not_taken_for_video_networks(tmp_path: Path, family: Family) -> None:
    name = family.name
    for classes in (IMAGENET_CLASSES, 5):
        weights = weights_by_rule(NARROW[name](classes=classes))
        bare = {key.removeprefix("backbone."): array for key, array in weights.items()}
        found = read_checkpoint(write_checkpoint(tmp_path / "x.pdparams", bare))
        assert_same(found, weights)
        shapes = {key: array.shape for key, array in found.weights.items()}
        if classes == IMAGENET_CLASSES:
            with pytest.raises(FamilyError, match=f"image classifier {family.image_classifier} "):
                recognise(shapes, all_families(), renamed=found.renamed)
        asked = "auto" if classes == 5 else name
        noted = recognise(shapes, all_families(), renamed=found.renamed, asked=asked)
        assert noted.family.name == name
        assert "cannot be known" in noted.notes[0]


def test_a_resnet_classifier_is_named(tmp_path: Path) -> None:
    bare = {
        key.removeprefix("backbone.").replace("head.fc.", "out."): array
        for key, array in WEIGHTS.items()
    }
    path = write_checkpoint(tmp_path / "x.pdparams", bare)
    with pytest.raises(FamilyError) as caught:
        convert(ConvertRequest(source=path, output=tmp_path / "out"))
    assert "holds weights of the image classifier ResNet-vd of PaddleClas" in caught.value.message
    assert "lacks head.fc.weight, head.fc.bias, has besides out.weight" in caught.value.message
    assert not (tmp_path / "out").exists()


def bundle_of(source: Path, output: Path, **changes: Any) -> tuple[Path, tuple[str, ...]]:
    values = {"family": FAMILY, "frames": FRAMES, "size": SIZE, **changes}
    done = convert(ConvertRequest(source=source, output=output, **values))
    return open_bundle(done.path).model_path(), done.notes


def test_forms_convert_to_the_same_graph(tmp_path: Path) -> None:
    """The same weights give the same bytes; the teacher gives others; notes come along."""
    expected, _ = bundle_of(write_checkpoint(tmp_path / "x.pdparams", WEIGHTS), tmp_path / "flat")
    trained_folder = tmp_path / "best_model"
    trained_folder.mkdir()
    paddle.save(Distillation().state_dict(), str(trained_folder / "best_model.pdparams"))
    student, notes = bundle_of(trained_folder, tmp_path / "student")
    assert student.read_bytes() == expected.read_bytes()
    told = "student was taken; the checkpoint also holds teacher (--part teacher)"
    assert any(told in note for note in notes)
    teacher, _ = bundle_of(trained_folder, tmp_path / "teacher", part="teacher")
    assert teacher.read_bytes() != expected.read_bytes()


def test_the_flag_reaches_the_checkpoint(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "x.pdparams", WEIGHTS)
    done = edgecls("convert", path, "-o", tmp_path / "out", "--family", FAMILY, "--part", "ema")
    assert done.returncode == 5, done.stderr
    assert "holds no part 'ema'; it holds: model" in " ".join(done.stderr.split())
    assert "--part model" in done.stderr
