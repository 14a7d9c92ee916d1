"""What every family owes: recognised by its weights alone, built, folded, exported, certified."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.errors import FamilyError, WeightMismatch
from tests.checkpoints import NARROW, narrow_pptsmv2, weights_by_rule, write_checkpoint

pytest.importorskip("paddle", reason="needs the `convert` extra")

from convert.families import FAMILY_MODULES, all_families, family_named
from convert.family import Family
from convert.recognise import recognise

pytestmark = pytest.mark.paddle
FRAMES = 4


@pytest.fixture(params=list(FAMILY_MODULES))
def family(request: pytest.FixtureRequest) -> Family:
    return family_named(request.param)


def test_every_family_has_a_narrow_member_here() -> None:
    assert set(NARROW) == set(FAMILY_MODULES)


def test_families_are_named_as_listed() -> None:
    assert [one.name for one in all_families()] == list(FAMILY_MODULES)


def test_recognised_by_the_weights_alone(family: Family) -> None:
    found = recognise(NARROW[family.name](classes=7), all_families())
    assert found.family.name == family.name
    assert found.architecture.classes == 7


def test_names_and_shapes_are_those_of_the_checkpoint(family: Family) -> None:
    shapes = NARROW[family.name]()
    network = family.build(family.read(shapes), FRAMES)
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == shapes


def test_folding_changes_nothing(family: Family) -> None:
    import paddle

    shapes = NARROW[family.name]()
    network = family.build(family.read(shapes), FRAMES)
    network.set_state_dict(weights_by_rule(shapes))
    clips = paddle.to_tensor(
        np.random.default_rng(0).normal(size=(2, FRAMES, 3, 64, 64)), "float32"
    )
    with paddle.no_grad():
        before = network(clips).numpy()
        family.fold(network)
        after = network(clips).numpy()
    assert before.shape == (2, 5)
    assert np.abs(after - before).max() < 1e-5 * np.ptp(before)


def test_the_order_of_frames_matters(family: Family) -> None:
    import paddle

    shapes = NARROW[family.name]()
    network = family.build(family.read(shapes), FRAMES)
    network.set_state_dict(weights_by_rule(shapes))
    clips = np.random.default_rng(1).normal(size=(1, FRAMES, 3, 64, 64)).astype(np.float32)
    with paddle.no_grad():
        forward, backward = (
            network(paddle.to_tensor(one)).numpy() for one in (clips, clips[:, ::-1].copy())
        )
    assert np.abs(forward - backward).max() > 1e-3 * np.ptp(forward)


def test_default_preprocessing_is_the_family_s_own(family: Family) -> None:
    for frames in family.default_frames:
        clip = family.clip(frames)
        assert clip.frames == frames
        assert (clip.crop, clip.resize.short_side) == (224, 256)


def test_attention_tells_the_number_of_frames() -> None:
    architecture = family_named("pp-tsmv2").read(narrow_pptsmv2(frames=16))
    assert architecture.frames == 16


def test_an_image_classifier_is_no_member() -> None:
    with pytest.raises(FamilyError, match="matches none of the families"):
        recognise({"conv1.weight": (64, 3, 7, 7), "fc.weight": (512, 1000)}, all_families())


def test_a_checkpoint_with_one_tensor_less_is_refused(family: Family, tmp_path: Path) -> None:
    pytest.importorskip("paddle2onnx", reason="needs Paddle2ONNX")
    from convert.pipeline import convert
    from convert.request import ConvertRequest

    weights = weights_by_rule(NARROW[family.name]())
    weights.pop(next(name for name in weights if name.endswith("fc.bias")))
    source = write_checkpoint(tmp_path / "x.pdparams", weights)
    with pytest.raises(WeightMismatch, match=r"fc\.bias"):
        convert(ConvertRequest(source=source, output=tmp_path / "out", frames=FRAMES))
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdparams"]
