"""Graphs as text that stays the same where the graph does, for the eye and for a diff: a line an operator."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.compiler.engine import Array

_SHOWN = 16
"""Constants of more numbers than this are described."""


def every_node(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the bodies of its loops."""
    yield from graph.node
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from every_node(attribute.g)


def graph_text(model: onnx.ModelProto) -> str:
    """Constants stand where they are used; of weights only the shape is told."""
    return "".join(f"{line}\n" for line in _lines(model.graph))


def _lines(graph: onnx.GraphProto) -> Iterator[str]:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants = {name: _constant(array) for name, array in arrays.items() if "/constant" in name}
    for value in graph.input:
        yield f"input {value.name} {_type(value)}"
    yield from (f"weight {name} {_shape(array)}" for name, array in arrays.items() if name not in constants)
    for node in graph.node:
        shared = [a for a in node.attribute if a.type != onnx.AttributeProto.GRAPH]
        attributes = "".join(f" {a.name}={_value(helper.get_attribute_value(a))}" for a in shared)
        reads = ", ".join(constants.get(name, name) for name in node.input)
        yield f"{', '.join(node.output)} = {node.op_type}({reads}){attributes}"
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from (f"  {line}" for line in _lines(attribute.g))
    for value in graph.output:
        yield f"output {value.name} {_type(value)}"


def _type(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    sizes = ",".join(d.dim_param or str(d.dim_value) for d in tensor.shape.dim)
    return f"{helper.tensor_dtype_to_np_dtype(tensor.elem_type)}[{sizes}]"


def _shape(array: Array) -> str:
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"


def _constant(array: Array) -> str:
    if array.size > _SHOWN:
        return f"{_shape(array)}<{_described(array)}>"
    numbers = " ".join(_value(number) for number in array.ravel())
    plain = array.dtype in (np.dtype(np.float32), np.dtype(np.int64)) and array.ndim < 2
    return (f"[{numbers}]" if array.ndim else numbers) if plain else f"{_shape(array)}<{numbers}>"


def _described(array: Array) -> str:
    """Floats by figures that do not hang on the last bit of a sine, which differs from processor to processor."""
    if array.dtype.kind == "f":
        return f"{array.min():.3g} to {array.max():.3g}, mean {round(float(array.mean()), 4):g}"
    return sha256(array.tobytes()).hexdigest()[:12]


def _value(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    if isinstance(value, list):
        return f"[{','.join(map(_value, value))}]"
    return str(value)
