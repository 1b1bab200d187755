"""ONNX's own rule for the shape of what an operator gives, asked so that no model can break the process.

Its rule for `Slice` ends the process (`std::clamp` with bounds the wrong way round) where a size is negative, and its
rules for windows give negative sizes where the window is wider than what it goes over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from sparknet.compiler.foreign.file import ModelError, shown
from sparknet.compiler.foreign.safety import complaint
from sparknet.compiler.graph import IR_VERSION

Array = NDArray[Any]
Sizes = tuple[int | None, ...]
ERRORS = (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, RuntimeError, ValueError, TypeError)
"""What onnx raises at a model that is wrong; of its C++ parts a plain RuntimeError."""
_MOST_NUMBERS = 65_536


def infer_node(
    node: onnx.NodeProto, opset: int, types: Mapping[str, int], dims: Mapping[str, Sizes], known: Mapping[str, Array]
) -> tuple[dict[str, int], dict[str, Sizes]]:
    """Element types and sizes of the outputs, of those that are known, from those of the inputs.

    Raises ModelError for sizes that cannot be, and one of `ERRORS` where the operator does not take its inputs.
    """
    read = {i for i in node.input if i}
    given = {i: helper.make_tensor_type_proto(types.get(i, 0), dims.get(i)) for i in read}
    small = {i for i in read if i in known and known[i].size <= _MOST_NUMBERS}
    data = {i: numpy_helper.from_array(known[i], i) for i in small}
    opsets = [helper.make_opsetid("", opset)]
    schema = onnx.defs.get_schema(node.op_type, opset)
    found = onnx.shape_inference.infer_node_outputs(
        schema, node, given, data, opset_imports=opsets, ir_version=IR_VERSION
    )
    kinds: dict[str, int] = {}
    sizes: dict[str, Sizes] = {}
    for name, kind in found.items():
        tensor = kind.tensor_type
        kinds[name] = tensor.elem_type
        if tensor.HasField("shape"):
            sizes[name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
            if any(size is not None and size < 0 for size in sizes[name]):
                raise ModelError(f"`{shown(name)}` of `{node.op_type}` inside would be of a negative size")
    return kinds, sizes


def check_sizes(
    nodes: Sequence[onnx.NodeProto], opset: int, types: dict[str, int], dims: dict[str, Sizes], known: dict[str, Array]
) -> None:
    """Raise ModelError where inferring the shapes of all the nodes together would break the process."""
    for node in nodes:
        if node.op_type == "Constant":
            known[node.output[0]] = constant_of(node)
        try:
            kinds, sizes = infer_node(node, opset, types, dims, known)
        except (*ERRORS, onnx.defs.SchemaError):
            continue  # what is wrong with it is said by the checker
        types |= kinds
        dims |= sizes


def tensor_of(tensor: onnx.TensorProto) -> Array:
    """The numbers of a tensor. Raises ModelError where they are not those that it says to be."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise ModelError(f"a tensor is not what it says to be: {complaint(error)}") from error


def constant_of(node: onnx.NodeProto) -> Array:
    """The tensor of a `Constant`. Raises ModelError where it holds texts or few numbers of many."""
    if not node.attribute or not node.output:
        raise ModelError("it holds a constant without a value")
    attribute = node.attribute[0]
    value = helper.get_attribute_value(attribute)
    match attribute.name:
        case "value":
            return tensor_of(value)
        case "value_float" | "value_floats":
            return np.asarray(value, np.float32)
        case "value_int" | "value_ints":
            return np.asarray(value, np.int64)
        case _:
            raise ModelError("it holds a constant that is no tensor of numbers")
