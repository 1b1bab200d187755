"""Losses and metrics, as graph: each takes a batch of predictions and targets and gives the mean over its rows.

Losses take the weights of rows too, float[N] or float[N, 1, ...] with as many axes as predictions: then that is the
mean over rows of weight times loss, not divided by the weights, so that of many rows is the same however batches cut
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.lazy import Lazy

if TYPE_CHECKING:
    import numpy as np
else:
    np = Lazy("numpy")

_SHAPE_ONLY = frozenset({"Identity", "Reshape", "Transpose"})


def logits_of(g: GraphBuilder, value: Value, squash: str) -> Value | None:
    """What went into the `squash` (`Softmax`, `Sigmoid`) that made `value`, or None where it was not made by one.

    A sigmoid works number by number, so what has only moved numbers behind it is done to the logits too.
    """
    node = g.producer(value)
    if node is None:
        return None
    if node.op == squash and node.attributes.get("axis", -1) in (-1, 1):
        return node.inputs[0]
    if squash != "Sigmoid" or node.op not in _SHAPE_ONLY:
        return None
    logits = logits_of(g, node.inputs[0], squash)
    return logits and g.op(node.op, logits, *node.inputs[1:], **node.attributes)


def cross_entropy(
    g: GraphBuilder,
    logits: Value,
    target: Value,
    classes: int,
    smoothing: float = 0.0,
    class_weights: Sequence[float] = (),
    weights: Value | None = None,
) -> Value:
    """Mean over rows of `-sum over c of class_weights[c] * wanted[c] * log softmax(logits)[c]`.

    logits float[N, classes], target int64[N]; `wanted` is `smoothing / classes` everywhere and what is left to 1 more
    at the target. From logits rather than probabilities, so that no probability of 0 ever meets a logarithm. The mean
    is over rows, not over their weights as in PyTorch: so that of many rows is the same however batches cut them.
    """
    wanted = _wanted(g, target, classes, smoothing, class_weights)
    terms = g.op("Mul", g.op("LogSoftmax", logits, axis=1), wanted)
    if weights is None:  # a mean over rows and classes is a pass without a sum for each row
        return g.op("Mul", g.op("ReduceMean", terms, keepdims=0), g.constant(float(-classes)))
    picked = g.op("ReduceSum", terms, g.ints(1), keepdims=0)
    return g.op("Neg", g.op("ReduceMean", _weighed(g, picked, weights), g.ints(0), keepdims=0))


_FEW_CLASSES = 64
"""Of so many, what is wanted of each fits into the cache as a table."""


def _wanted(g: GraphBuilder, target: Value, classes: int, smoothing: float, class_weights: Sequence[float]) -> Value:
    """What `cross_entropy` wants of each row, times the weights of classes; few classes are looked up in a table."""
    factor = np.asarray(class_weights or 1.0)
    if classes <= _FEW_CLASSES:
        table = np.eye(classes) * (1 - smoothing) + smoothing / classes
        return g.op("Gather", g.constant(table * factor), target)
    index = g.op("Unsqueeze", target, g.ints(1))
    wanted = g.op("Cast", g.op("Equal", index, g.constant(np.arange(classes), "int64")), to=g.onnx_type(g.dtype))
    if smoothing:
        wanted = g.op("Mul", wanted, g.constant(1 - smoothing))
        wanted = g.op("Add", wanted, g.constant(smoothing / classes))
    return g.op("Mul", wanted, g.constant(factor)) if class_weights else wanted


def _weighed(g: GraphBuilder, losses: Value, weights: Value | None) -> Value:
    return losses if weights is None else g.op("Mul", losses, weights)


def accuracy(g: GraphBuilder, logits: Value, target: Value) -> Value:
    """Share of rows whose largest logit is the target's."""
    hit = g.op("Equal", g.op("ArgMax", logits, axis=1, keepdims=0), target)
    return g.op("ReduceMean", g.op("Cast", hit, to=g.onnx_type(g.dtype)), g.ints(0), keepdims=0)


def mean_squared_error(g: GraphBuilder, prediction: Value, target: Value, weights: Value | None = None) -> Value:
    """Mean over rows and numbers of the squared difference; both float[N, ...]."""
    error = g.op("Sub", prediction, target)
    return g.op("ReduceMean", _weighed(g, g.op("Mul", error, error), weights), keepdims=0)


def mean_absolute_error(g: GraphBuilder, prediction: Value, target: Value, weights: Value | None = None) -> Value:
    """Mean over rows and numbers of the absolute difference; both float[N, ...]."""
    return g.op("ReduceMean", _weighed(g, g.op("Abs", g.op("Sub", prediction, target)), weights), keepdims=0)


def huber(g: GraphBuilder, prediction: Value, target: Value, delta: float, weights: Value | None = None) -> Value:
    """Mean of `e^2 / 2` where `|e|` is below `delta`, else of `delta (|e| - delta / 2)`; both float[N, ...]."""
    error = g.op("Sub", prediction, target)
    size = g.op("Abs", error)
    near = g.op("Mul", g.op("Mul", error, error), g.constant(0.5))
    far = g.op("Mul", g.op("Sub", size, g.constant(delta / 2)), g.constant(delta))
    losses = g.op("Where", g.op("Less", size, g.constant(delta)), near, far)
    return g.op("ReduceMean", _weighed(g, losses, weights), keepdims=0)


def squared_error_of_rows(g: GraphBuilder, prediction: Value, target: Value, axes: int) -> Value:
    """Mean squared difference of each row, float[N]; both float[N, ...] with `axes` axes behind the batch."""
    error = g.op("Sub", prediction, target)
    return g.op("ReduceMean", g.op("Mul", error, error), g.ints(*range(1, axes + 1)), keepdims=0)


def binary_cross_entropy(g: GraphBuilder, logits: Value, target: Value, weights: Value | None = None) -> Value:
    """Mean of `-t log s(x) - (1 - t) log(1 - s(x))`, s the sigmoid; both float[N, ...], targets from 0 to 1.

    Written as `log(1 + e^x) - t x`, in which neither a large nor a small logit meets a logarithm of 0.
    """
    losses = g.op("Sub", g.op("Softplus", logits), g.op("Mul", target, logits))
    return g.op("ReduceMean", _weighed(g, losses, weights), keepdims=0)


def binary_accuracy(g: GraphBuilder, logits: Value, target: Value) -> Value:
    """Share of the numbers, over all rows, whose probability is 0.5 or more just where the target is 1."""
    said = g.op("GreaterOrEqual", logits, g.constant(0.0))
    hit = g.op("Equal", said, g.op("GreaterOrEqual", target, g.constant(0.5)))
    return g.op("ReduceMean", g.op("Cast", hit, to=g.onnx_type(g.dtype)), keepdims=0)
