"""Losses and metrics, as graph: each takes a batch of predictions and targets and gives the mean over its rows."""

from __future__ import annotations

import numpy as np

from sparknet.compiler.graph import GraphBuilder, Value


def logits_of(g: GraphBuilder, value: Value) -> Value:
    """What went into the softmax that made `value`, or `value` itself where it was not made by one."""
    node = g.producer(value)
    return node.inputs[0] if node is not None and node.op == "Softmax" else value


def cross_entropy(g: GraphBuilder, logits: Value, target: Value, classes: int) -> Value:
    """Mean of `-log softmax(logits)[target]`; logits float[N, classes], target int64[N].

    From logits rather than probabilities, so that no probability of 0 ever meets a logarithm.
    """
    index = g.op("Unsqueeze", target, g.ints(1))
    onehot = g.op("Cast", g.op("Equal", index, g.constant(np.arange(classes), "int64")), to=g.onnx_type(g.dtype))
    picked = g.op("ReduceSum", g.op("Mul", g.op("LogSoftmax", logits, axis=1), onehot), g.ints(1), keepdims=0)
    return g.op("Neg", g.op("ReduceMean", picked, g.ints(0), keepdims=0))


def accuracy(g: GraphBuilder, logits: Value, target: Value) -> Value:
    """Share of rows whose largest logit is the target's."""
    hit = g.op("Equal", g.op("ArgMax", logits, axis=1, keepdims=0), target)
    return g.op("ReduceMean", g.op("Cast", hit, to=g.onnx_type(g.dtype)), g.ints(0), keepdims=0)


def mean_squared_error(g: GraphBuilder, prediction: Value, target: Value) -> Value:
    """Mean over rows and numbers of the squared difference; both float[N, n]."""
    error = g.op("Sub", prediction, target)
    return g.op("ReduceMean", g.op("Mul", error, error), g.ints(0, 1), keepdims=0)


def mean_absolute_error(g: GraphBuilder, prediction: Value, target: Value) -> Value:
    """Mean over rows and numbers of the absolute difference; both float[N, n]."""
    return g.op("ReduceMean", g.op("Abs", g.op("Sub", prediction, target)), g.ints(0, 1), keepdims=0)
