"""The INT8 graph for OpenVINO: the fastest of several that hold the budget there."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from calibration.gate import Gate, Passed
from calibration.nncf_target import NncfWriter
from calibration.race import Times, race
from calibration.report import Recipe
from models.errors import BackendError, CalibrationError, EdgeclsError

BACKEND = "openvino"

_LONGEST_REASON = 200
"""Characters of an engine's message that a note repeats."""

WriteQdq = Callable[[Recipe, Path], Path]
"""Writes an ONNX graph with Q/DQ nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A graph that holds the budget on OpenVINO.

    Attributes:
        writer: What wrote it.
        passed: The graph and how it passed.
        shared: It is the graph that was made for every engine.
    """

    writer: str
    passed: Passed
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVinoResult:
    """Outcome of the race on OpenVINO.

    Attributes:
        winner: The fastest graph.
        times: Of the race; the graphs are named by their files, fp32 is `fp32`.
        notes: Why others were dropped, a sentence each.
    """

    winner: Entrant
    times: Times
    notes: tuple[str, ...]


def first_sentence(error: EdgeclsError, scratch: Path) -> str:
    """First line of a message, without what is wrong by the time it is read in a note.

    That is the folder, which is gone, and that nothing was added.
    """
    line = error.message.splitlines()[0].replace(f"{scratch}{os.sep}", "")
    return line.removesuffix(" Nothing was added.")


def shared_on_openvino(gate: Gate, shared: Passed) -> Passed | EdgeclsError:
    """Let the graph for every engine, which passed elsewhere, pass on OpenVINO too.

    Args:
        gate: On OpenVINO.
        shared: The graph.

    Returns:
        The graph with the figures of OpenVINO; a CalibrationError when it runs there but misses
        the budget, a BackendError when it does not run.
    """
    try:
        return gate.passed(
            shared.recipe,
            lambda _: shared.path,
            title="checking ONNX on OpenVINO",
            repair=False,
        )
    except (CalibrationError, BackendError) as error:
        return error


def fastest_on_openvino(
    gate: Gate,
    recipe: Recipe,
    *,
    shared: Passed | EdgeclsError | None,
    write_qdq: WriteQdq,
    qdq_writer: str,
    nncf: NncfWriter,
    scratch: Path,
) -> OpenVinoResult:
    """Make graphs for OpenVINO, let each pass the gate, and race those that do.

    Tried are the graph for every engine (or one made like it), the same with signed activations
    where OpenVINO does not load that, and NNCF's own. Once one of them holds the budget, the
    others are not repaired.

    Args:
        gate: On OpenVINO.
        recipe: That of the graph for every engine.
        shared: What `shared_on_openvino` gave of the graph for every engine; None when none is
            made.
        write_qdq: Writes ONNX graphs.
        qdq_writer: Its name.
        nncf: Writes OpenVINO's own.
        scratch: For the graphs.

    Raises:
        CalibrationError: None holds the budget.
        BackendError: OpenVINO cannot be used.
    """
    notes: list[str] = []
    entrants: list[Entrant] = []

    def drop(name: str, error: EdgeclsError) -> None:
        reason = shorten(first_sentence(error, scratch), _LONGEST_REASON, placeholder=" …")
        notes.append(f"On OpenVINO, {name} was dropped: {reason}")

    def enter(name: str, writer: str, attempt: Callable[[], Passed]) -> EdgeclsError | None:
        try:
            entrants.append(Entrant(writer=writer, passed=attempt(), shared=False))
        except (CalibrationError, BackendError) as error:
            drop(name, error)
            return error
        return None

    def with_qdq(one: Recipe, file: str) -> Callable[[], Passed]:
        return lambda: gate.passed(
            one,
            lambda repaired: write_qdq(repaired, scratch / file),
            title=f"checking ONNX ({one.activations}) on OpenVINO",
        )

    gate.judge.fp32(BACKEND, gate.judge.clips.held_out)  # fails here if OpenVINO does not work
    failed: EdgeclsError | None = None
    if isinstance(shared, Passed):
        entrants.append(Entrant(writer=qdq_writer, passed=shared, shared=True))
    elif shared is not None:
        drop("the ONNX graph for every engine", shared)
        failed = shared
    if shared is None or isinstance(failed, CalibrationError):
        own_onnx = with_qdq(recipe, f"openvino.{recipe.activations}.onnx")
        failed = enter("an ONNX graph of its own", qdq_writer, own_onnx)
    if isinstance(failed, BackendError) and recipe.activations == "u8":
        signed = recipe.model_copy(update={"activations": "s8", "reduce_range": False})
        enter("the ONNX graph with signed activations", qdq_writer, with_qdq(signed, "s8.onnx"))
    own = recipe.model_copy(
        update={
            "method": "minmax" if recipe.method == "entropy" else recipe.method,
            "granularity": "per_channel",
            "reduce_range": False,
        }
    )
    enter(
        "NNCF's graph",
        nncf.name,
        lambda: gate.passed(
            own,
            lambda one: nncf.write(one, scratch / "openvino.xml"),
            title="checking NNCF's graph",
        ),
    )
    if not entrants:
        raise CalibrationError(
            "No INT8 graph holds the budget on OpenVINO. Nothing was added.\n  "
            + "\n  ".join(notes),
            hint="Leave OpenVINO out (--target onnx), allow more (--budget), or keep fp32.",
        )
    gate.judge.on_step("racing on OpenVINO", 0, 1)
    graphs = {"fp32": gate.judge.bundle.model_path("fp32")}
    graphs |= {one.passed.path.name: one.passed.path for one in entrants}
    times = race(graphs, gate.judge.card, backend=BACKEND)
    gate.judge.on_step("racing on OpenVINO", 1, 1)
    winner = min(entrants, key=lambda one: times.median_ms[one.passed.path.name])
    ranking = sorted(entrants, key=lambda one: times.median_ms[one.passed.path.name])
    if len(entrants) > 1:
        figures = ", ".join(
            f"{one.writer}{' (signed)' if one.passed.recipe.activations == 's8' else ''}"
            f" {times.median_ms[one.passed.path.name]:.1f} ms"
            for one in ranking
        )
        fp32_ms = times.median_ms["fp32"]
        notes.append(f"Race on OpenVINO: {figures}, fp32 {fp32_ms:.1f} ms; the first is kept.")
    return OpenVinoResult(winner=winner, times=times, notes=tuple(notes))
