"""Checks an ONNX file that may be hostile before anything else reads it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

import onnx

from sparknet.compiler.foreign.operators import OPERATORS as FOREIGN
from sparknet.compiler.foreign.safety import UnsafeModelError, complaint, graphs, parsed
from sparknet.compiler.graph import OPSET

_NAMES = """
Abs Add ArgMax AveragePool BatchNormalization BitShift BitwiseXor Cast Clip Concat Conv ConvTranspose Div Elu Equal Erf
Exp Expand GRU Gather Gemm Greater GreaterOrEqual HardSigmoid Identity LSTM LayerNormalization LeakyRelu Less Log
LogSoftmax MatMul Max MaxPool Min Mul Neg Pad Pow RNN Range ReduceMax ReduceMean ReduceProd ReduceSum
ReduceSumSquare Relu Reshape Resize ScatterElements Selu Shape Sigmoid Sign Size Slice Softmax Softplus Softsign Split
Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where
"""
_OPERATORS = frozenset(_NAMES.split()) | FOREIGN
"""What the compiler writes, of its own and of foreign models. None of it loops without bound, as `Loop` can."""

_OF_STEPS = frozenset({"Scan", "MaxUnpool"})
"""What only the training step needs."""

Signature = Mapping[str, tuple[str, tuple[int | None, ...]]]
"""Values by name: element type as numpy calls it, and shape, None for a size that is open."""


@dataclass(frozen=True)
class Interface:
    """A graph's inputs and outputs."""

    inputs: Signature
    outputs: Signature


def check_model(data: bytes, step: bool = False) -> Interface:
    """Raise UnsafeModelError unless `data` is a valid, self-contained model of standard operators.

    1. What `safety.parsed` refuses of any file.
    2. Only operators that the compiler writes, in its opset. `Scan` and `MaxUnpool` only in a training `step`.
    3. `onnx.checker` finds nothing wrong, shapes included.
    """
    model = parsed(data)
    domains = {entry.domain for entry in model.opset_import} - {"", "ai.onnx"}
    if domains:
        raise UnsafeModelError(f"it uses operators of another domain ({sorted(domains)[0]!r})")
    if [entry.version for entry in model.opset_import] != [OPSET]:
        raise UnsafeModelError(f"it is not of opset {OPSET}")
    allowed = _OPERATORS | _OF_STEPS if step else _OPERATORS
    for graph in graphs(model.graph):
        _check_operators(graph, allowed)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise UnsafeModelError(f"it is not a valid model: {complaint(error)}") from error
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


def _check_operators(graph: onnx.GraphProto, allowed: Container[str]) -> None:
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise UnsafeModelError(f"it uses an operator of another domain ({node.domain!r})")
        if node.op_type not in allowed:
            raise UnsafeModelError(f"it uses the operator {node.op_type[:40]!r}, which no net needs here")
