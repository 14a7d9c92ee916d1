"""Nodes of a graph in an order in which they can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.temporal.constants import reads

if TYPE_CHECKING:
    from onnx import ModelProto


def in_running_order(model: ModelProto) -> ModelProto:
    """The model with every node behind those that it reads; itself where that is so already.

    Quantizers leave graphs in another order, which engines put right but shape inference does not.
    """
    nodes = list(model.graph.node)
    makers = {name: at for at, node in enumerate(nodes) for name in node.output if name}
    needs = [{makers[name] for name in reads(node) if name in makers} for node in nodes]
    ordered: list[int] = []
    done: set[int] = set()
    for start in range(len(nodes)):
        waiting = [start]
        while waiting:
            missing = [at for at in needs[waiting[-1]] if at not in done]
            if missing and len(waiting) <= len(nodes):
                waiting.extend(missing)
                continue
            at = waiting.pop()
            if at not in done:
                done.add(at)
                ordered.append(at)
    if ordered == list(range(len(nodes))):
        return model
    copy = type(model)()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes[at] for at in ordered)
    return copy
