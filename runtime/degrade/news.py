"""A step of the ladder as outputs are told of it."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.degrade.ladder import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradeNews:
    """A step, and what only the run knows of it.

    Attributes:
        step: What changed.
        at_s: When, seconds since 1970.
        limit_ms: Age above which results are late.
        model: Name of the model that runs from now on.
        precision: Of its graph.
        text: The step in words.
    """

    step: Step
    at_s: float
    limit_ms: float
    model: str
    precision: str
    text: str


def degrade_record(news: DegradeNews) -> dict[str, object]:
    """A step as JSON and files have it; docs/cli.md says what the fields mean."""
    from runtime.outputs.event_record import utc

    step = news.step
    return {
        "direction": step.direction,
        "why": step.why,
        "level": step.level,
        "every": step.after.every,
        "model": news.model,
        "precision": news.precision,
        "at": utc(news.at_s),
        "age_ms": round(step.age_ms, 3),
        "cost_ms": round(step.cost_ms, 3),
        "max_latency_ms": news.limit_ms,
        "text": news.text,
    }


def windows_in_words(every: int) -> str:
    """E.g. "every window", "every 2nd window"."""
    return {1: "every window", 2: "every 2nd window"}.get(every, f"every {every}th window")


def step_in_words(step: Step, *, limit_ms: float, before: str, after: str) -> str:
    """A step in words.

    E.g. "results are 412 ms old, more than 300 ms: every 2nd window from now on (level 1)".

    Args:
        step: What changed.
        limit_ms: Age above which results are late.
        before: Name of the model that ran.
        after: Name of the model that runs from now on.
    """
    level = f" (level {step.level})"
    late = f"results are {step.age_ms:.0f} ms old, more than {limit_ms:g} ms"
    if step.why == "nothing_left":
        return f"{late}, and there is no step left that would help{level}"
    changed = windows_in_words(step.after.every)
    if step.before.model != step.after.model:
        changed = after
    if step.direction == "down":
        return f"{late}: {changed} from now on{level}"
    if step.why == "no_gain":
        return f"{before} is no quicker here, {step.cost_ms:.0f} ms: {changed} again{level}"
    return f"results are {step.age_ms:.0f} ms old, there is room: {changed} again{level}"
