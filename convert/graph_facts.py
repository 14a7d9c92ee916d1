"""Count what a graph consists of: its nodes, and the multiply-accumulates of one clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from models.card import GraphFacts
from runtime.graph_macs import STANDARD_DOMAINS, multiplies, node_macs
from runtime.graph_shapes import counted_shapes, fixed_batch

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_GRAPH, _GRAPHS = 5, 10
"""`onnx.AttributeProto.AttributeType` of attributes that hold graphs."""


def graph_facts(graph: ModelProto) -> GraphFacts:
    """Count the nodes of a graph, and the multiply-accumulates of one clip.

    The first axis of every input is the batch. Where its size is free it is set to 1; where it is
    fixed, the count is divided by it. Shapes come from ONNX's shape inference, and where that
    gives up, from one run of the graph on zeros with ONNX Runtime.

    Nothing is guessed. What cannot be counted stands in `uncounted`, and `macs` is then a lower
    bound: nodes with a shape that even the run did not give, operators that multiply and
    accumulate but are not among the four that are counted, operators of other domains than ONNX's
    default one, and the contents of If, Loop and Scan, since no graph tells how often they run.

    Args:
        graph: Not changed. Functions of the model's own are taken apart first.
    """
    if graph.functions:
        from onnx import inliner

        graph = inliner.inline_local_functions(graph)
    nodes = Counter(map(_title, _all_nodes(graph.graph)))
    batch = fixed_batch(graph.graph)
    shapes = counted_shapes(graph)
    total = 0
    uncounted = Counter(_title(node) for node in _inner_nodes(graph.graph) if multiplies(node))
    for node in graph.graph.node:
        macs = node_macs(node, shapes)
        if macs is not None:
            total += macs
        elif multiplies(node):
            uncounted[_title(node)] += 1
    return GraphFacts(
        macs=round(total / batch), nodes=_by_count(nodes), uncounted=_by_count(uncounted)
    )


def _by_count(counts: Counter[str]) -> dict[str, int]:
    """The most frequent first; equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _title(node: NodeProto) -> str:
    """The operator; outside the default domain with that before it: `com.microsoft.Gelu`."""
    return node.op_type if node.domain in STANDARD_DOMAINS else f"{node.domain}.{node.op_type}"


def _all_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    yield from graph.node
    yield from _inner_nodes(graph)


def _inner_nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Nodes of the graphs inside the nodes of a graph, at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == _GRAPH:
                yield from _all_nodes(attribute.g)
            elif attribute.type == _GRAPHS:
                for inner in attribute.graphs:
                    yield from _all_nodes(inner)
