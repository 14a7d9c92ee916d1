"""Every state that engines can be in, in every combination, against a table of what must happen.

The table below is written from the outside: it knows the states that were made up and what the
documentation promises, and nothing of how the choice comes about.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import Bundle
from models.errors import BackendError
from runtime.choice_cache import ChoiceCache
from runtime.choose import Choice, EngineRequest, Machine, choose_session
from runtime.placement import Placement, all_on, placed
from runtime.session import Probe
from tests.engines import AMD, Clock, Engine
from tests.tiny_models import write_tiny_bundle

NAMES = ("tensorrt", "cuda", "openvino", "cpu")
PROVIDERS = {"tensorrt": "TensorRT", "cuda": "CUDA", "openvino": "CPU", "cpu": "CPU"}
RUN_S = {"tensorrt": 0.08, "cuda": 0.02, "openvino": 0.005, "cpu": 0.3}
"""In another order than the list, and far apart."""

ON_CPU = 0.25
"""Share of the nodes of a GPU backend that runs the rest."""


class State(Enum):
    """What is the matter with an engine."""

    FINE = "fine"
    PARTLY = "some of its nodes run on the CPU"
    ELSEWHERE = "none of its nodes run where they should"
    ABSENT = "it is not installed"
    NOT_LOADED = "it does not load the graph"
    NO_FIRST_RUN = "it fails when it first runs"
    LATER = "it fails in the second run"


OF_GPU = tuple(State)
OF_CPU = tuple(one for one in State if one not in (State.PARTLY, State.ELSEWHERE))
NEVER_RUN = (State.ABSENT, State.NOT_LOADED, State.NO_FIRST_RUN, State.ELSEWHERE)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny"))


@dataclass(frozen=True)
class Case:
    """Engines in their states, and what is asked for."""

    states: tuple[State, ...]
    asked: EngineRequest

    @property
    def considered(self) -> list[tuple[str, State]]:
        """Those that the request is about."""
        pairs = zip(NAMES, self.states, strict=True)
        return [(name, state) for name, state in pairs if self.asked.backend in (None, name)]

    @property
    def usable(self) -> list[str]:
        """Those that pass everything that happens before a race."""
        too_much = self.asked.strict and self.asked.max_cpu_share < ON_CPU
        return [
            name
            for name, state in self.considered
            if state not in NEVER_RUN and not (too_much and state is State.PARTLY)
        ]

    @property
    def raced(self) -> bool:
        """Whether more than one run is made: a single graph has nothing to race against."""
        there = [name for name, state in self.considered if state is not State.ABSENT]
        return self.asked.race and len(there) > 1

    @property
    def winner(self) -> str | None:
        """What must come out; None for an error."""
        states = dict(self.considered)
        if not self.raced:
            return next(iter(self.usable), None)
        left = [name for name in self.usable if states[name] is not State.LATER]
        return min(left, key=RUN_S.__getitem__, default=None)


def placement_of(name: str, state: State) -> Placement:
    provider = PROVIDERS[name]
    if state is State.ELSEWHERE:
        return placed({"CPU": 4}, {"CPU": 1.0})
    if state is State.PARTLY:
        return placed({provider: 3, "CPU": 1}, {provider: 9.0, "CPU": 1.0})
    return all_on(provider)


def engines_of(states: Sequence[State], clock: Clock) -> list[Engine]:
    engines = []
    for name, state in zip(NAMES, states, strict=True):
        engine = Engine(
            name=name,
            clock=clock,
            run_s=RUN_S[name],
            provider=PROVIDERS[name],
            placement=placement_of(name, state),
        )
        failure = BackendError(f"{name}: {state.value}.", hint=f"mend {name}")
        if state is State.ABSENT:
            engine.probe = Probe(ok=False, reason=failure.message, hint=failure.hint)
        elif state is State.NOT_LOADED:
            engine.open_error = failure
        elif state in (State.NO_FIRST_RUN, State.LATER):
            engine.run_error = failure
            engine.fails_at = 2 if state is State.LATER else 1
        engines.append(engine)
    return engines


def machine_of(engines: Sequence[Engine], clock: Clock, cache: Path) -> Machine:
    return Machine(
        backends=tuple(engine.backend for engine in engines),
        cpu=AMD,
        gpus="",
        clock=clock,
        cache=ChoiceCache(cache),
    )


def chosen(
    bundle: Bundle, case: Case, *, cache: Path = Path(os.devnull) / "none"
) -> tuple[Choice | BackendError, dict[str, Engine]]:
    clock = Clock()
    engines = engines_of(case.states, clock)
    machine = machine_of(engines, clock, cache)
    by_name = {engine.name: engine for engine in engines}
    try:
        return choose_session(bundle, case.asked, machine=machine), by_name
    except BackendError as error:
        return error, by_name


def check(case: Case, found: Choice | BackendError, engines: dict[str, Engine]) -> None:
    """Hold what came out against the table."""
    told = f"{case.asked.backend}: {[state.name for state in case.states]}"
    considered = dict(case.considered)
    for name, engine in engines.items():
        if name not in considered:
            assert (engine.probed, engine.opened) == (0, 0), f"{told}: {name} was not asked for"
    if isinstance(found, BackendError):
        assert case.winner is None, told
        assert all(engine.closed == sessions(engine) for engine in engines.values()), told
        blamed = [case.asked.backend] if case.asked.backend else NAMES
        assert all(name in found.message for name in blamed), told
        assert found.hint, told
        return
    assert found.session.backend == case.winner, told
    for name, engine in engines.items():
        left_open = sessions(engine) - engine.closed
        assert left_open == (name == case.winner), f"{told}: {name} has {left_open} open sessions"
    assert engines[found.session.backend].runs > case.raced, "the first run is not of the race"
    assert found.placement.node_share(PROVIDERS[found.session.backend]) > 0, told
    refused = {no.backend for no in found.rejected}
    if case.asked.race:
        assert refused == {name for name, state in considered.items() if is_refused(case, name)}
    line = found.line()
    assert found.placement.line() in line
    assert all(no.title in line and no.reason in line for no in found.rejected), told


def is_refused(case: Case, name: str) -> bool:
    state = dict(case.considered)[name]
    return name not in case.usable or (state is State.LATER and case.raced)


def sessions(engine: Engine) -> int:
    """How many were opened."""
    return 0 if engine.open_error is not None else engine.opened


def all_states() -> Iterator[tuple[State, ...]]:
    return product(OF_GPU, OF_GPU, OF_CPU, OF_CPU)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("race", [True, False])
def test_to_choose(bundle: Bundle, race: bool, strict: bool) -> None:
    """All 1225 combinations of states."""
    asked = EngineRequest(threads=2, race=race, strict=strict)
    for states in all_states():
        if strict and State.PARTLY not in states:
            continue  # nothing to be strict about: as above
        case = Case(states=states, asked=asked)
        check(case, *chosen(bundle, case))


@pytest.mark.parametrize("race", [True, False])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_never_replaced(bundle: Bundle, name: str, strict: bool, race: bool) -> None:
    """Whatever the others could do."""
    asked = EngineRequest(backend=name, threads=2, race=race, strict=strict)
    mine = NAMES.index(name)
    for state in OF_GPU if name in ("tensorrt", "cuda") else OF_CPU:
        for others in (State.FINE, State.ABSENT):
            states = tuple(state if index == mine else others for index in range(len(NAMES)))
            case = Case(states=states, asked=asked)
            found, engines = chosen(bundle, case)
            check(case, found, engines)
            if isinstance(found, BackendError):
                assert found.message.startswith(f"Backend {name} was asked for and cannot be used")
            else:
                assert found.line().endswith(f"({name} asked for)")


@pytest.mark.parametrize(
    ("allowed", "taken"), [(0.0, False), (ON_CPU - 1e-3, False), (ON_CPU, True), (1.0, True)]
)
def test_as_strict_as_asked(bundle: Bundle, allowed: float, taken: bool) -> None:
    asked = EngineRequest(backend="cuda", threads=2, strict=True, max_cpu_share=allowed)
    case = Case(states=(State.FINE, State.PARTLY, State.FINE, State.FINE), asked=asked)
    found, engines = chosen(bundle, case)
    check(case, found, engines)
    if taken:
        assert isinstance(found, Choice)
        assert (
            "fp32: CUDA 75 % of 4 nodes, 90 % of time; CPU 25 % of nodes, 10 % of" in found.line()
        )
    else:
        assert isinstance(found, BackendError)
        assert "25.0 % of the nodes ran on the CPU, and --strict allows" in found.message
        assert "--max-cpu-share" in found.hint


@settings(max_examples=150, deadline=None)
@given(
    first=st.tuples(*map(st.sampled_from, (OF_GPU, OF_GPU, OF_CPU, OF_CPU))),
    second=st.tuples(*map(st.sampled_from, (OF_GPU, OF_GPU, OF_CPU, OF_CPU))),
    strict=st.booleans(),
)
def test_a_second_start_with_engines_in_other_states(
    tmp_path_factory: pytest.TempPathFactory,
    bundle: Bundle,
    first: tuple[State, ...],
    second: tuple[State, ...],
    strict: bool,
) -> None:
    """What is remembered never lets in what would be refused, and blocks nothing that works."""
    cache = tmp_path_factory.mktemp("cache") / "choices.json"
    asked = EngineRequest(threads=2, strict=strict)
    before = Case(states=first, asked=asked)
    remembered, _ = chosen(bundle, before, cache=cache)
    case = Case(states=second, asked=asked)
    found, engines = chosen(bundle, case, cache=cache)
    if isinstance(found, BackendError):
        assert case.winner is None
        return
    if not found.remembered:
        assert found.session.backend == case.winner
        return
    assert isinstance(remembered, Choice)
    assert found.session.backend == remembered.session.backend
    assert found.session.backend in case.usable
    assert engines[found.session.backend].runs == 1, "no race"
    refused_before = {name for name, _ in before.considered if is_refused(before, name)}
    works_again = refused_before.intersection(case.usable)
    assert not works_again, "what failed is tried again"
