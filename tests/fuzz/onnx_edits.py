"""Damaged and hostile ONNX models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.fuzz.byte_edits import edit_bytes
from tests.fuzz.message_edits import edit_message

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


@dataclass(frozen=True, slots=True)
class Edited:
    """A damaged model.

    Attributes:
        content: The file.
        refused: Why nothing may come of it, as the end of a sentence; empty when anything may.
    """

    content: bytes
    refused: str = ""


def edit_onnx(rng: Random, content: bytes, *, other: bytes, outside: Path, endless: bool) -> Edited:
    """An ONNX file that is wrong in some way.

    Args:
        rng: Decides everything.
        content: An honest one.
        other: Another file, of which pieces may be put in.
        outside: A file outside the model's folder, which must not be read.
        endless: Whether it may be a valid graph that never comes to an end.
    """
    import onnx

    if rng.random() < 0.3:
        return Edited(edit_bytes(rng, content, other=other))
    model = onnx.load_from_string(content)
    if rng.random() < 0.45:
        edit_message(rng, model)
        return Edited(model.SerializeToString())
    if rng.random() < 0.25:
        return _outside_data(rng, model, outside)
    if rng.random() < 0.03:
        return Edited(content + _nested(rng))
    if endless and rng.random() < 0.02:
        make_endless(model)
    else:
        rng.choice(_EDITS)(rng, model)
    content = model.SerializeToString()
    if rng.random() < 0.1:  # text that is no UTF-8; protobuf itself would not write it
        content = content.replace(b"Conv", b"C\xff\xfev", rng.choice((1, -1)))
    return Edited(content)


def _outside_data(rng: Random, model: ModelProto, outside: Path) -> Edited:
    """A weight that is to be read from a file that is none of the model's."""
    tensor = rng.choice([one for one in model.graph.initializer if one.data_type == 1])
    size = 4 * int(np.prod(tensor.dims, dtype=np.int64))
    location = rng.choice(
        (
            f"../{outside.name}",
            f"./../{outside.name}",
            str(outside),
            f"/proc/self/root{outside}",
            "/etc/passwd",
            "/dev/zero",
            "/dev/stdin",
            "../../x",
            "x/../../" + outside.name,
            "",
            ".",
            "missing.bin",
            "//etc/passwd",
            "file:///etc/passwd",
        )
    )
    tensor.ClearField("raw_data")
    tensor.ClearField("float_data")
    tensor.data_location = 1
    entries = {"location": location}
    if rng.random() < 0.6:
        entries["offset"] = rng.choice(("0", "4", "-1", str(2**62), "x", ""))
        entries["length"] = rng.choice((str(size), "0", "-1", str(2**62), "1e3"))
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return Edited(model.SerializeToString(), refused="it reads a file that is not the model's")


def _node(rng: Random, model: ModelProto) -> NodeProto:
    return rng.choice(list(model.graph.node))


def _operator(rng: Random, model: ModelProto) -> None:
    _node(rng, model).op_type = rng.choice(
        (
            "Nonsense",
            "",
            "Loop",
            "Softmax",
            "Identity",
            "MaxPool",
            "LSTM",
            "Resize",
            "Einsum",
            "Pad",
        )
    )


def _domain(rng: Random, model: ModelProto) -> None:
    _node(rng, model).domain = rng.choice(("com.microsoft", "x", "ai.onnx.ml", "\u202e", "ai.onnx"))


def _opset(rng: Random, model: ModelProto) -> None:
    entry = model.opset_import[0]
    choice = rng.randrange(4)
    if choice == 0:
        entry.version = rng.choice((0, -1, 1, 5, 7, 12, 22, 999, 2**62))
    elif choice == 1:
        entry.domain = rng.choice(("x", "ai.onnx", "com.microsoft"))
    elif choice == 2:
        del model.opset_import[:]
    else:
        model.opset_import.add(domain="", version=rng.choice((3, 17, 21)))
    if rng.random() < 0.3:
        model.ir_version = rng.choice((0, 1, 3, 99, 2**31))


def _cycle(rng: Random, model: ModelProto) -> None:
    nodes = model.graph.node
    early, late = sorted((rng.randrange(len(nodes)), rng.randrange(len(nodes))))
    if nodes[early].input and nodes[late].output:
        nodes[early].input[0] = nodes[late].output[0]


