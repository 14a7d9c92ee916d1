"""Opening graphs on engines, one after another; every refusal is kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from models.bundle import Bundle
from models.card import Variant
from models.errors import BackendError, EdgeclsError
from runtime.graphs import short_title
from runtime.session import Backend, Session, SessionOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A backend that was tried and does not run the model, or a graph of it.

    Attributes:
        backend: Its name.
        reason: Why not, as the end of a sentence.
        hint: Command that would fix it; may be empty.
        graph: The only graph that it does not run, e.g. "int8"; empty when that is the model.
    """

    backend: str
    reason: str
    hint: str = ""
    graph: str = ""

    @property
    def told(self) -> str:
        """E.g. "openvino: openvino is not installed", "openvino int8 IR: ..."."""
        return f"{self.backend}{self.graph and ' '}{self.graph}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A graph, open on a backend.

    Attributes:
        backend: The backend.
        variant: The graph.
        session: Open.
    """

    backend: Backend
    variant: Variant
    session: Session

    @property
    def title(self) -> str:
        """E.g. "cpu", or "cpu int8" where it is not fp32."""
        return _title(self.backend, self.variant)


class Attempts:
    """Opens the graphs of a bundle and remembers what failed."""

    def __init__(self, bundle: Bundle, options: SessionOptions) -> None:
        self.bundle = bundle
        self.options = options
        self.rejected: list[Rejection] = []

    def works(self, backend: Backend) -> bool:
        """Whether a backend works here at all and was not refused before."""
        if any(no.backend == backend.name and not no.graph for no in self.rejected):
            return False
        probe = backend.probe()
        if not probe.ok:
            self.reject(backend, None, probe.reason, probe.hint)
        return probe.ok

    def open(self, backend: Backend, variant: Variant) -> Entrant | None:
        """A graph on a backend that works; or None, and one more entry in `rejected`.

        Raises:
            BundleError: The file is missing or altered.
        """
        if any((no.backend, no.graph) == _key(backend, variant) for no in self.rejected):
            return None
        path = self.bundle.graph_path(variant)
        try:
            session = backend.open(path, self.bundle.card, self.options)
        except EdgeclsError as error:
            self.reject(backend, variant, error.message, error.hint)
            return None
        return Entrant(backend=backend, variant=variant, session=session)

    def reject(
        self, backend: Backend, variant: Variant | None, reason: str, hint: str = ""
    ) -> None:
        """Record a refusal, of one graph or (None) of all."""
        name, graph = (backend.name, "") if variant is None else _key(backend, variant)
        refusal = Rejection(backend=name, reason=reason.rstrip("."), hint=hint, graph=graph)
        logger.info("rejected: %s", refusal.told)
        self.rejected.append(refusal)

    def nothing_left(self) -> BackendError:
        """The error when every backend refused."""
        reasons = "; ".join(no.told for no in self.rejected)
        hint = next((no.hint for no in self.rejected if no.hint), "pip install 'edgecls[cpu]'")
        return BackendError(f"No backend runs {self.bundle.card.name} here ({reasons}).", hint=hint)


def _key(backend: Backend, variant: Variant) -> tuple[str, str]:
    """An fp32 graph stands for the model."""
    return backend.name, "" if variant.precision == "fp32" else short_title(variant)


def _title(backend: Backend, variant: Variant) -> str:
    return " ".join(part for part in _key(backend, variant) if part)
