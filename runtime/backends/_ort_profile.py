"""Read off ONNX Runtime's profile where the nodes of a graph ran."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from runtime.placement import Placement, placed, short_name

_END = "_kernel_time"


def placement_of(profile: Path) -> Placement | None:
    """Where nodes ran; None where the profile names no node.

    What TensorRT compiled together is one node. The time of a node is that of its quickest run, on
    the clock of the CPU: for work on a GPU it is the time to launch it.

    Args:
        profile: Written by `InferenceSession.end_profiling`.
    """
    events: list[dict[str, Any]] = json.loads(profile.read_text(encoding="utf-8"))
    quickest_us: dict[str, dict[str, float]] = defaultdict(dict)
    for event in events:
        about = event.get("args", {})
        if event.get("cat") != "Node" or not str(event.get("name")).endswith(_END):
            continue
        nodes = quickest_us[short_name(str(about["provider"]))]
        node, time_us = str(about["node_index"]), float(event["dur"])
        nodes[node] = min(time_us, nodes.get(node, time_us))
    if not quickest_us:
        return None
    return placed(
        {name: len(nodes) for name, nodes in quickest_us.items()},
        {name: sum(nodes.values()) for name, nodes in quickest_us.items()},
    )
