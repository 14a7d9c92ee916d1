"""Ranges of activations, collected clip by clip: peak memory does not grow with their number.

The graph itself reduces every activation to its smallest and largest value and to a sample of
its values, so that an activation lives no longer than in an ordinary run. ONNX Runtime's own
histogram calibrators keep every activation of every clip instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.histogram import Histogram
from models.errors import BackendError, CalibrationError
from models.extras import import_onnxruntime
from runtime.cpu import usable_cpus
from runtime.session import Tensor

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

SAMPLES = 8192
"""Values of an activation of a clip that are counted, about; the ends are exact."""

_START = "edgecls.start"
_LARGEST = 2**62
_STRIDE = 7919
"""A prime: from clip to clip the sample starts elsewhere."""


def histograms(
    model: ModelProto,
    tensors: Sequence[str],
    clips: Iterable[Tensor],
    *,
    scratch: Path,
    on_clip: Callable[[int], None],
) -> dict[str, Histogram]:
    """Run a graph on clips and count the values of its activations.

    Args:
        model: The fp32 graph; not changed.
        tensors: Activations to look at; the input may be among them.
        clips: float32 [1, T, 3, H, W] each; repeated where the graph has a larger fixed batch.
        scratch: For the graph with the reductions.
        on_clip: Told the number of clips done.

    Returns:
        A histogram per tensor.

    Raises:
        CalibrationError: An activation holds values that are not finite.
        BackendError: ONNX Runtime cannot run the graph.
    """
    import onnx

    path = scratch / "ranges.onnx"
    onnx.save(_reduced(model, tensors), str(path))
    found = {name: Histogram() for name in tensors}
    try:
        session = _session(path)
        wanted = [f"{name}.{part}" for name in tensors for part in ("min", "max", "sample")]
        name = model.graph.input[0].name
        batch = max(1, model.graph.input[0].type.tensor_type.shape.dim[0].dim_value)
        for number, clip in enumerate(clips):
            start = np.array([number * _STRIDE], dtype=np.int64)
            results = session.run(wanted, {name: clip.repeat(batch, axis=0), _START: start})
            for place, tensor in enumerate(tensors):
                low, high, sample = results[3 * place : 3 * place + 3]
                _check_finite(tensor, float(low), float(high))
                found[tensor].note(float(low), float(high))
                found[tensor].add(sample)
            on_clip(number + 1)
    except CalibrationError:
        raise
    except Exception as error:
        raise BackendError(f"ONNX Runtime cannot run the fp32 graph: {error}.") from error
    finally:
        path.unlink(missing_ok=True)
    return found


def _check_finite(tensor: str, low: float, high: float) -> None:
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CalibrationError(
            f"The activation {tensor} of the fp32 graph reaches {low} to {high} on these clips;"
            " it cannot be INT8.",
            hint="Check the fp32 graph: edgecls verify BUNDLE",
        )


def _session(path: Path) -> Any:
    onnxruntime = import_onnxruntime()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = usable_cpus()
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.log_severity_level = 3
    # In the order of the file: reductions stand behind what they reduce, so it can be let go.
    settings.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    return onnxruntime.InferenceSession(
        str(path), settings, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def _reduced(model: ModelProto, tensors: Sequence[str]) -> ModelProto:
    """The graph with three small outputs per activation, and a start of the sample as input."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    made = type(model)()
    made.CopyFrom(model)
    graph = made.graph
    graph.input.append(helper.make_tensor_value_info(_START, TensorProto.INT64, [1]))
    constants = {"flat": [-1], "half": [2 * SAMPLES], "one": [1], "two": [2], "end": [_LARGEST]}
    constants["axis0"] = [0]
    for name, value in constants.items():
        graph.initializer.append(
            numpy_helper.from_array(np.array(value, dtype=np.int64), f"edgecls.{name}")
        )
    _insert(graph, {tensor: _reductions(tensor) for tensor in tensors})
    for tensor in tensors:
        for part in ("min", "max"):
            graph.output.append(
                helper.make_tensor_value_info(f"{tensor}.{part}", TensorProto.FLOAT, [])
            )
        graph.output.append(
            helper.make_tensor_value_info(f"{tensor}.sample", TensorProto.FLOAT, [None])
        )
    onnx.checker.check_model(made)
    return made


def _insert(graph: GraphProto, reductions: dict[str, list[NodeProto]]) -> None:
    """Put the reductions of every tensor right behind the node that makes it."""
    nodes = list(graph.node)
    made = {name for node in nodes for name in node.output}
    order = [one for tensor, some in reductions.items() if tensor not in made for one in some]
    for node in nodes:
        order.append(node)
        for name in node.output:
            order += reductions.get(name, [])
    del graph.node[:]
    graph.node.extend(order)


def _reductions(tensor: str) -> list[NodeProto]:
    """Smallest, largest, and every k-th value, k = 2 (n // 2 SAMPLES) + 1 being odd."""
    from onnx import helper

    def node(operator: str, inputs: list[str], output: str, **settings: int) -> NodeProto:
        names = [name if name in {tensor, _START} else f"edgecls.{name}" for name in inputs]
        return helper.make_node(operator, names, [output], **settings)

    inner = {part: f"edgecls.{tensor}.{part}" for part in ("all", "n", "n1", "k0", "k1", "k", "s")}

    def inside(part: str) -> str:
        return inner[part].removeprefix("edgecls.")

    return [
        node("ReduceMin", [tensor], f"{tensor}.min", keepdims=0),
        node("ReduceMax", [tensor], f"{tensor}.max", keepdims=0),
        node("Reshape", [tensor, "flat"], inner["all"]),
        node("Size", [tensor], inner["n"]),
        node("Reshape", [inside("n"), "flat"], inner["n1"]),
        node("Div", [inside("n1"), "half"], inner["k0"]),
        node("Mul", [inside("k0"), "two"], inner["k1"]),
        node("Add", [inside("k1"), "one"], inner["k"]),
        node("Mod", [_START, inside("k")], inner["s"]),
        helper.make_node(
            "Slice",
            [inner["all"], inner["s"], "edgecls.end", "edgecls.axis0", inner["k"]],
            [f"{tensor}.sample"],
        ),
    ]
