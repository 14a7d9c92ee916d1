"""What every family owes: recognised, told from its twin or asked for, built, folded, certified."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from models.errors import FamilyError, WeightMismatch
from tests.checkpoints import (
    NARROW,
    TWIN_NAMES,
    golden_networks,
    grid,
    narrow_pptsmv2,
    weights_by_rule,
    write_checkpoint,
)

pytest.importorskip("paddle", reason="needs the `convert` extra")

from convert.families import FAMILY_MODULES, all_families, family_named
from convert.family import Family
from convert.known_networks import known_network
from convert.nearest import kind, nearest
from convert.recognise import recognise

pytestmark = pytest.mark.paddle
FRAMES = 4
TWINS = {
    name: twins
    for name, member in NARROW.items()
    if len(twins := [other for other in FAMILY_MODULES if NARROW[other]() == member()]) > 1
}
"""Families with the same tensors, in the order in which they are tried, by the name of each."""
PPTSM_MEAN = "backbone.conv1_1._batch_norm._mean"
TSM_MEAN = "backbone.conv._batch_norm._mean"


@pytest.fixture(params=list(FAMILY_MODULES))
def family(request: pytest.FixtureRequest) -> Family:
    return family_named(request.param)


def test_every_family_has_a_narrow_member_here() -> None:
    assert set(NARROW) == set(FAMILY_MODULES)


def test_families_are_named_as_listed() -> None:
    assert [one.name for one in all_families()] == list(FAMILY_MODULES)


def test_recognised_by_the_weights(family: Family) -> None:
    asked = family.name if family.name in TWINS else "auto"
    found = recognise(NARROW[family.name](classes=7), all_families(), asked=asked)
    assert found.family.name == family.name
    assert found.architecture.classes == 7


def test_the_grid_is_made_of_originals() -> None:
    """Whatever the generator of shapes says of a golden network, the original said too."""
    made = [member.shapes for member in grid() if member.classes == 400]
    for name, golden in golden_networks().items():
        assert golden.keys in made, name


def test_recognised_at_every_size() -> None:
    """Over the whole grid: right where weights and parameter names tell, asked where not."""
    families = all_families()
    for member in grid():
        if member.family == "tsn":  # its parameter names do not rule out an old TSM
            with pytest.raises(FamilyError, match="fits several families: tsm, tsn"):
                recognise(member.shapes, families, parameter_names=member.parameter_names)
            asked = "tsn"
        else:
            asked = "auto"
        found = recognise(
            member.shapes, families, asked=asked, parameter_names=member.parameter_names
        )
        assert (found.family.name, found.architecture.title) == (member.family, member.title)
        assert found.architecture.classes == member.classes
        assert found.family.caution(member.parameter_names) == ""


def test_only_twins_bear_the_same_marks() -> None:
    for member in grid():
        fitting = [
            family.name
            for family in all_families()
            if all(mark in member.shapes for mark in family.marks)
        ]
        assert fitting == TWINS.get(member.family, [member.family])


def test_kinds_are_complete_and_every_family_is_nearest_to_itself(family: Family) -> None:
    names = list(NARROW[family.name]())
    kinds = [kind(name) for name in family.kinds]
    assert sorted(kinds) == sorted({kind(name) for name in names})
    found = nearest(names, {one.name: one.kinds for one in all_families()})
    assert found is not None
    assert list(found.families) == TWINS.get(family.name, [family.name])
    assert (found.share, found.extra) == (1, ())


def test_no_family_is_taken_for_another_network(family: Family) -> None:
    names = list(NARROW[family.name]())
    bare = [name.removeprefix("backbone.") for name in names]
    assert (known_network(names), known_network(bare)) == (None, None)


@pytest.mark.parametrize("name", TWINS)
def test_twins_without_parameter_names_are_asked_for(name: str) -> None:
    with pytest.raises(FamilyError, match=f"fits several families: {', '.join(TWINS[name])}"):
        recognise(NARROW[name](), all_families())


@pytest.mark.parametrize(
    ("name", "parameter_names"),
    [
        # Release 2.0.0 of PaddleVideo: plain ReLU in PP-TSM, and heads with a single `fc`.
        ("pp-tsm", {PPTSM_MEAN: "batch_norm2d_0.w_0", "head.fc.weight": "linear_0.w_0"}),
        ("tsm", {TSM_MEAN: "batch_norm2d_0.w_0", "head.fc.weight": "linear_0.w_0"}),
        # Built after another network in the same process: the numbers tell nothing.
        ("tsn", {TSM_MEAN: "batch_norm2d_53.w_0", "head.fc.weight": "linear_1.w_0"}),
        # Saved without the names that tell, or renamed by whoever saved it.
        ("tsm", {"head.fc.weight": "linear_1.w_0"}),
        ("pp-tsn", {PPTSM_MEAN: "generated_tensor_4"}),
    ],
)
def test_names_that_do_not_decide_are_not_believed(
    name: str, parameter_names: dict[str, str]
) -> None:
    with pytest.raises(FamilyError, match="fits several families"):
        recognise(NARROW[name](), all_families(), parameter_names=parameter_names)


@pytest.mark.parametrize(("asked", "called"), [("pp-tsm", ""), ("auto", "ppTSM.pdparams")])
def test_an_old_pp_tsm_is_taken_with_a_caution(asked: str, called: str) -> None:
    shapes, families = NARROW["pp-tsm"](), all_families()

    def notes(names: dict[str, str]) -> str:
        found = recognise(shapes, families, asked=asked, called=called, parameter_names=names)
        assert found.family.name == "pp-tsm"
        return " ".join(found.notes)

    old = {PPTSM_MEAN: "batch_norm2d_0.w_0", "head.fc.weight": "linear_0.w_0"}
    assert "plain ReLU" in notes(old)
    for name in old:
        lost = {key: value for key, value in old.items() if key != name}
        assert "plain ReLU" not in notes(lost)


def test_only_an_old_pp_tsm_has_plain_relu() -> None:
    for name in TWINS["pp-tsm"]:
        found = recognise(
            NARROW[name](), all_families(), asked="pp-tsm", parameter_names=TWIN_NAMES[name]
        )
        assert "plain ReLU" not in " ".join(found.notes)


def test_blocks_of_an_unknown_mobilenet_v3_are_counted() -> None:
    shapes = {
        name: shape
        for name, shape in NARROW["pp-tsm-mv3"]().items()
        if not name.startswith("backbone.blocks.10.")
    }
    with pytest.raises(WeightMismatch, match=r"10 consecutive blocks; expected 15 .* or 11 "):
        recognise(shapes, all_families())


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


def test_the_order_of_frames_matters_to_shifts_only(family: Family) -> None:
    import paddle

    shapes = NARROW[family.name]()
    network = family.build(family.read(shapes), FRAMES)
    network.set_state_dict(weights_by_rule(shapes))
    clips = np.random.default_rng(1).normal(size=(1, FRAMES, 3, 64, 64)).astype(np.float32)
    with paddle.no_grad():
        forward, backward = (
            network(paddle.to_tensor(one)).numpy() for one in (clips, clips[:, ::-1].copy())
        )
    moved = np.abs(forward - backward).max() / np.ptp(forward)
    if family.any_frames:
        assert moved < 1e-5
    else:
        assert moved > 1e-3


def test_default_preprocessing_is_the_family_s_own(family: Family) -> None:
    for frames in family.default_frames:
        clip = family.clip(frames)
        assert clip.frames == frames
        assert (clip.crop, clip.resize.short_side) == (224, 256)


def test_preprocessing_follows_the_test_sections_of_the_originals() -> None:
    pptsm = ("centre", "fixed_4_3", "pillow", "down", "round", 1)
    tsn = ("left", "keep_aspect", "opencv", "nearest", "down", 10)
    originals = {
        **dict.fromkeys(("pp-tsmv2", "pp-tsm", "pp-tsm-mv2", "pp-tsm-mv3"), pptsm),
        **dict.fromkeys(("pp-tsn", "tsn"), tsn),
        "tsm": ("left", "keep_aspect", "pillow", "down", "round", 1),
    }
    told = {
        name: (
            clip.segment_frame,
            clip.resize.policy,
            clip.resize.library,
            clip.resize.long_side,
            clip.crop_offset,
            clip.views,
        )
        for name in originals
        for clip in (family_named(name).clip(8),)
    }
    assert told == originals


@pytest.mark.parametrize("name", ["pp-tsn", "tsn"])
def test_any_number_of_frames_will_do(name: str) -> None:
    import paddle

    family, shapes = family_named(name), NARROW[name]()
    clip = np.random.default_rng(2).normal(size=(1, 3, 3, 64, 64)).astype(np.float32)
    logits = []
    for repeat in (1, 3):
        network = family.build(family.read(shapes), 3 * repeat)
        network.set_state_dict(weights_by_rule(shapes))
        with paddle.no_grad():
            logits.append(network(paddle.to_tensor(clip.repeat(repeat, axis=1))).numpy())
    assert np.abs(logits[0] - logits[1]).max() < 1e-5 * np.ptp(logits[0])


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
    lost = list(weights)[-1]
    weights.pop(lost)
    source = write_checkpoint(tmp_path / "x.pdparams", weights)
    with pytest.raises(WeightMismatch, match=re.escape(lost)):
        convert(
            ConvertRequest(
                source=source, output=tmp_path / "out", family=family.name, frames=FRAMES
            )
        )
    assert [path.name for path in tmp_path.iterdir()] == ["x.pdparams"]
