"""Nodes of a graph in an order in which they can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.temporal.constants import reads

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def in_running_order(model: ModelProto) -> ModelProto:
    """The model with every node behind those that it reads; itself where that is so already.

    Quantizers leave graphs in another order, which engines put right but shape inference does not.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output if name}
    ordered: list[NodeProto] = []
    done: set[str] = set()
    for start in graph.node:
        waiting = [start]
        while waiting:
            node = waiting[-1]
            if node.output[0] in done:
                waiting.pop()
                continue
            missing = [
                makers[name]
                for name in reads(node)
                if name in makers and makers[name].output[0] not in done
            ]
            if missing and len(waiting) <= len(graph.node):
                waiting.extend(missing)
                continue
            waiting.pop()
            ordered.append(node)
            done.add(node.output[0])
    if all(one is other for one, other in zip(ordered, graph.node, strict=True)):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(ordered)
    return copy
