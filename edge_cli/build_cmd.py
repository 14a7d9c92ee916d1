"""`edgecls build`: let an engine compile a model before it is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.engine_options import BackendOptionsOption, DeviceOption, engine_asked
from edge_cli.options import BundleArgument, ThreadsOption, open_bundle_argument
from edge_cli.run_request import Precision

if TYPE_CHECKING:
    from runtime.build import Built


def build(
    backend: Annotated[
        str,
        typer.Option(metavar="NAME", help="What compiles: tensorrt, or openvino for GPU and NPU."),
    ],
    bundle: BundleArgument = None,
    precision: Annotated[
        Precision, typer.Option(help="auto builds fp32 and the INT8 graph that may replace it.")
    ] = Precision.AUTO,
    device: DeviceOption = None,
    backend_options: BackendOptionsOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Let an engine compile a model before it is needed.

    TensorRT takes minutes for that on a Jetson. What is compiled is kept, and
    found by every command that runs the model with the same options.

    Example: edgecls build builtin --backend openvino --backend-option cache=on
    """
    from runtime.build import build as make
    from runtime.build import graphs_to_build

    opened = open_bundle_argument(bundle)
    asked = engine_asked(
        backend=backend,
        precision=precision.value,
        device=device,
        backend_options=backend_options,
        no_race=False,
        strict=False,
        max_cpu_share=None,
        threads=threads,
    )
    for variant in graphs_to_build(opened, asked):
        with _beating(f"building the {variant.title} graph for {backend}") as beat:
            built = make(opened, variant, asked, beat=beat)
        sys.stdout.write(f"{_in_words(built)}\n")


def _in_words(built: Built) -> str:
    """E.g. "fp32 on openvino 2026.4.1 CPU: built in 12.3 s, 24.1 MB (CPU 100 % of nodes)"."""
    from models.sizes import size_in_words

    done = f"built in {built.time_s:.1f} s" if built.made else f"was built, {built.time_s:.1f} s"
    size = size_in_words(built.size_bytes)
    return f"{built.graph} on {built.engine}: {done}, {size} ({built.placement})"


@contextmanager
def _beating(text: str) -> Iterator[Callable[[float], None]]:
    """A clock on a terminal, else a line now and then, both on stderr."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        sys.stderr.write(f"{text}\n")
        yield lambda time_s: _write_beat(text, time_s)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        progress.add_task(text, total=None)
        yield lambda _: None


def _write_beat(text: str, time_s: float) -> None:
    sys.stderr.write(f"{text}: {time_s:.0f} s\n")
    sys.stderr.flush()
