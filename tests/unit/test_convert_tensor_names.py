"""Canonical names, whatever a trainer put in front of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from convert.tensor_names import DISTILLED, WRAPPERS, Renamed, canonical, distilled_parts, unwrapped

WORD = st.from_regex(r"[a-z_]{1,6}", fullmatch=True).filter(
    lambda word: word not in {"module", "model", "_layers", "head", "backbone"}
)
NAMES = st.lists(
    st.builds(
        lambda part, words: ".".join([part, *words]),
        st.sampled_from(["backbone", "head"]),
        st.lists(
            WORD | st.from_regex(r"[a-z]{1,3}[0-9]_[0-9]", fullmatch=True), min_size=1, max_size=3
        ),
    ),
    min_size=1,
    max_size=5,
    unique=True,
).filter(lambda names: any(name.startswith("backbone.") for name in names))
"""Canonical names of a network: letters after `backbone.`, no wrapper's name among them."""
PREFIX = st.lists(st.sampled_from(WRAPPERS), max_size=4).map("".join)


def numbered(name: str) -> str:
    return name.replace("backbone.", "0.", 1) if name[0] == "b" else name.replace("head.", "1.", 1)


def bare(name: str) -> str:
    return name.removeprefix("backbone.")


@given(NAMES, PREFIX, st.sampled_from([str, numbered, bare]))
def test_wrappers_numbers_and_missing_backbones_are_undone(
    names: list[str], prefix: str, form: type[str]
) -> None:
    given_names = [prefix + form(name) for name in names]
    found = canonical(given_names)
    assert list(found.names) == names
    assert found.bare == (form is bare)
    assert len(found.notes) == (prefix != "") + (form is not str)
    if prefix:
        assert f"'{prefix}'" in found.notes[0]


@given(NAMES, PREFIX, st.sampled_from([str, numbered]), PREFIX)
def test_both_networks_of_a_distillation_are_found(
    names: list[str], outer: str, form: type[str], inner: str
) -> None:
    given_names = [
        f"{outer}{prefix}{inner}{form(name)}" for prefix in DISTILLED.values() for name in names
    ]
    rest = unwrapped(given_names)
    assert distilled_parts(rest) == ("student", "teacher")
    for prefix in DISTILLED.values():
        of_part = [name.removeprefix(prefix) for name in rest if name.startswith(prefix)]
        assert list(canonical(of_part).names) == names


@given(st.lists(st.text("ab.01_modelhs", min_size=1, max_size=16), unique=True))
def test_no_two_names_become_one(names: list[str]) -> None:
    assert len(set(canonical(names).names)) == len(names)


@given(NAMES)
def test_canonical_names_stay(names: list[str]) -> None:
    found = canonical(names)
    assert (list(found.names), found.bare, found.notes) == (names, False, ())


def test_a_wrapper_that_only_some_carry_is_part_of_the_names() -> None:
    names = ("module.backbone.a", "backbone.b")
    assert canonical(names).names == names


def test_no_names_and_heads_alone() -> None:
    assert canonical([]).names == ()
    head = ("head.fc.weight",)
    assert canonical(head) == Renamed(names=head, bare=False, notes=())
    assert distilled_parts(["Student.0.a", "other"]) == ("student",)
    assert distilled_parts(["Studentish.a"]) == ()
