"""Where the nodes of a graph ran: on the device that was asked for, or beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_SHORT = {"TensorrtExecutionProvider": "TensorRT"}


def short_name(provider: str) -> str:
    """E.g. "CUDA" of ONNX Runtime's "CUDAExecutionProvider"."""
    return _SHORT.get(provider, provider.removesuffix("ExecutionProvider"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderShare:
    """What one provider ran.

    Attributes:
        provider: Short name, e.g. "CUDA", "TensorRT", "CPU".
        nodes: Nodes of the optimised graph that ran on it; None where the engine does not say.
        node_share: Of all nodes, 0 to 1.
        time_share: Of the time spent in nodes, 0 to 1; None where that was not measured. The time
            is that of the CPU's clock, so that of a device it is the time of launching work.
    """

    provider: str
    nodes: int | None
    node_share: float
    time_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the nodes ran.

    Attributes:
        shares: Most nodes first; never empty.
        measured: Read off a profile of a run. Otherwise the session has that one provider only,
            so that nothing can have run elsewhere.
    """

    shares: tuple[ProviderShare, ...]
    measured: bool

    def node_share(self, provider: str) -> float:
        """Share of the nodes that ran on a provider, 0 to 1."""
        return sum(one.node_share for one in self.shares if one.provider == provider)

    def line(self) -> str:
        """E.g. "CUDA 96 % of 51 nodes, 98 % of time; CPU 4 % of nodes, 2 % of time"."""
        total = sum(one.nodes or 0 for one in self.shares)
        return "; ".join(
            _words(one, f"{total} nodes" if first and total else "nodes")
            for first, one in zip([True, *[False] * len(self.shares)], self.shares, strict=False)
        )

    def facts(self) -> dict[str, object]:
        """For the header of the results."""
        return {
            "measured": self.measured,
            "providers": [
                {
                    "provider": one.provider,
                    "nodes": one.nodes,
                    "node_share": round(one.node_share, 4),
                    "time_share": None if one.time_share is None else round(one.time_share, 4),
                }
                for one in self.shares
            ],
        }


def _words(share: ProviderShare, nodes: str) -> str:
    time = "" if share.time_share is None else f", {share.time_share * 100:.0f} % of time"
    return f"{share.provider} {share.node_share * 100:.0f} % of {nodes}{time}"


def all_on(provider: str) -> Placement:
    """The placement of a session that has no other provider."""
    whole = ProviderShare(provider=provider, nodes=None, node_share=1.0, time_share=1.0)
    return Placement(shares=(whole,), measured=False)


def placed(nodes: Mapping[str, int], time_us: Mapping[str, float]) -> Placement:
    """The placement that a profile shows.

    Args:
        nodes: Nodes by provider, at least one.
        time_us: Time in them by provider.
    """
    count, total_us = sum(nodes.values()), sum(time_us.values())
    shares = [
        ProviderShare(
            provider=name,
            nodes=number,
            node_share=number / count,
            time_share=time_us.get(name, 0.0) / total_us if total_us > 0 else None,
        )
        for name, number in nodes.items()
    ]
    return Placement(shares=tuple(sorted(shares, key=lambda one: -one.node_share)), measured=True)
