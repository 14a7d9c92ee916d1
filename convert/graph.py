"""From the exporter's graph to the one that ships: folded, clean, and carrying its own spec."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.card import METADATA_PREFIX
from models.errors import ConversionError
from models.extras import import_onnxruntime
from models.messages import telling_line

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto


def fold_constants(graph: ModelProto, folder: Path) -> ModelProto:
    """Fold constants and batch norms, drop identities and dead nodes.

    ONNX Runtime's basic level does exactly this, with standard operators only.

    Args:
        graph: The graph to fold; not changed.
        folder: Scratch folder.

    Raises:
        ConversionError: ONNX Runtime cannot load the graph.
    """
    import onnx

    onnxruntime = import_onnxruntime()

    target = folder / "folded.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        folded = onnx.load(str(target))
    except Exception as error:
        raise ConversionError(f"ONNX Runtime cannot load the exported graph: {error}.") from error
    finally:
        target.unlink(missing_ok=True)
    used = {node.domain for node in folded.graph.node} | {""}
    kept = [entry for entry in folded.opset_import if entry.domain in used]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    return folded


def name_by_position(graph: ModelProto) -> None:
    """Rename everything inside the graph by what it is and where it stands, in place.

    The exporter numbers its names per process, so that they differ from run to run. Afterwards
    the third Conv is `Conv_2`, its weight `Conv_2.1` (second input) and its result `Conv_2.out`.
    """
    body = graph.graph
    seen: Counter[str] = Counter()
    renamed = {value.name: value.name for value in (*body.input, *body.output)}
    for node in body.node:
        node.name = f"{node.op_type}_{seen[node.op_type]}"
        seen[node.op_type] += 1
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename_in_subgraph(inner, renamed)
        for index, name in enumerate(node.input):
            if name:
                node.input[index] = renamed.setdefault(name, f"{node.name}.{index}")
        for index, name in enumerate(node.output):
            if name:
                suffix = "out" if index == 0 else f"out{index}"
                node.output[index] = renamed.setdefault(name, f"{node.name}.{suffix}")
    weights = sorted(body.initializer, key=lambda tensor: renamed.get(tensor.name, ""))
    kept = [tensor for tensor in weights if tensor.name in renamed]
    for tensor in kept:
        tensor.name = renamed[tensor.name]
    weights_by_name = [tensor.SerializeToString() for tensor in kept]
    del body.initializer[:]
    for data in weights_by_name:
        body.initializer.add().ParseFromString(data)
    del body.value_info[:]
    body.name = "clip_classifier"


def _rename_in_subgraph(inner: GraphProto, renamed: Mapping[str, str]) -> None:
    """Follow new names into the body of an If or Loop, which sees the tensors around it."""
    for node in inner.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        for attribute in node.attribute:
            for deeper in (attribute.g, *attribute.graphs):
                _rename_in_subgraph(deeper, renamed)
    for value in inner.output:
        value.name = renamed.get(value.name, value.name)


def embed(graph: ModelProto, entries: Mapping[str, object]) -> None:
    """Replace the graph's metadata by `entries`, as JSON under `edgecls.` keys."""
    from onnx import helper

    del graph.metadata_props[:]
    helper.set_model_props(
        graph,
        {
            METADATA_PREFIX + key: json.dumps(value, ensure_ascii=False)
            for key, value in entries.items()
        },
    )
    graph.producer_name = "edgecls"
    graph.producer_version = ""
    graph.doc_string = ""


def parameter_count(graph: ModelProto) -> int:
    """Number of floating-point weights in a graph."""
    return sum(
        int(np.prod(tensor.dims, dtype=np.int64))
        for tensor in graph.graph.initializer
        if tensor.data_type == 1
    )


def save(graph: ModelProto, path: Path) -> None:
    """Check and write a graph; equal graphs give equal bytes.

    Raises:
        ConversionError: It is not valid.
    """
    import onnx

    try:
        onnx.checker.check_model(graph, full_check=True)
    except Exception as error:
        raise ConversionError(f"The graph is not valid: {telling_line(error)}.") from error
    path.write_bytes(graph.SerializeToString(deterministic=True))