def _order(rng: Random, model: ModelProto) -> None:
    nodes = list(model.graph.node)
    rng.shuffle(nodes)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _dangling(rng: Random, model: ModelProto) -> None:
    node = _node(rng, model)
    if node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(("", "nowhere", node.output[0]))


def _same_name(rng: Random, model: ModelProto) -> None:
    one, other = _node(rng, model), _node(rng, model)
    if one.output and other.output:
        one.output[0] = other.output[0]


def _input_shape(rng: Random, model: ModelProto) -> None:
    shape = model.graph.input[0].type.tensor_type.shape
    if rng.random() < 0.2 or not shape.dim:
        model.graph.input[0].type.tensor_type.ClearField("shape")
        return
    axis = rng.choice(list(shape.dim))
    if rng.random() < 0.4:
        axis.dim_param = rng.choice(("", "N", "a b", "clips", "x" * 2000, "-1"))
    else:
        axis.dim_value = rng.choice((0, -1, 1, 2, 3, 7, 10**4, 2**31, 2**62, -(2**63)))


def _element_type(rng: Random, model: ModelProto) -> None:
    value = rng.choice((*model.graph.input, *model.graph.output))
    value.type.tensor_type.elem_type = rng.choice((0, 2, 6, 7, 8, 9, 10, 11, 14, 16, 17, 23, 99))


def _weight_type(rng: Random, model: ModelProto) -> None:
    tensor = rng.choice(list(model.graph.initializer))
    tensor.data_type = rng.choice((0, 2, 6, 7, 8, 10, 11, 14, 16, 17, 22, 99))


def _weight_shape(rng: Random, model: ModelProto) -> None:
    tensor = rng.choice(list(model.graph.initializer))
    sides = list(tensor.dims)
    wrong = rng.choice(
        ([*sides, 1], sides[1:], [-1], [2**40], [2**62, 2**62], [0], [], [1] * 200, sides[::-1])
    )
    del tensor.dims[:]
    tensor.dims.extend(wrong)


def _constants(rng: Random, model: ModelProto) -> None:
    """Shapes, axes and sizes that stand in the graph as constants."""
    from onnx import numpy_helper

    whole = [one for one in model.graph.initializer if one.data_type == 7]
    if not whole:
        _weight_values(rng, model)
        return
    tensor = rng.choice(whole)
    values = numpy_helper.to_array(tensor).copy().reshape(-1)
    if len(values):
        values[rng.randrange(len(values))] = rng.choice(
            (0, -1, -2, 1, 2**31, 2**40, 2**62, -(2**63))
        )
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _weight_values(rng: Random, model: ModelProto) -> None:
    from onnx import numpy_helper

    floats = [one for one in model.graph.initializer if one.data_type == 1]
    tensor = rng.choice(floats)
    if tensor.external_data:
        return
    values = numpy_helper.to_array(tensor).copy()
    odd = rng.choice((np.nan, np.inf, 1e38, 0.0, -1e30, 1e-42))
    flat = values.reshape(-1)
    flat[rng.randrange(max(1, flat.size)) :] = odd
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _attribute(rng: Random, model: ModelProto) -> None:
    """An attribute of the wrong type or size, or one that was not there."""
    from onnx import helper

    node = _node(rng, model)
    names = [one.name for one in node.attribute]
    usual = ("axis", "axes", "kernel_shape", "strides", "pads", "group", "perm", "auto_pad", "to")
    name = rng.choice([*names, *usual])
    value: Any = rng.choice(
        (0, -1, 2**62, 1.5, float("nan"), "x", b"\xff", [0], [0, 0, 0], [-1] * 3, [2**40] * 6)
    )
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])
    if rng.random() < 0.2:
        node.attribute[-1].type = rng.choice((0, 1, 2, 5, 10, 13))


def _free_the_output(model: ModelProto) -> str:
    """Name of the output, which a new node can now make out of `before`."""
    output: str = model.graph.output[0].name
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == output:
                node.output[index] = "before"
    return output


