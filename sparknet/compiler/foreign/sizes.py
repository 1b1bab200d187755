"""The type and shape of every value of a model, for a batch of any size, and what of it is constant.

A batch has no number before it is there, and ONNX's inference loses a symbolic one in the arithmetic that exporters
write around shapes. So the shapes are inferred for two batches of large prime sizes: a size that is equal in both is
constant, one that is `k` times the batch in both depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from sparknet.compiler.foreign.cutting import BATCHES, ERRORS, HOW_TO_EXPORT
from sparknet.compiler.foreign.file import ModelError
from sparknet.compiler.foreign.safety import complaint
from sparknet.compiler.graph import BATCH, OPSET, Dim

Array = NDArray[Any]
_ARITHMETIC = frozenset(
    [
        "Add",
        "Cast",
        "Concat",
        "ConstantOfShape",
        "Div",
        "Equal",
        "Expand",
        "Gather",
        "Identity",
        "Mul",
        "Neg",
        "Not",
        "Range",
        "Reshape",
        "Shape",
        "Size",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)
"""Operators that exporters compute shapes with; on constants they are computed here."""
_MOST_NUMBERS = 65_536


@dataclass(frozen=True)
class Sizes:
    """What is known of the values of a model before it runs.

    `types` are ONNX's numbers of element types; `dims` hold `BATCH` or, for `k` rows for each of the batch, `kN`;
    `constants` are the results of nodes that depend on nothing.
    """

    types: Mapping[str, int]
    dims: Mapping[str, tuple[Dim, ...]]
    constants: Mapping[str, Array]


def find_sizes(model: onnx.ModelProto, row: tuple[int, ...], held: Mapping[str, Array]) -> Sizes:
    """The sizes of all values where rows of shape `row` arrive; `held` are tensors that never change.

    Raises ModelError where shapes do not fit each other, or are no multiple of the batch.
    """
    found = [_Run(model, (batch, *row), held) for batch in BATCHES]
    dims: dict[str, tuple[Dim, ...]] = {}
    for name, first in found[0].dims.items():
        second = found[1].dims.get(name, ())
        if len(first) == len(second):
            dims[name] = tuple(_common(*pair) for pair in zip(first, second, strict=True))
    both = [name for name in found[0].known if name in found[1].known]
    constants = {n: a for n in both if np.array_equal(a := found[0].known[n], found[1].known[n], equal_nan=True)}
    return Sizes(found[0].types, dims, {n: a for n, a in constants.items() if n not in held})


def _common(first: int | None, second: int | None) -> Dim:
    if first is None or second is None:
        return "?"
    if first == second:
        return first
    times, rest = divmod(first, BATCHES[0])
    return "?" if rest or times * BATCHES[1] != second else BATCH if times == 1 else f"{times}{BATCH}"


class _Run:
    """The sizes for one batch."""

    def __init__(self, model: onnx.ModelProto, shape: tuple[int, ...], held: Mapping[str, Array]) -> None:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.graph.value_info[:]
        entry = copy.graph.input[0]
        kind = entry.type.tensor_type.elem_type
        entry.CopyFrom(helper.make_tensor_value_info(entry.name, kind, shape))
        copy.graph.output[0].type.tensor_type.ClearField("shape")
        try:
            inferred = onnx.shape_inference.infer_shapes(copy, check_type=True, strict_mode=True, data_prop=True)
        except ERRORS as error:
            raise ModelError(f"shapes inside do not fit: {complaint(error)}", HOW_TO_EXPORT) from error
        graph = inferred.graph
        self.types = {t.name: t.data_type for t in graph.initializer}
        self.dims: dict[str, tuple[int | None, ...]] = {t.name: tuple(t.dims) for t in graph.initializer}
        for info in (*graph.input, *graph.value_info, *graph.output):
            tensor = info.type.tensor_type
            self.types[info.name] = tensor.elem_type
            if tensor.HasField("shape"):
                dims = (d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
                self.dims[info.name] = tuple(dims)
        self.known = dict(held)
        for node in graph.node:
            self._fold(node)

    def _fold(self, node: onnx.NodeProto) -> None:
        """Compute a node whose inputs are known."""
        if node.op_type == "Constant":
            self.known[node.output[0]] = constant_of(node)
            return
        if node.op_type not in _ARITHMETIC or len(node.output) != 1:
            return
        shape = self.dims.get(node.output[0])
        if shape is None or None in shape or prod(d or 0 for d in shape) > _MOST_NUMBERS:
            return
        if node.op_type in ("Shape", "Size"):
            arriving = self.dims.get(node.input[0])
            if arriving is None or None in arriving:
                return
            feeds = {node.input[0]: np.broadcast_to(np.float32(0), [d or 0 for d in arriving])}
        elif all(i in self.known for i in node.input if i):
            feeds = {i: self.known[i] for i in node.input if i}
        else:
            return
        self.known[node.output[0]] = _computed(node, feeds)


def _computed(node: onnx.NodeProto, feeds: Mapping[str, Array]) -> Array:
    kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in feeds.items()}
    inputs = [helper.make_tensor_value_info(name, kinds[name], None) for name in feeds]
    output = onnx.ValueInfoProto(name=node.output[0])
    graph = helper.make_graph([node], "constant", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    try:
        (result,) = ReferenceEvaluator(model).run(None, dict(feeds))
        return np.asarray(result)
    except (*ERRORS, IndexError, ArithmeticError) as error:
        raise ModelError(f"the arithmetic of shapes inside fails: {complaint(error)}") from error


def constant_of(node: onnx.NodeProto) -> Array:
    """The tensor of a `Constant`. Raises ModelError where it holds texts or few numbers of many."""
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


def tensor_of(tensor: onnx.TensorProto) -> Array:
    """The numbers of a tensor. Raises ModelError where they are not those that it says to be."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise ModelError(f"a tensor is not what it says to be: {complaint(error)}") from error
