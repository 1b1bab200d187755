"""Gradients of operators that normalise."""

from __future__ import annotations

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _layer_normalization(n: Backward) -> list[Value | None]:
    """`u = (x - mean) r`, `r = 1 / sqrt(variance + eps)`, `y = w u + b`, means over the normalised axes, the last ones.

    `dx = r (v - mean(v) - u mean(v u))` with `v = w dy`. `u` is computed again: the operator gives its mean and `r` in
    float32 only, whatever the type of `x`.
    """
    centred = n.op("Sub", n.x(), _mean(n, n.x()))
    variance = _mean(n, n.op("Mul", centred, centred))
    spread = n.op("Sqrt", n.op("Add", variance, n.constant(n.attribute("epsilon", 1e-5))))
    u = n.op("Div", centred, spread)
    v = n.op("Mul", n.dy, n.x(1))
    rest = n.op("Add", _mean(n, v), n.op("Mul", u, _mean(n, n.op("Mul", v, u))))
    dx = n.op("Div", n.op("Sub", v, rest), spread)
    gradients: list[Value | None] = [dx, n.sum_to(n.op("Mul", n.dy, u), 1)]
    if len(n.node.inputs) > 2:
        gradients.append(n.sum_to(n.dy, 2))
    return gradients


def _mean(n: Backward, value: Value) -> Value:
    """Over the normalised axes, which stay, with size 1."""
    rank, axis = len(n.shape()), n.attribute("axis", -1)
    return n.op("ReduceMean", value, n.g.ints(*range(axis % rank, rank)), keepdims=1)


RULES: dict[str, Rule] = {"LayerNormalization": _layer_normalization}
