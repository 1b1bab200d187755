"""Checks an ONNX file that may be hostile before anything else reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError

MOST_NODES = 200_000
DEEPEST = 8


class UnsafeModelError(ValueError):
    """The file is no ONNX model, or one that we refuse to read; the text says why."""


@dataclass(frozen=True)
class Interface:
    """The names of a graph's inputs and outputs."""

    inputs: frozenset[str]
    outputs: frozenset[str]


def check_model(data: bytes) -> Interface:
    """Raise UnsafeModelError unless `data` is a valid, self-contained model of standard operators.

    1. Weights lie inside the file: no external data, neither in initializers nor in attributes.
    2. Only the standard domain, and no functions (which could be recursive).
    3. Nodes and nesting are capped.
    4. `onnx.checker` finds nothing wrong, shapes included.
    """
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise UnsafeModelError("it is not an ONNX model") from error
    if model.functions:
        raise UnsafeModelError("it defines functions of its own")
    domains = {entry.domain for entry in model.opset_import} - {"", "ai.onnx"}
    if domains:
        raise UnsafeModelError(f"it uses operators of another domain ({sorted(domains)[0]!r})")
    nodes = 0
    for graph in _graphs(model.graph, 0):
        nodes += len(graph.node)
        if nodes > MOST_NODES:
            raise UnsafeModelError(f"it has more than {MOST_NODES:,} nodes")
        _check_graph(graph)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        first = (str(error).strip().splitlines() or ["invalid"])[0]
        raise UnsafeModelError(f"it is not a valid model: {first[:200]}") from error
    initialized = {tensor.name for tensor in model.graph.initializer}
    return Interface(
        frozenset(value.name for value in model.graph.input) - initialized,
        frozenset(value.name for value in model.graph.output),
    )


def _graphs(graph: onnx.GraphProto, depth: int) -> Iterator[onnx.GraphProto]:
    """The graph and all graphs inside its nodes' attributes."""
    if depth > DEEPEST:
        raise UnsafeModelError(f"its graphs are nested more than {DEEPEST} deep")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner = [attribute.g] if attribute.HasField("g") else []
            for each in (*inner, *attribute.graphs):
                yield from _graphs(each, depth + 1)


def _check_graph(graph: onnx.GraphProto) -> None:
    tensors = list(graph.initializer)
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise UnsafeModelError(f"it uses an operator of another domain ({node.domain!r})")
        for attribute in node.attribute:
            tensors.extend([attribute.t] if attribute.HasField("t") else [])
            tensors.extend(attribute.tensors)
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise UnsafeModelError("it holds sparse tensors")
    if graph.sparse_initializer:
        raise UnsafeModelError("it holds sparse tensors")
    if any(t.data_location == onnx.TensorProto.EXTERNAL or t.external_data for t in tensors):
        raise UnsafeModelError("it keeps weights in other files")
