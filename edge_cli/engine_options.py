"""Options about the engine that runs the model, which several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.options import AUTO
from edge_cli.run_request import Precision, Views
from models.errors import UsageError

if TYPE_CHECKING:
    from runtime.engine_request import EngineRequest

BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="auto, or an engine of edgecls bench; a named one runs or the command fails.",
    ),
]

DeviceOption = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="DEVICE",
        show_default="the backend's first",
        help="Device of the engine: CPU, GPU, GPU.1 or NPU of openvino; the number of a GPU of"
        " cuda and tensorrt.",
    ),
]

BackendOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--backend-option",
        metavar="NAME=VALUE",
        show_default=False,
        help="Set an option of the engine named by --backend, or BACKEND.NAME=VALUE; again for"
        " several.",
    ),
]

PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="auto takes INT8 where it is calibrated and clearly faster on this machine, else"
        " fp32; a named one runs or the command fails.",
    ),
]

ViewsOption = Annotated[
    Views | None,
    typer.Option(
        "--views",
        show_default="as the model was tested",
        help="Crops per frame: the centre, or centre and corners, each also mirrored.",
    ),
]
"""Where a result is about a whole file."""

NoRaceOption = Annotated[
    bool,
    typer.Option(
        "--no-race",
        help="Measure nothing: take the first engine that works of tensorrt, cuda, openvino, cpu,"
        " and fp32 for auto.",
    ),
]

StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse an engine for a GPU if it leaves nodes of the graph to the CPU.",
    ),
]

MaxCpuShareOption = Annotated[
    float | None,
    typer.Option(
        "--max-cpu-share",
        metavar="SHARE",
        show_default="0",
        help="--strict: share of the nodes that may run on the CPU, 0 to 1.",
    ),
]


def engine_asked(
    *,
    backend: str,
    precision: str,
    device: str | None,
    backend_options: Sequence[str] | None,
    no_race: bool,
    strict: bool,
    max_cpu_share: float | None,
    threads: int | None,
) -> EngineRequest:
    """What is asked of the engine, of the options above as typed.

    Raises:
        UsageError: They contradict each other, or an engine has no such option.
    """
    from runtime.engine_request import EngineRequest

    if max_cpu_share is not None and not strict:
        raise UsageError(
            "--max-cpu-share has no meaning without --strict.",
            hint=f"--strict --max-cpu-share {max_cpu_share:g}",
        )
    return EngineRequest(
        backend=None if backend == AUTO else backend,
        precision=precision,
        device=device,
        threads=threads,
        settings=settings_asked(
            backend_options or (), backend=None if backend == AUTO else backend
        ),
        race=not no_race,
        strict=strict,
        max_cpu_share=max_cpu_share or 0.0,
    )


def settings_asked(texts: Sequence[str], *, backend: str | None) -> dict[str, dict[str, str]]:
    """Options of engines, by backend.

    Args:
        texts: As typed: `NAME=VALUE`, `BACKEND.NAME=VALUE`; a later one over an earlier one.
        backend: The one that was named; None for any.

    Raises:
        UsageError: One is not of this form, for another backend, or there is no such option.
    """
    from runtime.backends import backend_named
    from runtime.settings import resolved

    found: dict[str, dict[str, str]] = {}
    for text in texts:
        words, equals, value = text.partition("=")
        first, dot, rest = words.partition(".")
        of, name = (first, rest) if dot else (backend, words)
        if not equals or not name:
            raise UsageError(
                f"--backend-option {text!r} is not NAME=VALUE.",
                hint="E.g. --backend openvino --backend-option streams=2",
            )
        if of is None:
            raise UsageError(
                f"--backend-option {text!r} does not say of which backend.",
                hint=f"--backend-option BACKEND.{text}, or --backend BACKEND",
            )
        if backend is not None and of != backend:
            raise UsageError(
                f"--backend-option {text!r} is for {of}, and --backend is {backend}.",
                hint="Leave out one of the two.",
            )
        resolved(of, backend_named(of).settings, {name: value})
        found.setdefault(of, {})[name] = value
    return found


def engine_words(asked: EngineRequest, *, precision: str) -> list[tuple[str, object]]:
    """The options that ask for it, without those that ask for the usual.

    Args:
        asked: What is asked of the engine.
        precision: The usual one.

    Returns:
        Names and values; the value of a switch that is on is True, an absent one is None.
    """
    settings = [
        ("--backend-option", f"{backend}.{name}={value}")
        for backend, values in asked.settings.items()
        for name, value in values.items()
    ]
    return [
        ("--precision", None if asked.precision == precision else asked.precision),
        ("--backend", asked.backend),
        ("--device", asked.device),
        *settings,
        ("--no-race", None if asked.race else True),
        ("--strict", True if asked.strict else None),
        ("--max-cpu-share", asked.max_cpu_share or None),
        ("--threads", asked.threads),
    ]
