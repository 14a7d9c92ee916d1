"""What a checkpoint is, and every way in which it can fail to be that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from convert.family import Architecture, Family, ParameterNames, Shapes, count_from
from convert.known_networks import EXPORT_IT, KNOWN, known_network
from convert.recognise import check_weights, recognise, resolve_frames
from models.errors import FamilyError, WeightMismatch
from models.spec import ClipSpec
from tests.family_shapes import narrow_pptsm


@dataclass
class Never:
    """Fails when a test builds a network that it should not need."""

    calls: list[Any] = field(default_factory=list)

    def __call__(self, *arguments: Any) -> Any:
        raise AssertionError(f"not expected: {arguments}")


def family(name: str, *marks: str, any_frames: bool = False, claim: str | None = None) -> Family:
    def read(shapes: Shapes) -> Architecture:
        return Architecture(title=name, classes=shapes["fc"][1], frames=None, layout={})

    return Family(
        name=name,
        marks=marks,
        kinds=marks,
        default_frames=(8, 16),
        read=read,
        build=Never(),
        fold=Never(),
        clip=lambda frames: ClipSpec(frames=frames),
        any_frames=any_frames,
        claims=lambda names: claim is not None and names.get("fc") == claim,
    )


ONE, TWO = family("one", "stem.one"), family("two", "stem.two")


def test_the_only_fitting_family_is_found() -> None:
    found = recognise({"stem.two": (1,), "fc": (8, 3)}, [ONE, TWO])
    assert (found.family.name, found.architecture.classes) == ("two", 3)


def test_unknown_names_are_shown() -> None:
    with pytest.raises(
        FamilyError, match=r"matches none of .* one, two: it has the tensors conv\.w, fc"
    ):
        recognise({"conv.w": (1,), "fc": (8, 3)}, [ONE, TWO])


SHIFT = family("shift", "stem", claim="linear_1.w_0")
MEAN = family("mean", "stem", any_frames=True, claim="mean_fc")
TWINS = {"stem": (1,), "fc": (8, 3)}


@pytest.mark.parametrize("names", [{}, {"fc": "linear_0.w_0"}])
def test_twins_are_a_question_with_its_answers(names: ParameterNames) -> None:
    with pytest.raises(FamilyError) as caught:
        recognise(TWINS, [SHIFT, MEAN], parameter_names=names)
    assert (
        "fits several families: shift, mean. They have the very same tensors, but shift shifts"
        " channels between neighbouring frames, mean only averages over the frames; nothing"
        in caught.value.message
    )
    assert caught.value.hint.endswith(": --family shift or --family mean")


def test_twins_that_both_claim_are_not_told_apart() -> None:
    both = family("both", "stem", claim="linear_1.w_0")
    with pytest.raises(FamilyError, match="fits several families: shift, both"):
        recognise(TWINS, [SHIFT, both], parameter_names={"fc": "linear_1.w_0"})


@pytest.mark.parametrize(("name", "told"), [("linear_1.w_0", SHIFT), ("mean_fc", MEAN)])
def test_twins_are_told_apart_by_the_names_of_parameters(name: str, told: Family) -> None:
    found = recognise(TWINS, [SHIFT, MEAN], parameter_names={"fc": name})
    assert found.family is told
    (note,) = found.notes
    assert "have the same tensors" in note
    assert note.endswith(f"gave to the parameters are {told.name}'s")


@pytest.mark.parametrize(
    ("called", "told"),
    [
        ("ppTSM_k400_uniform.pdparams", "pp-tsm"),
        ("PP-TSM-R50_8frames_uniform", "pp-tsm"),
        ("pptsn_r50.pdparams", "pp-tsn"),
        ("my TSN.pdparams", "pp-tsn"),
        ("best_model.pdparams", None),
        ("tsn_teacher_of_tsm.pdparams", None),
        ("", None),
    ],
)
def test_a_telling_name_decides_last(called: str, told: str | None) -> None:
    twins = [family("pp-tsm", "stem", claim="a"), family("pp-tsn", "stem", claim="b")]
    if told is None:
        with pytest.raises(FamilyError, match="fits several families"):
            recognise(TWINS, twins, called=called)
        return
    found = recognise(TWINS, twins, called=called)
    assert found.family.name == told
    assert f"because it is called {called} (--family for the other)" in found.notes[0]
    for claim, name in (("a", "pp-tsm"), ("b", "pp-tsn")):
        names = {"fc": claim}
        assert recognise(TWINS, twins, parameter_names=names, called=called).family.name == name


def test_asking_for_a_twin_that_the_names_contradict_is_noted() -> None:
    found = recognise(TWINS, [SHIFT, MEAN], asked="mean", parameter_names={"fc": "linear_1.w_0"})
    assert found.family is MEAN
    (note,) = found.notes
    assert "are shift's, but mean was asked for" in note


def test_asking_for_the_twin_that_the_names_tell_needs_no_note() -> None:
    names = {"fc": "linear_1.w_0"}
    assert recognise(TWINS, [SHIFT, MEAN], asked="shift", parameter_names=names).notes == ()
    assert recognise(TWINS, [SHIFT, MEAN], asked="mean").notes == ()


CAREFUL = replace(SHIFT, caution=lambda names: "was something else" if "old" in names else "")


@pytest.mark.parametrize(
    ("families", "asked", "called", "fc"),
    [
        ([CAREFUL], "auto", "", ""),
        ([CAREFUL, MEAN], "shift", "", ""),
        ([CAREFUL, MEAN], "auto", "shift.pdparams", ""),
        ([CAREFUL, MEAN], "auto", "", "linear_1.w_0"),
    ],
)
def test_what_speaks_against_a_family_is_noted_however_it_was_chosen(
    families: list[Family], asked: str, called: str, fc: str
) -> None:
    def notes(names: ParameterNames) -> tuple[str, ...]:
        found = recognise(TWINS, families, asked=asked, called=called, parameter_names=names)
        assert found.family is CAREFUL
        return found.notes

    assert notes({"fc": fc, "old": ""}) == (*notes({"fc": fc}), "was something else")


def test_what_speaks_against_the_twin_is_not_noted() -> None:
    found = recognise(TWINS, [CAREFUL, MEAN], asked="mean", parameter_names={"old": ""})
    assert found.notes == ()


def test_asking_settles_ambiguity() -> None:
    shapes = {"stem.one": (1,), "stem.two": (1,), "fc": (8, 3)}
    assert recognise(shapes, [ONE, TWO], asked="two").family is TWO


def test_wrong_family_says_what_it_is_and_what_is_missing() -> None:
    with pytest.raises(FamilyError, match=r"not two: these weights are one; two needs stem\.two"):
        recognise({"stem.one": (1,), "fc": (8, 3)}, [ONE, TWO], asked="two")


def test_asking_for_a_family_that_shares_nothing() -> None:
    with pytest.raises(FamilyError, match="is not two: it has the tensors x") as caught:
        recognise({"x": (1,)}, [ONE, TWO], asked="two")
    assert caught.value.hint == EXPORT_IT


def test_the_nearest_family_and_what_differs() -> None:
    near = family("near", "stem.two", "neck.4.weight", "head.fc.weight")
    shapes = {"stem.2.weight": (1,), "neck.7.weight": (1,), "neck.8.weight": (1,), "fc": (8, 3)}
    with pytest.raises(FamilyError) as caught:
        recognise(shapes, [ONE, near])
    assert caught.value.message == (
        "The checkpoint matches none of the families one, near: it has the tensors stem.2.weight,"
        " neck.7.weight, neck.8.weight and 1 more. It has 33% of the kinds of tensors of near,"
        " lacks stem.two, neck.4.weight, head.fc.weight, has besides stem.2.weight, fc."
    )


def test_a_mark_is_missed_even_where_its_kind_is_there() -> None:
    with pytest.raises(FamilyError, match=r"has 100% of the kinds .* of f, lacks conv2\."):
        recognise({"conv1": (1,)}, [family("f", "conv1", "conv2")])


def test_what_is_shown_are_the_names_of_the_file() -> None:
    with pytest.raises(FamilyError) as caught:
        recognise(
            {"backbone.a": (1,), "backbone.b": (1,)},
            [family("f", "backbone.b", "backbone.c")],
            renamed=True,
        )
    assert "backbone" not in caught.value.message
    assert "lacks c, has besides a" in caught.value.message


NETWORKS = {
    "the image classifier ResNet-vd of PaddleClas": (
        "conv1_1._conv.weight",
        "bb_0_0.conv0._conv.weight",
        "out.weight",
    ),
    "the image classifier ResNet or ResNet-vd of PaddleClas (2.2 and newer)": (
        "stem.0.conv.weight",
        "blocks.0.conv0.conv.weight",
        "fc.weight",
    ),
    "the image classifier ResNet of paddle.vision": (
        "conv1.weight",
        "bn1._mean",
        "layer1.0.conv1.weight",
    ),
    "a network of PyTorch (its batch norms have a running_mean)": (
        "layer1.0.conv1.weight",
        "bn1.running_mean",
    ),
    "TimeSformer or PP-TimeSformer": ("backbone.blocks.0.temporal_attn.qkv.weight",),
    "a Vision Transformer (TokenShift, or an image classifier)": (
        "backbone.cls_token",
        "backbone.blocks.0.attn.qkv.weight",
    ),
    "a Swin Transformer (Video Swin or an image classifier)": (
        "backbone.patch_embed.proj.weight",
        "backbone.layers.0.blocks.0.attn.relative_position_bias_table",
    ),
    "SlowFast": ("backbone.s1.pathway0_stem._conv.weight",),
    "MoViNet": (
        "backbone.conv1.conv_1.0.weight",
        "backbone.blocks.3.deep.conv_1.0.weight",
    ),
    "ST-GCN": ("backbone.st_gcn_networks.0.gcn.conv.weight",),
    "BMN": ("backbone.b_conv1.weight", "backbone.p_conv3d1.weight"),
    "AttentionLSTM": ("head.bi_lstm0.0.cell_fw.weight_ih", "head.att_fc0.weight"),
    "a program of Paddle's static mode": ("conv2d_0.w_0", "batch_norm_0.b_0"),
}


@pytest.mark.parametrize("what", list(NETWORKS))
def test_known_networks_are_named(what: str) -> None:
    assert known_network(NETWORKS[what]) == what
    with pytest.raises(FamilyError, match="holds weights of") as caught:
        recognise(dict.fromkeys(NETWORKS[what], (1,)), [ONE, TWO], asked="one")
    assert what in caught.value.message
    assert bool(caught.value.hint)


def test_every_known_network_can_be_met() -> None:
    """No row of the table hides behind an earlier one."""
    for known in KNOWN:
        names = [mark.replace("#", "3") for mark in known.marks]
        assert known_network(names) == known.what
        assert known_network(names[:-1]) != known.what or len(names) == 1


def test_a_classifier_is_not_taken_for_the_video_network_that_starts_from_it() -> None:
    """PaddleClas's ResNet-vd has all marks of pp-tsm, once `backbone.` is added."""
    names = list(narrow_pptsm())
    backbone = [name for name in names if name.startswith("backbone.")]
    shapes = dict.fromkeys([*backbone, "backbone.out.weight", "backbone.out.bias"], (1,))
    marks = ("backbone.conv1_1._conv.weight", "backbone.bb_0_0.conv2._conv.weight")
    near = replace(family("pp-tsm", *marks), kinds=tuple(names))
    with pytest.raises(FamilyError, match="holds weights of the image classifier ResNet-vd") as got:
        recognise(shapes, [near], renamed=True)
    assert got.value.message.endswith(
        "of pp-tsm, lacks head.fc.weight, head.fc.bias, has besides out.weight, out.bias."
    )
    assert "trained from it" in got.value.hint


