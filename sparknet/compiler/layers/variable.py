"""Sequences of variable length: what stands behind the end of a row counts for nothing."""

from __future__ import annotations

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Lowering
from sparknet.compiler.types import TensorType


def blank(low: Lowering, x: Value, t: TensorType) -> Value:
    """`x`, a batch of sequences `t`, with zeros behind the end of each row."""
    mask = low.mask(t)
    if mask is None:
        return x
    g = low.graph
    kept = g.op("Unsqueeze", mask, g.ints(2)) if len(t.shape) > 1 else mask
    return g.op("Where", kept, x, g.constant(0.0))


def mean_of_steps(low: Lowering, x: Value, t: TensorType) -> Value:
    """The mean over the steps of each row, [N, features]."""
    g, lengths = low.graph, low.lengths(t)
    if lengths is None:
        return g.op("ReduceMean", x, g.ints(1), keepdims=0)
    total = g.op("ReduceSum", blank(low, x, t), g.ints(1), keepdims=0)
    return g.op("Div", total, g.op("Cast", g.op("Unsqueeze", lengths, g.ints(1)), to=g.onnx_type(g.dtype)))


def last_step(low: Lowering, x: Value, t: TensorType, axis: int = 1) -> Value:
    """The last step of each row, [N, features]; the steps lie along `axis`, 1 or 0."""
    g, (time, features), lengths = low.graph, t.shape, low.lengths(t)
    if lengths is None:
        if time > 1:
            x = g.op_n("Split", 2, x, g.ints(time - 1, 1), axis=axis)[1]
        return g.op("Reshape", x, g.ints(-1, features))
    steps = g.constant(range(time), "int64") if axis else g.op("Unsqueeze", g.ints(*range(time)), g.ints(1))
    index = g.op("Sub", lengths, g.ints(1))
    hit = g.op("Equal", steps, g.op("Unsqueeze", index, g.ints(1)) if axis else index)
    chosen = g.op("Where", g.op("Unsqueeze", hit, g.ints(2)), x, g.constant(0.0))
    return g.op("ReduceSum", chosen, g.ints(axis), keepdims=0)
