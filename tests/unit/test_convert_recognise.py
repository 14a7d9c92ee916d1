"""What a checkpoint is, and every way in which it can fail to be that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from convert.family import Architecture, Family, Shapes, count_from
from convert.recognise import check_weights, recognise, resolve_frames
from models.errors import FamilyError, WeightMismatch
from models.spec import ClipSpec


@dataclass
class Never:
    """Fails when a test builds a network that it should not need."""

    calls: list[Any] = field(default_factory=list)

    def __call__(self, *arguments: Any) -> Any:
        raise AssertionError(f"not expected: {arguments}")


def family(name: str, *marks: str) -> Family:
    def read(shapes: Shapes) -> Architecture:
        return Architecture(title=name, classes=shapes["fc"][1], frames=None, layout={})

    return Family(
        name=name,
        marks=marks,
        default_frames=(8, 16),
        read=read,
        build=Never(),
        fold=Never(),
        clip=lambda frames: ClipSpec(frames=frames),
    )


ONE, TWO = family("one", "stem.one"), family("two", "stem.two")


def test_the_only_fitting_family_is_found() -> None:
    found = recognise({"stem.two": (1,), "fc": (8, 3)}, [ONE, TWO])
    assert (found.family.name, found.architecture.classes) == ("two", 3)


def test_unknown_names_are_shown() -> None:
    with pytest.raises(FamilyError, match=r"2 tensors: conv.w, fc, …\) matches none .* one, two"):
        recognise({"conv.w": (1,), "fc": (8, 3)}, [ONE, TWO])


def test_ambiguity_is_a_question_with_its_answer() -> None:
    with pytest.raises(FamilyError, match="fits several families: one, two") as caught:
        recognise({"stem.one": (1,), "stem.two": (1,), "fc": (8, 3)}, [ONE, TWO])
    assert caught.value.hint == "Say which: --family one"


def test_asking_settles_ambiguity() -> None:
    shapes = {"stem.one": (1,), "stem.two": (1,), "fc": (8, 3)}
    assert recognise(shapes, [ONE, TWO], asked="two").family is TWO


def test_wrong_family_says_what_it_is_and_what_is_missing() -> None:
    with pytest.raises(FamilyError, match=r"not two: these weights are one; two needs stem\.two"):
        recognise({"stem.one": (1,), "fc": (8, 3)}, [ONE, TWO], asked="two")


def test_a_missing_defining_tensor_is_named() -> None:
    with pytest.raises(WeightMismatch, match="is a one, but its tensor fc is missing"):
        recognise({"stem.one": (1,)}, [ONE, TWO])


def test_a_defining_tensor_with_too_few_axes() -> None:
    with pytest.raises(WeightMismatch, match="too few axes"):
        recognise({"stem.one": (1,), "fc": (8,)}, [ONE, TWO])


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
