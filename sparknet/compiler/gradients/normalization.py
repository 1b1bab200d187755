"""Gradients of operators that normalise."""

from __future__ import annotations

from math import prod

import numpy as np

from sparknet.compiler.gradients.base import Backward, Rule, UnknownFormError
from sparknet.compiler.graph import Value


def _layer_normalization(n: Backward) -> list[Value | None]:
    """`u = (x - mean) r`, `r = 1 / sqrt(variance + eps)`, `y = w u + b`, means over the normalised axes, the last ones.

    `dx = r (w dy - mean(w dy) - u mean(w dy u))`. The means are products with `w`. All is done on rows, which are the
    channels of a `BatchNormalization` out of training: that multiplies them and adds to them in one pass.
    """
    rank, axis = len(n.shape()), n.attribute("axis", -1)
    features = prod(n.sizes(n.shape()[axis % rank :]))
    mean, r = (_number_a_row(n, value) for value in n.g.with_extra_outputs(n.node, 3)[1:])
    rows, channels = n.g.ints(-1, features), n.g.ints(1, -1, features)
    normal = _gives_normal_numbers(n)
    x = n.op("Reshape", n.y if normal else n.x(), channels)
    u = x if normal else n.rows_times(x, r, mean=mean)
    dy = n.op("Reshape", n.dy, channels)
    flat = [n.op("Reshape", value, rows) for value in (dy, n.op("Mul", dy, u))]
    if normal:
        v, means = dy, [n.op("ReduceMean", value, n.g.ints(1), keepdims=0) for value in flat]
    else:
        v = n.op("Mul", dy, n.op("Reshape", n.x(1), n.g.ints(-1)))
        share = n.op("Mul", n.op("Reshape", n.x(1), n.g.ints(features, 1)), n.constant(1 / features))
        means = [n.op("Reshape", n.op("MatMul", value, share), n.g.ints(-1)) for value in flat]
    rest = n.rows_times(u, means[1], plus=means[0])
    dx = n.reshape_like(n.rows_times(n.op("Sub", v, rest), r))
    if normal:
        return [dx, None, *[None] * (len(n.node.inputs) - 2)]
    sums = [n.op("Reshape", n.sum_of_rows(value, "?"), n.op("Shape", n.x(1))) for value in flat]
    return [dx, sums[1], *([sums[0]] if len(n.node.inputs) > 2 else [])]


def _gives_normal_numbers(n: Backward) -> bool:
    """Whether the scale is ones and the shift, if there is one, zeros."""
    found = [n.g.initializers.get(value) for value in n.node.inputs[1:]]
    return all(array is not None and (array == number).all() for array, number in zip(found, (1, 0), strict=False))


def _number_a_row(n: Backward, value: Value) -> Value:
    """A statistic, which the operator gives in float32 whatever the type of its input, as a vector of the rows."""
    value = value if n.g.dtype == "float32" else n.op("Cast", value, to=n.g.onnx_type(n.g.dtype))
    return n.op("Reshape", value, n.g.ints(-1))


def _batch_normalization(n: Backward) -> list[Value | None]:
    """`y = w (x - mean) / sqrt(variance + eps) + b` with the running statistics, which get no gradient."""
    if n.attribute("training_mode", 0):
        return _batch_normalization_in_training(n)
    sides = [1] * (len(n.shape()) - 2)
    w, mean, variance = (n.op("Reshape", n.x(i), n.g.ints(-1, *sides)) for i in (1, 3, 4))
    spread = n.op("Sqrt", n.op("Add", variance, n.constant(n.attribute("epsilon", 1e-5))))
    u = n.op("Div", n.op("Sub", n.x(), mean), spread)
    return [n.op("Mul", n.dy, n.op("Div", w, spread)), *_scale_and_bias(n, u), None, None]


