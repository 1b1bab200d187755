"""Gradients of sums, means, maxima and the functions built on them."""

from __future__ import annotations

from itertools import permutations
from math import prod

import numpy as np

from sparknet.compiler.gradients.base import Backward, Rule, UnknownFormError
from sparknet.compiler.graph import Value

_ROUNDED = 1e-6
"""How far a sum of float32 numbers may lie from what it is."""


def _axes(n: Backward) -> tuple[int, ...]:
    rank = len(n.shape())
    axes = n.axes() if len(n.node.inputs) > 1 and n.x(1) else ()
    return tuple(a % rank for a in axes) or tuple(range(rank))


def _unreduced(n: Backward, value: Value) -> Value:
    """`value`, of the shape of the output, with the reduced axes put back as ones."""
    return value if n.attribute("keepdims", 1) else n.op("Unsqueeze", value, n.g.ints(*_axes(n)))


def _spread(n: Backward, dy: Value) -> Value:
    """`dy` copied along the axes that were summed; where it is copies of one number already, that one."""
    before = n.g.producer(dy)
    if before is not None and before.op == "Expand" and n.g.shapes.get(before.inputs[0]) == ():
        return n.op("Expand", before.inputs[0], n.op("Shape", n.x()))
    if n.g.shape(n.y) == ():
        n.g.shapes[dy] = ()
        return n.op("Expand", dy, n.op("Shape", n.x()))
    return n.op("Expand", _unreduced(n, dy), n.op("Shape", n.x()))


def _reduced_count(n: Backward) -> Value:
    """How many numbers went into each output, as a scalar of the computing type."""
    sizes = [n.shape()[a] for a in _axes(n)]
    known = n.constant(float(prod(s for s in sizes if isinstance(s, int))))
    if all(isinstance(s, int) for s in sizes):
        return known
    if isinstance(n.shape()[0], int) or sum(isinstance(s, str) for s in n.shape()) > 1:
        raise UnknownFormError("several sizes depend on the batch")
    batch = n.op("Cast", n.op("Shape", n.x(), start=0, end=1), to=n.g.onnx_type(n.g.dtype))
    return n.op("Mul", known, n.op("Squeeze", batch))


def _reduce_mean(n: Backward) -> list[Value | None]:
    return _padded(n, _spread(n, n.op("Div", n.dy, _reduced_count(n))))


def _reduce_extremum(n: Backward) -> list[Value | None]:
    """Equal ones share the gradient equally, as in PyTorch's `amax` and `amin`."""
    hit = n.op("Cast", n.op("Equal", n.x(), _unreduced(n, n.y)), to=n.g.onnx_type(n.g.dtype))
    ties = n.op("ReduceSum", hit, n.g.ints(*_axes(n)), keepdims=1)
    return _padded(n, n.op("Mul", hit, n.op("Div", _unreduced(n, n.dy), ties)))


def _reduce_sum_square(n: Backward) -> list[Value | None]:
    """`dx = 2 x dy`; the product spreads `dy` by itself."""
    return _padded(n, n.op("Mul", n.x(), n.op("Mul", _unreduced(n, n.dy), n.constant(2.0))))


def _reduce_l2(n: Backward) -> list[Value | None]:
    """`dx = x dy / y`."""
    return _padded(n, n.op("Mul", n.x(), _unreduced(n, n.op("Div", n.dy, n.y))))


def _reduce_log_sum_exp(n: Backward) -> list[Value | None]:
    """`dx = e^(x - y) dy`."""
    share = n.op("Exp", n.op("Sub", n.x(), _unreduced(n, n.y)))
    return _padded(n, n.op("Mul", share, _unreduced(n, n.dy)))


def _cum_sum(n: Backward) -> list[Value | None]:
    """Each number is part of the sums behind it: their gradients, summed from the end."""
    options = {"reverse": 1 - n.attribute("reverse", 0), "exclusive": n.attribute("exclusive", 0)}
    return [n.op("CumSum", n.dy, n.x(1), **options), None]


