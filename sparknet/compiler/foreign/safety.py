"""What is refused of any ONNX file, our own in a run folder and foreign ones alike, before anything else reads it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError

from sparknet.compiler.foreign.wire import WireError, structure

MOST_NODES = 200_000
DEEPEST = 8
MOST_STRUCTURE = 256 << 20
"""Bytes of a file beside the numbers of its tensors."""
_FIELDS_OF_NODE = 20


class UnsafeModelError(ValueError):
    """The file is no ONNX model, or one that we refuse to read; the text says why."""


def parsed(data: bytes, most_nodes: int = MOST_NODES, most_structure: int = MOST_STRUCTURE) -> onnx.ModelProto:
    """The model, or UnsafeModelError unless it is self-contained and of bounded size.

    1. What is not numbers is capped before it is parsed; nodes and nesting are capped; names are text.
    2. Weights lie inside the file: no external data, neither in initializers nor in attributes; none are sparse.
    3. No functions, which could be recursive, and no `training_info`, which nothing here looks at.
    """
    try:
        size = structure(data, most_nodes * _FIELDS_OF_NODE)
    except WireError as error:
        raise UnsafeModelError(str(error)) from error
    if size > most_structure:
        raise UnsafeModelError(f"it holds more than {most_structure >> 20:,} MiB beside the numbers of its tensors")
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise UnsafeModelError("it is not an ONNX model") from error
    if model.functions:
        raise UnsafeModelError("it defines functions of its own")
    if model.training_info:
        raise UnsafeModelError("it holds training graphs")
    nodes = 0
    for graph in graphs(model.graph):
        nodes += len(graph.node)
        if nodes > most_nodes:
            raise UnsafeModelError(f"it has more than {most_nodes:,} nodes")
        _check_names(graph)
        _check_tensors(graph)
    return model


def graphs(graph: onnx.GraphProto, depth: int = 0) -> Iterator[onnx.GraphProto]:
    """The graph and all graphs inside its nodes' attributes."""
    if depth > DEEPEST:
        raise UnsafeModelError(f"its graphs are nested more than {DEEPEST} deep")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for each in (*inner, *attribute.graphs):
                yield from graphs(each, depth + 1)


def _check_names(graph: onnx.GraphProto) -> None:
    """Names that are not UTF-8 come out of the parser as bytes."""
    for node in graph.node:
        names = (node.op_type, node.domain, node.name, *node.input, *node.output, *(a.name for a in node.attribute))
        if not all(isinstance(name, str) for name in names):
            raise UnsafeModelError("its names are not text")
    for named in (*graph.initializer, *graph.input, *graph.output):
        if not isinstance(named.name, str):
            raise UnsafeModelError("its names are not text")


def _check_tensors(graph: onnx.GraphProto) -> None:
    tensors = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            tensors.extend([attribute.t] if attribute.HasField("t") else [])
            tensors.extend(attribute.tensors)
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise UnsafeModelError("it holds sparse tensors")
    if graph.sparse_initializer:
        raise UnsafeModelError("it holds sparse tensors")
    if any(t.data_location == onnx.TensorProto.EXTERNAL or t.external_data for t in tensors):
        raise UnsafeModelError("it keeps weights in other files")


def complaint(error: Exception) -> str:
    """The first line of what a library found wrong, for a message."""
    return (str(error).strip().splitlines() or ["invalid"])[0][:200]