def _size_bomb(rng: Random, model: ModelProto) -> None:
    """A node that makes a tensor of gigabytes or terabytes."""
    from onnx import helper, numpy_helper

    output = _free_the_output(model)
    kind = rng.randrange(3)
    if kind == 0:
        sides = [rng.choice((2**20, 2**31, 2**40))] * rng.choice((1, 2))
        nodes = [
            helper.make_node("ConstantOfShape", ["sides"], ["big"]),
            helper.make_node("ReduceSum", ["big"], ["sum"], keepdims=0),
            helper.make_node("Add", ["before", "sum"], [output]),
        ]
    elif kind == 1:
        sides = [1, rng.choice((2**12, 2**24, 2**40))]
        nodes = [
            helper.make_node("Tile", ["before", "sides"], ["tiled"]),
            helper.make_node("ReduceMax", ["tiled"], [output], axes=[1]),
        ]
    else:
        sides = [rng.choice((2**26, 2**30, 2**60)), 1]
        nodes = [helper.make_node("Expand", ["before", "sides"], [output])]
    model.graph.initializer.append(numpy_helper.from_array(np.array(sides, np.int64), "sides"))
    model.graph.node.extend(nodes)


def make_endless(model: ModelProto) -> None:
    """Put a loop of 2**60 rounds at the end."""
    from onnx import TensorProto, helper, numpy_helper

    output = _free_the_output(model)
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Mul", ["carried", "one"], ["carried_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_on", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(np.float32(1), "one")],
    )
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(np.int64(2**60), "rounds"),
            numpy_helper.from_array(np.bool_(True), "start"),
        ]
    )
    model.graph.node.append(
        helper.make_node("Loop", ["rounds", "start", "before"], [output], body=body)
    )


def _nested(rng: Random) -> bytes:
    """One more node: graphs inside of graphs, deeper than protobuf itself would write them.

    To be put behind a model: a message that is there twice counts as one.
    """
    depth = rng.choice((3, 25, 60, 2000, 20_000))
    node = _field(4, b"Nothing")
    for _ in range(depth):
        graph = _field(1, node)
        attribute = _field(1, b"then_branch") + _field(6, graph) + b"\xa0\x01\x05"
        node = _field(4, b"If") + _field(5, attribute)
    return _field(7, _field(1, node))


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field of a message."""
    length, left = bytearray(), len(content)
    while left > 0x7F:
        length.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([number << 3 | 2, *length, left]) + content


def _functions(rng: Random, model: ModelProto) -> None:
    """Functions of the model's own, some of which call themselves."""
    from onnx import helper

    name = rng.choice(("f", "Conv", "Relu"))
    call = helper.make_node(rng.choice((name, "Relu", "g")), ["a"], ["b"], domain="own")
    made = helper.make_function("own", name, ["a"], ["b"], [call], [helper.make_opsetid("own", 1)])
    model.functions.append(made)
    model.opset_import.add(domain="own", version=1)
    node = _node(rng, model)
    node.domain, node.op_type = "own", name
    del node.attribute[:]


def _more_ends(rng: Random, model: ModelProto) -> None:
    values = rng.choice((model.graph.input, model.graph.output))
    if rng.random() < 0.4:
        del values[:]
    else:
        values.add().CopyFrom(values[0])
        values[-1].name = rng.choice((values[0].name, "more", "kernel", ""))


def _metadata(rng: Random, model: ModelProto) -> None:
    """The copy of the card that our own graphs carry."""
    value = rng.choice(("", "{}", "[]", "null", "[" * 100_000, '{"frames": 1e999}', "\ud7ff", "7"))
    if model.metadata_props and rng.random() < 0.8:
        rng.choice(list(model.metadata_props)).value = value
    else:
        model.metadata_props.add(
            key=rng.choice(("edgecls.clip", "edgecls.labels", "")), value=value
        )


def _sparse(rng: Random, model: ModelProto) -> None:
    from onnx import helper, numpy_helper

    values = numpy_helper.from_array(np.ones(2, np.float32), "kernel")
    at = np.array([0, rng.choice((1, 2**40, -5))], np.int64)
    indices = numpy_helper.from_array(at, "at")
    sides = rng.choice(([8, 27], [2**40], [-1], []))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, sides))


_EDITS: tuple[Callable[[Random, Any], None], ...] = (
    *(_operator, _domain, _opset, _opset, _cycle, _order, _dangling, _dangling, _same_name),
    *(_input_shape, _input_shape, _element_type, _weight_type, _weight_shape, _weight_shape),
    *(_constants, _constants, _weight_values, _attribute, _attribute, _attribute, _size_bomb),
    *(_size_bomb, _functions, _more_ends, _metadata, _metadata, _sparse),
)
