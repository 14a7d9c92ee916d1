"""Which steps are taken when results are late, and which are taken back."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.degrade import Rung, Step
from tests.plant import Plant, Shelf, plant


def rungs(run: Plant) -> list[tuple[int, int]]:
    return [(step.after.every, step.after.model) for _, step in run.steps]


def test_no_step_while_results_are_in_time() -> None:
    run = plant(cost_s=lambda model, at_s: 0.1, models=3)
    run.run(600)
    assert run.steps == []
    assert run.ladder.level == 0


def test_fewer_windows_where_they_wait_for_one_another() -> None:
    run = plant(cost_s=lambda model, at_s: 0.4, limit_ms=600.0, models=2)
    run.run(120)
    assert rungs(run) == [(2, 0)]
    assert run.steps[0][1].why == "queued"
    assert max(run.latest_ms(60)) <= 401


def test_next_model_where_a_single_result_takes_too_long() -> None:
    run = plant(cost_s=lambda model, at_s: (0.5, 0.2)[model], stride_s=1.0, models=2)
    run.run(120)
    assert rungs(run) == [(1, 1)]
    assert run.steps[0][1].why == "slow"
    assert max(run.latest_ms(60)) <= 201


def test_all_steps_in_their_order() -> None:
    run = plant(cost_s=lambda model, at_s: (2.5, 2.0, 0.15)[model], models=3)
    run.run(200)
    assert rungs(run)[:4] == [(2, 0), (4, 0), (4, 1), (4, 2)]
    # The cheapest model is quick enough to compute every window again.
    assert rungs(run)[4:] == [(2, 2), (1, 2)]
    assert run.ladder.level == 2


def test_back_up_when_the_load_is_gone() -> None:
    run = plant(cost_s=lambda m, at_s: (0.6, 0.3)[m] if at_s < 100 else (0.1, 0.05)[m], models=2)
    run.run(100)
    assert run.ladder.level > 0
    run.run(300)
    assert run.ladder.rung == Rung()
    assert [step.direction for at_s, step in run.steps if at_s > 105] == ["up"] * sum(
        at_s > 105 for at_s, _ in run.steps
    )


def test_a_model_that_is_no_quicker_is_left_and_not_tried_again_soon() -> None:
    run = plant(cost_s=lambda model, at_s: (0.5, 0.6, 0.2)[model], stride_s=1.0, models=3)
    run.run(600)
    assert rungs(run) == [(1, 1), (1, 0), (1, 2)]
    assert run.steps[1][1].why == "no_gain"


def test_the_first_results_of_a_model_do_not_count() -> None:
    # Where windows share work, a model computes its first ones whole.
    uses = [0, 0]

    def cost_s(model: int, at_s: float) -> float:
        uses[model] += 1
        return (0.5, 0.2)[model] * (10 if uses[model] <= 2 else 1)

    run = plant(cost_s=cost_s, stride_s=1.0, models=2)
    run.run(300)
    assert rungs(run)[-1][1] == 1
    assert "no_gain" not in [step.why for _, step in run.steps]


def test_says_once_that_nothing_is_left() -> None:
    run = plant(cost_s=lambda model, at_s: 0.5, stride_s=1.0)
    run.run(600)
    ((_, step),) = run.steps
    assert (step.direction, step.why, step.before) == ("stays", "nothing_left", step.after)


def test_waits_for_a_model_that_opens_and_passes_over_one_that_does_not() -> None:
    shelf = Shelf({1: "opening", 2: "open"})
    run = plant(
        cost_s=lambda model, at_s: (0.5, 0.2, 0.2)[model], stride_s=1.0, models=3, shelf=shelf
    )
    run.run(20)
    assert run.steps == []
    shelf.states[1] = "failed"
    run.run(40)
    assert rungs(run) == [(1, 2)]


def test_steps_up_that_do_not_last_become_rare() -> None:
    # Nothing tells that there is no room for every window.
    run = plant(cost_s=lambda model, at_s: 0.05)
    run.hidden_s = 0.3
    run.run(5000)
    ups_s = [at_s for at_s, step in run.steps if step.direction == "up"]
    waits_s = [after - before for before, after in pairwise(ups_s)]
    assert waits_s[0] < 40
    assert all(later > sooner * 0.9 for sooner, later in pairwise(waits_s))
    assert len(ups_s) <= 14


@settings(max_examples=40, deadline=None)
@given(
    costs_s=st.lists(st.floats(0.005, 3.0), min_size=1, max_size=3),
    stride_s=st.floats(0.05, 2.0),
    limit_ms=st.floats(50, 3000),
)
def test_under_a_constant_load_it_settles(
    costs_s: list[float], stride_s: float, limit_ms: float
) -> None:
    run = plant(
        cost_s=lambda model, at_s: costs_s[model],
        limit_ms=limit_ms,
        models=len(costs_s),
        stride_s=stride_s,
    )
    run.run(900)
    check_steps(run, len(costs_s))
    assert sum(at_s > 450 for at_s, _ in run.steps) <= 6
    bearable = [
        every
        for every in (1, 2, 4)
        if costs_s[0] * 1e3 <= limit_ms * 0.9 and costs_s[0] <= stride_s * every * 0.9
    ]
    if bearable:
        assert max(run.latest_ms(880), default=0.0) <= max(limit_ms, costs_s[0] * 1e3 * 1.01)


@settings(max_examples=25, deadline=None)
@given(
    costs_s=st.lists(st.floats(0.01, 0.2), min_size=1, max_size=3),
    slower=st.floats(1.0, 20.0),
    stride_s=st.floats(0.3, 1.0),
)
def test_comes_back_to_the_top(costs_s: list[float], slower: float, stride_s: float) -> None:
    costs_s = sorted(costs_s, reverse=True)
    run = plant(
        cost_s=lambda model, at_s: costs_s[model] * (slower if 50 < at_s < 200 else 1.0),
        limit_ms=costs_s[0] * 1e3 * 1.5,
        models=len(costs_s),
        stride_s=stride_s,
    )
    run.run(3500)
    check_steps(run, len(costs_s))
    assert run.ladder.rung == Rung()


def check_steps(run: Plant, models: int) -> None:
    """One step at a time, each from where the one before ended."""
    at = Rung()
    level = 0
    for _, step in run.steps:
        assert step.before == at
        at = step.after
        assert 1 <= at.every <= 4
        assert 0 <= at.model < models
        assert moved(step) == {"down": 1, "up": -1, "stays": 0}[step.direction]
        assert step.level == level + moved(step)
        level = step.level
    assert run.ladder.rung == at
    assert run.ladder.level == level


def moved(step: Step) -> int:
    """Steps down; a model counts as one however many were passed over."""
    before, after = step.before, step.after
    fewer = after.every.bit_length() - before.every.bit_length()
    cheaper = (after.model > before.model) - (after.model < before.model)
    return fewer + cheaper