def _global_average_pool(n: Backward) -> list[Value | None]:
    count = prod(n.sizes(n.shape()[2:]))
    return [n.op("Expand", n.op("Div", n.dy, n.constant(float(count))), n.op("Shape", n.x()))]


def _global_max_pool(n: Backward) -> list[Value | None]:
    """Equal maxima share the gradient equally."""
    hit = n.mask("Equal", n.x(), n.y)
    ties = n.op("ReduceSum", hit, n.g.ints(*range(2, len(n.shape()))), keepdims=1)
    return [n.op("Mul", hit, n.op("Div", n.dy, ties))]


def _padded(n: Backward, dx: Value) -> list[Value | None]:
    return [dx] + [None] * (len(n.node.inputs) - 1)


def _softmax(n: Backward) -> list[Value | None]:
    """`dx = y (dy - sum(y dy))`; along the last axis, the sums times `y` in one pass over rows."""
    axis, rank = n.attribute("axis", -1), len(n.shape())
    product = n.op("Mul", n.y, n.dy)
    features = n.shape()[-1]
    if axis not in (-1, rank - 1) or not isinstance(features, int):
        return [n.op("Sub", product, n.op("Mul", n.y, n.op("ReduceSum", product, n.g.ints(axis), keepdims=1)))]
    total = n.op("ReduceSum", n.op("Reshape", product, n.g.ints(-1, features)), n.g.ints(1), keepdims=0)
    rest = n.rows_times(n.op("Reshape", n.y, n.g.ints(1, -1, features)), total)
    return [n.op("Sub", product, n.reshape_like(rest))]


def _log_softmax(n: Backward) -> list[Value | None]:
    """`dx = dy - e^y sum(dy)`."""
    total = _sum_of_looked_up(n)
    if total is None:
        total = n.op("ReduceSum", n.dy, n.g.ints(n.attribute("axis", -1)), keepdims=1)
    return [n.op("Sub", n.dy, n.op("Mul", n.op("Exp", n.y), total))]


def _sum_of_looked_up(n: Backward) -> Value | None:
    """The sum of each row of `dy`, a number times rows of a table, as that of a cross entropy is, if all are equal."""
    product = n.g.producer(n.dy)
    for rows, copies in permutations(product.inputs if product is not None and product.op == "Mul" else ()):
        looked_up, spread = n.g.producer(rows), n.g.producer(copies)
        if looked_up is None or looked_up.op != "Gather" or spread is None or spread.op != "Expand":
            continue
        table, number = n.g.initializers.get(looked_up.inputs[0]), spread.inputs[0]
        if table is not None and table.ndim == 2 and n.g.shapes.get(number) == ():
            sums = table.sum(axis=1, dtype=np.float64)
            if np.allclose(sums, sums[0], rtol=_ROUNDED, atol=0):
                return number if abs(sums[0] - 1) < _ROUNDED else n.op("Mul", number, n.constant(float(sums[0])))
    return None


RULES: dict[str, Rule] = {
    "ReduceSum": lambda n: _padded(n, _spread(n, n.dy)),
    "ReduceMean": _reduce_mean,
    "ReduceSumSquare": _reduce_sum_square,
    "ReduceMax": _reduce_extremum,
    "ReduceMin": _reduce_extremum,
    "ReduceL1": lambda n: _padded(n, n.op("Mul", n.op("Sign", n.x()), _unreduced(n, n.dy))),
    "ReduceL2": _reduce_l2,
    "ReduceLogSum": lambda n: _padded(n, _spread(n, n.op("Div", n.dy, n.op("Exp", n.y)))),
    "ReduceLogSumExp": _reduce_log_sum_exp,
    "CumSum": _cum_sum,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
    "Softmax": _softmax,
    "LogSoftmax": _log_softmax,
}
