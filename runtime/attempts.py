"""Starting graphs on engines, one after another; every refusal is kept."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, EdgeclsError
from runtime.engine_request import EngineRequest
from runtime.graphs import short_title
from runtime.placement import Placement
from runtime.session import Backend, Session, Tensor

logger = logging.getLogger(__name__)

_CPU = "CPU"
"""What `Placement` calls the processor."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A backend that was tried and does not run the model, or a graph of it.

    Attributes:
        backend: Its name.
        reason: Why not, as the end of a sentence.
        hint: Command that would fix it; may be empty.
        graph: The only graph that it does not run, e.g. "int8"; empty when that is the model.
        expected: It could run where it is for; see `Probe.expected`.
    """

    backend: str
    reason: str
    hint: str = ""
    graph: str = ""
    expected: bool = True

    @property
    def title(self) -> str:
        """E.g. "openvino", "openvino int8 IR"."""
        return f"{self.backend}{self.graph and ' '}{self.graph}"


def told(rejections: Sequence[Rejection]) -> tuple[str, ...]:
    """Each reason once, e.g. "openvino: openvino is not installed", "tensorrt, cuda: no GPU"."""
    titles: dict[str, list[str]] = {}
    for no in rejections:
        titles.setdefault(no.reason, []).append(no.title)
    return tuple(f"{', '.join(those)}: {reason}" for reason, those in titles.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A graph, open on a backend; it has run once.

    Attributes:
        backend: The backend.
        variant: The graph.
        session: Open.
        placement: Where its nodes ran.
    """

    backend: Backend
    variant: Variant
    session: Session
    placement: Placement


class Attempts:
    """Starts the graphs of a bundle and remembers what failed.

    Args:
        bundle: The model.
        asked: What is asked of the engine.
    """

    def __init__(self, bundle: Bundle, asked: EngineRequest) -> None:
        self.bundle = bundle
        self.asked = asked
        self.rejected: list[Rejection] = []

    def works(self, backend: Backend) -> bool:
        """Whether a backend works here at all and was not refused before."""
        if any(no.backend == backend.name and not no.graph for no in self.rejected):
            return False
        probe = backend.probe()
        if not probe.ok:
            refusal = Rejection(
                backend=backend.name,
                reason=probe.reason.rstrip("."),
                hint=probe.hint,
                expected=probe.expected,
            )
            self._add(refusal)
        return probe.ok

    def start(self, backend: Backend, variant: Variant) -> Entrant | None:
        """Open a graph on a backend that works, run it once, and look where its nodes ran.

        An engine may load a graph and fail, or leave the device that it is for, only when it runs.
        The first run is also the slow one: no latency that is measured later has it.

        Returns:
            None where it was refused, and one more entry in `rejected`.

        Raises:
            BundleError: The file is missing or altered.
        """
        if any((no.backend, no.graph) == _key(backend, variant) for no in self.rejected):
            return None
        path = self.bundle.graph_path(variant)
        try:
            session = backend.open(path, self.bundle.card, self.asked.options)
            try:
                session.run(self.noise)
                placement = session.placement
                self._check_placement(backend, placement)
            except BaseException:
                session.close()
                raise
        except EdgeclsError as error:
            self.reject(backend, variant, error)
            return None
        return Entrant(backend=backend, variant=variant, session=session, placement=placement)

    @cached_property
    def noise(self) -> Tensor:
        """A clip to run: float32 [1, T, 3, H, W]; zeros would be quicker than video is."""
        shape = self.bundle.card.clip.input_shape()
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def reject(self, backend: Backend, variant: Variant, error: EdgeclsError) -> None:
        """Record that a graph failed."""
        name, graph = _key(backend, variant)
        reason = error.message.rstrip(".")
        self._add(Rejection(backend=name, reason=reason, hint=error.hint, graph=graph))

    def nothing_left(self) -> BackendError:
        """The error when every backend refused."""
        reasons = "; ".join(told(self.rejected))
        hint = next(
            (no.hint for no in self.rejected if no.hint and no.expected),
            "pip install 'edgecls[cpu]'",
        )
        return BackendError(f"No backend runs {self.bundle.card.name} here ({reasons}).", hint=hint)

    def _add(self, refusal: Rejection) -> None:
        logger.info("rejected: %s: %s", refusal.title, refusal.reason)
        self.rejected.append(refusal)

    def _check_placement(self, backend: Backend, placement: Placement) -> None:
        """Refuse a backend for a GPU whose nodes ran elsewhere.

        Raises:
            BackendError: None ran on it, or too many ran on the CPU and the request is strict.
        """
        if backend.provider == _CPU:
            return
        if placement.node_share(backend.provider) <= 0:
            raise BackendError(
                f"not one node of the graph ran on {backend.provider} ({placement.line()})",
                hint="edgecls doctor",
            )
        share, allowed = placement.node_share(_CPU), self.asked.max_cpu_share
        if self.asked.strict and share > allowed + _ROUNDING:
            raise BackendError(
                f"{share * 100:.1f} % of the nodes ran on the CPU, and --strict allows"
                f" {allowed * 100:g} %",
                hint="--max-cpu-share allows more; without --strict it is used as it is.",
            )


def _key(backend: Backend, variant: Variant) -> tuple[str, str]:
    """An fp32 graph stands for the model."""
    return backend.name, "" if variant.precision == "fp32" else short_title(variant)
