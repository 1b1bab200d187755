"""Checks an ONNX file that may be hostile before anything else reads it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError

from sparknet.compiler.graph import OPSET

MOST_NODES = 200_000
DEEPEST = 8


class UnsafeModelError(ValueError):
    """The file is no ONNX model, or one that we refuse to read; the text says why."""


_NAMES = """
Abs Add ArgMax AveragePool BatchNormalization BitShift BitwiseXor Cast Clip Concat Conv ConvTranspose Div Elu Equal
Erf Exp Expand GRU Gather Gemm Greater GreaterOrEqual Identity LSTM LayerNormalization LeakyRelu Less Log LogSoftmax
MatMul Max MaxPool Min Mul Neg Pad Pow RNN Range ReduceMax ReduceMean ReduceProd ReduceSum ReduceSumSquare Relu
Reshape Resize ScatterElements Shape Sigmoid Sign Size Slice Softmax Softplus Split Sqrt Squeeze Sub Tanh Transpose
Unsqueeze Where
"""
_OPERATORS = frozenset(_NAMES.split())
"""What the compiler writes. None of it loops without bound, as `Loop` can."""

Signature = Mapping[str, tuple[str, tuple[int | None, ...]]]
"""Values by name: element type as numpy calls it, and shape, None for a size that is open."""


@dataclass(frozen=True)
class Interface:
    """A graph's inputs and outputs."""

    inputs: Signature
    outputs: Signature


def check_model(data: bytes, scans: bool = False) -> Interface:
    """Raise UnsafeModelError unless `data` is a valid, self-contained model of standard operators.

    1. Weights lie inside the file: no external data, neither in initializers nor in attributes.
    2. Only operators that the compiler writes, in its opset; no functions (which could be recursive), no
       `training_info` (graphs that nothing here looks at). `Scan` only where the graph `scans`.
    3. Nodes and nesting are capped.
    4. `onnx.checker` finds nothing wrong, shapes included.
    """
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise UnsafeModelError("it is not an ONNX model") from error
    if model.functions:
        raise UnsafeModelError("it defines functions of its own")
    if model.training_info:
        raise UnsafeModelError("it holds training graphs")
    domains = {entry.domain for entry in model.opset_import} - {"", "ai.onnx"}
    if domains:
        raise UnsafeModelError(f"it uses operators of another domain ({sorted(domains)[0]!r})")
    if [entry.version for entry in model.opset_import] != [OPSET]:
        raise UnsafeModelError(f"it is not of opset {OPSET}")
    allowed = _OPERATORS | {"Scan"} if scans else _OPERATORS
    nodes = 0
    for graph in _graphs(model.graph, 0):
        nodes += len(graph.node)
        if nodes > MOST_NODES:
            raise UnsafeModelError(f"it has more than {MOST_NODES:,} nodes")
        _check_graph(graph, allowed)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        first = (str(error).strip().splitlines() or ["invalid"])[0]
        raise UnsafeModelError(f"it is not a valid model: {first[:200]}") from error
    if {tensor.name for tensor in model.graph.initializer} & {value.name for value in model.graph.input}:
        raise UnsafeModelError("it holds a tensor in the place of an input")
    return Interface(_signature(model.graph.input), _signature(model.graph.output))


def _signature(values: Iterable[onnx.ValueInfoProto]) -> Signature:
    found: dict[str, tuple[str, tuple[int | None, ...]]] = {}
    for value in values:
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            raise UnsafeModelError("it takes or gives something else than tensors of known ranks")
        tensor = value.type.tensor_type
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
        found[value.name] = (onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name, shape)
    return found


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


def _check_graph(graph: onnx.GraphProto, allowed: Container[str]) -> None:
    tensors = list(graph.initializer)
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise UnsafeModelError(f"it uses an operator of another domain ({node.domain!r})")
        if node.op_type not in allowed:
            raise UnsafeModelError(f"it uses the operator {node.op_type[:40]!r}, which no net needs here")
        for attribute in node.attribute:
            tensors.extend([attribute.t] if attribute.HasField("t") else [])
            tensors.extend(attribute.tensors)
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise UnsafeModelError("it holds sparse tensors")
    if graph.sparse_initializer:
        raise UnsafeModelError("it holds sparse tensors")
    if any(t.data_location == onnx.TensorProto.EXTERNAL or t.external_data for t in tensors):
        raise UnsafeModelError("it keeps weights in other files")
