"""Operators that the engine `onnxruntime-training` has no gradient for, in terms of operators that it has one for.

Each expansion gives the numbers of the operator, and by its gradient those of the rule in `gradients`, ties and zeros
included, as far as rounding goes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from sparknet.compiler.graph import GraphBuilder, Node, Value

Expansion = Callable[[GraphBuilder, Node], Sequence[Value] | None]


def expand(g: GraphBuilder, outputs: Container[Value]) -> None:
    """Replace the operators that have an expansion and compute one of `outputs`. The shapes of `g` must be inferred."""

    def rule(node: Node) -> Sequence[Value] | None:
        expansion = EXPANSIONS.get(node.op)
        return expansion(g, node) if expansion and node.output in outputs else None

    g.rewrite(rule)


def _softplus(g: GraphBuilder, node: Node) -> list[Value]:
    """`log(e^x + e^0)`: as a softmax of two, in which no large number meets an exponential."""
    (x,), rank = node.inputs, g.rank(node.inputs[0])
    pair = g.op("Pad", g.op("Unsqueeze", x, g.ints(-1)), g.ints(*[0] * (2 * rank + 1), 1))
    second = g.op("Slice", g.op("LogSoftmax", pair, axis=-1), g.ints(1), g.ints(2), g.ints(-1))
    return [g.op("Neg", g.op("Squeeze", second, g.ints(-1)))]


def _elu(g: GraphBuilder, node: Node) -> list[Value]:
    """`max(x, 0) + e^min(x, 0) - 1`."""
    x = node.inputs[0]
    above = g.op("Relu", x)
    below = g.op("Sub", g.op("Exp", g.op("Sub", x, above)), g.constant(1.0))
    return [g.op("Add", above, below)]


def _reduce_sum_square(g: GraphBuilder, node: Node) -> list[Value]:
    x, *axes = node.inputs
    return [g.op("ReduceSum", g.op("Mul", x, x), *axes, **node.attributes)]


def _reduce_max(g: GraphBuilder, node: Node) -> list[Value]:
    """The mean of all that equal the largest."""
    x, *axes = node.inputs
    hit = g.op("Cast", g.op("Equal", x, g.op("ReduceMax", x, *axes, keepdims=1)), to=g.onnx_type(g.dtype))
    share = g.op("Div", hit, g.op("ReduceSum", hit, *axes, keepdims=1))
    return [g.op("ReduceSum", g.op("Mul", x, share), *axes, **node.attributes)]


def _layer_normalization(g: GraphBuilder, node: Node) -> list[Value] | None:
    """The same operator, with the optional outputs that its gradient reads."""
    return list(g.op_n(node.op, 3, *node.inputs, **node.attributes)) if len(node.outputs) == 1 else None


def _batch_normalization(g: GraphBuilder, node: Node) -> list[Value]:
    """That of training with a momentum of 0: the result, then mean and variance of the batch."""
    x, scale, bias = node.inputs[:3]
    rank = g.rank(x)
    axes, sides = g.ints(0, *range(2, rank)), g.ints(-1, *[1] * (rank - 2))
    mean = g.op("ReduceMean", x, axes, keepdims=1)
    centred = g.op("Sub", x, mean)
    variance = g.op("ReduceMean", g.op("Mul", centred, centred), axes, keepdims=1)
    deviation = g.op("Sqrt", g.op("Add", variance, g.constant(node.attributes["epsilon"])))
    factor = g.op("Div", g.op("Reshape", scale, sides), deviation)
    result = g.op("Add", g.op("Mul", centred, factor), g.op("Reshape", bias, sides))
    return [result, *(g.op("Reshape", statistic, g.ints(-1)) for statistic in (mean, variance))]


def _average_pool(g: GraphBuilder, node: Node) -> list[Value]:
    """A convolution of each channel for itself, its sums divided by how many numbers of the window are no padding."""
    channels, *sides = (int(d) for d in g.shape(node.inputs[0])[1:])
    window = node.attributes["kernel_shape"]
    sliding: dict[str, Any] = {k: v for k, v in node.attributes.items() if k in ("strides", "pads")}
    rows = g.op("Reshape", node.inputs[0], g.ints(-1, 1, *sides))
    sums = g.op("Conv", rows, g.constant(np.ones((1, 1, *window))), kernel_shape=window, **sliding)
    counts = [_counts(*each) for each in _along_sides(sides, node.attributes)]
    share = 1.0 / (np.multiply.outer(*counts) if len(counts) > 1 else counts[0])
    return [g.op("Reshape", g.op("Mul", sums, g.constant(share)), g.ints(-1, channels, *share.shape))]


def _along_sides(sides: Sequence[int], attributes: dict[str, Any]) -> list[tuple[int, int, int, int, int]]:
    """For each side its length, the window, the stride and the padding before and behind."""
    pads = attributes.get("pads", [0] * 2 * len(sides))
    before, behind = pads[: len(sides)], pads[len(sides) :]
    return list(zip(sides, attributes["kernel_shape"], attributes["strides"], before, behind, strict=True))


def _counts(side: int, window: int, stride: int, before: int, behind: int) -> Any:
    """How many numbers lie under each window, float64[places]."""
    starts = np.arange(0, before + side + behind - window + 1, stride) - before
    return (np.minimum(starts + window, side) - np.maximum(starts, 0)).astype(np.float64)


def _split(g: GraphBuilder, node: Node) -> list[Value] | None:
    """Slices: the gradient of a `Split` takes it that all of its outputs lead to the loss."""
    if len(node.inputs) == 1:
        return None
    bounds = [0, *np.cumsum(g.initializers[node.inputs[1]]).tolist()]
    axis = g.ints(node.attributes["axis"])
    return [g.op("Slice", node.inputs[0], g.ints(a), g.ints(b), axis) for a, b in pairwise(bounds)]


EXPANSIONS: dict[str, Expansion] = {
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Elu": _elu,
    "LayerNormalization": _layer_normalization,
    "ReduceMax": _reduce_max,
    "ReduceSumSquare": _reduce_sum_square,
    "Softplus": _softplus,
    "Split": _split,
}