def _batch_normalization_in_training(n: Backward) -> list[Value | None]:
    """With the statistics of the batch: `dx = w r (dy - mean(dy) - u mean(dy u))`, `u = (x - mean) r`.

    Ioffe & Szegedy, 2015, section 3. The operator itself, out of training, is the fastest way to scale and shift
    channels: it gives `u`, and from `u` all of `dx / (w r)` but `dy`.
    """
    if n.attribute("momentum", 0.9) != 0 or len(n.node.outputs) < 3:
        raise UnknownFormError("it is in training mode, and its momentum is not 0")
    if any(dy is not None for dy in n.dys[1:]):
        raise UnknownFormError("its statistics are used further")
    eps, rank = n.attribute("epsilon", 1e-5), len(n.shape())
    ones, zeros = (n.op("Expand", n.constant(c), n.op("Shape", n.x(1))) for c in (1.0, 0.0))
    u = n.op("BatchNormalization", n.x(), ones, zeros, *n.node.outputs[1:3], epsilon=eps)
    d_scale, d_bias = _scale_and_bias(n, u)
    count = n.op("Div", *(n.op("Cast", n.op("Size", n.x(i)), to=n.g.onnx_type(n.g.dtype)) for i in (0, 1)))
    means = [n.op("Neg", n.op("Div", total, count)) for total in (d_scale, d_bias)]
    rest = n.op("BatchNormalization", u, *means, zeros, ones, epsilon=0.0)
    factor = n.op("Div", n.x(1), n.op("Sqrt", n.op("Add", n.node.outputs[2], n.constant(eps))))
    factor = n.op("Reshape", factor, n.g.ints(-1, *[1] * (rank - 2)))
    dx = n.op("Mul", n.op("Add", n.dy, rest), factor)
    return [dx, d_scale, d_bias, None, None]


def _instance_normalization(n: Backward) -> list[Value | None]:
    """As `_layer_normalization`, means over the sides of each channel."""
    rank = len(n.shape())
    sides = n.g.ints(*range(2, rank))
    centred = n.op("Sub", n.x(), n.op("ReduceMean", n.x(), sides, keepdims=1))
    variance = n.op("ReduceMean", n.op("Mul", centred, centred), sides, keepdims=1)
    spread = n.op("Sqrt", n.op("Add", variance, n.constant(n.attribute("epsilon", 1e-5))))
    u = n.op("Div", centred, spread)
    v = n.op("Mul", n.dy, n.op("Reshape", n.x(1), n.g.ints(-1, *[1] * (rank - 2))))
    of_mean, of_spread = (n.op("ReduceMean", z, sides, keepdims=1) for z in (v, n.op("Mul", v, u)))
    rest = n.op("Add", of_mean, n.op("Mul", u, of_spread))
    return [n.op("Div", n.op("Sub", v, rest), spread), *_scale_and_bias(n, u)]


def _scale_and_bias(n: Backward, u: Value) -> tuple[Value, Value]:
    """Of what multiplies the normal numbers `u` of each channel and is added to them."""
    return n.sum_of_channels(n.op("Mul", n.dy, u)), n.sum_of_channels(n.dy)


def _lrn(n: Backward) -> list[Value | None]:
    """`y = x d^-beta`, `d = bias + alpha / size * S x^2`, `S` the sum over neighbouring channels (AlexNet, 3.3).

    `dx = dy d^-beta - 2 alpha beta / size * x S (dy y / d)`.
    """
    channels, *sides = n.sizes(n.shape()[1:])
    size = n.attribute("size")
    alpha, beta, bias = n.attribute("alpha", 1e-4), n.attribute("beta", 0.75), n.attribute("bias", 1.0)
    if size % 2 == 0:
        raise UnknownFormError("its window is of an even size")
    apart = np.subtract.outer(np.arange(channels), np.arange(channels))
    window = (np.abs(apart) <= size // 2).astype(np.float64)
    flat = n.g.ints(0, channels, prod(sides))
    squares = n.op("Reshape", n.op("Mul", n.x(), n.x()), flat)
    d = n.op("Add", n.op("MatMul", n.g.constant(window * alpha / size), squares), n.constant(bias))
    dy, y = (n.op("Reshape", z, flat) for z in (n.dy, n.y))
    back = n.op("MatMul", n.g.constant(window * (2 * alpha * beta / size)), n.op("Div", n.op("Mul", dy, y), d))
    direct = n.op("Mul", dy, n.op("Pow", d, n.constant(-beta)))
    return [n.reshape_like(n.op("Sub", direct, n.op("Mul", n.op("Reshape", n.x(), flat), back)))]


def _mean(n: Backward, value: Value) -> Value:
    """Over the normalised axes, which stay, with size 1."""
    rank, axis = len(n.shape()), n.attribute("axis", -1)
    return n.op("ReduceMean", value, n.g.ints(*range(axis % rank, rank)), keepdims=1)


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_normalization,
    "InstanceNormalization": _instance_normalization,
    "LayerNormalization": _layer_normalization,
    "LRN": _lrn,
}