def test_imagenet_classifiers_are_refused_unless_asked_for() -> None:
    one = replace(family("one", "stem"), image_classifier="NetV9")
    shapes = {"stem": (1,), "fc": (8, 1000)}
    with pytest.raises(FamilyError, match="of the image classifier NetV9 ") as caught:
        recognise(shapes, [one], renamed=True)
    assert "--family one" in caught.value.hint
    assert recognise(shapes, [one]).notes == ()
    assert recognise(shapes, [replace(one, image_classifier="")], renamed=True).notes == ()
    for found in (
        recognise(shapes, [one], renamed=True, asked="one"),
        recognise({"stem": (1,), "fc": (8, 12)}, [one], renamed=True),
    ):
        assert found.family is one
        assert "cannot be known from the file" in found.notes[0]


def test_a_missing_defining_tensor_is_named() -> None:
    with pytest.raises(WeightMismatch, match="is a one, but its tensor fc is missing"):
        recognise({"stem.one": (1,)}, [ONE, TWO])


def test_a_defining_tensor_with_too_few_axes() -> None:
    with pytest.raises(WeightMismatch, match="too few axes"):
        recognise({"stem.one": (1,), "fc": (8,)}, [ONE, TWO])


def test_a_defining_tensor_that_is_empty() -> None:
    def divide(shapes: Shapes) -> Architecture:
        return Architecture(title="x", classes=8 // shapes["fc"][1], frames=None, layout={})

    empty = replace(ONE, read=divide)
    with pytest.raises(WeightMismatch, match="that defines its widths is empty"):
        recognise({"stem.one": (1,), "fc": (8, 0)}, [empty])


@pytest.mark.parametrize(
    ("asked", "config", "weights", "expected"),
    [
        (8, None, None, 8),
        (8, 16, None, 8),
        (None, 16, None, 16),
        (None, None, 16, 16),
        (16, 16, 16, 16),
    ],
)
def test_frames(asked: int | None, config: int | None, weights: int | None, expected: int) -> None:
    settled = resolve_frames(asked=asked, config=config, weights=weights, defaults=(8,))
    assert settled == (expected, ())


def test_any_number_of_frames_needs_no_question() -> None:
    frames, notes = resolve_frames(
        asked=None, config=None, weights=None, defaults=(25, 8, 3), any_frames=True
    )
    assert frames == 25
    assert notes[0].endswith("25, the usual number, was taken, and fewer are faster: --frames 8")
    settled = resolve_frames(asked=4, config=None, weights=None, defaults=(25,), any_frames=True)
    assert settled == (4, ())
    alone = resolve_frames(asked=None, config=None, weights=None, defaults=(8,), any_frames=True)
    assert alone[1][0].endswith("--frames 4")


def test_frames_unknown_is_a_question() -> None:
    with pytest.raises(FamilyError, match="8 or 16") as caught:
        resolve_frames(asked=None, config=None, weights=None, defaults=(8, 16))
    assert "--frames 8" in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "config", "who"), [(8, None, "--frames"), (None, 8, "inference.yml")]
)
def test_frames_contradicted(asked: int | None, config: int | None, who: str) -> None:
    with pytest.raises(FamilyError, match=f"{who} says 8 frames, but the model is built for 16"):
        resolve_frames(asked=asked, config=config, weights=16, defaults=(8, 16))


EXPECTED = {"a": (2, 3), "b": (4,)}
GOOD = {"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.float32)}


def test_matching_weights_pass() -> None:
    check_weights(GOOD, EXPECTED, "one")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": GOOD["a"]}, "lacks b"),
        ({**GOOD, "c": GOOD["a"]}, "does not have: c"),
        ({**GOOD, "b": np.ones(5, np.float32)}, r"b is \[5\], expected \[4\]"),
        ({**GOOD, "b": np.array([1, np.nan, 1, np.inf], np.float32)}, r"b holds 2 value\(s\)"),
    ],
)
def test_misfits_are_named(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightMismatch, match=message):
        check_weights(weights, EXPECTED, "one")


def test_long_lists_are_cut() -> None:
    with pytest.raises(WeightMismatch, match=r"lacks a0, a1, a2 and 7 more\."):
        check_weights({}, {f"a{index}": (1,) for index in range(10)}, "one")


def test_count_from_stops_at_the_first_gap() -> None:
    assert count_from({"s.0.x": (1,), "s.1.x": (1,), "s.3.x": (1,)}, "s.{}.") == 2
