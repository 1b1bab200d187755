"""Gradients of operators that move numbers and compute none."""

from __future__ import annotations

import numpy as np

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _transpose(n: Backward) -> list[Value | None]:
    perm = n.attribute("perm") or range(len(n.shape()))[::-1]
    return [n.op("Transpose", n.dy, perm=[int(i) for i in np.argsort(perm)])]


def _concat(n: Backward) -> tuple[Value, ...]:
    axis = n.attribute("axis")
    sizes = [int(n.shape(i)[axis]) for i in range(len(n.node.inputs))]
    return n.g.op_n("Split", len(sizes), n.dy, n.g.ints(*sizes), axis=axis)


def _split(n: Backward) -> list[Value | None]:
    dys = [n.dy_or_zeros(k) for k in range(len(n.node.outputs))]
    return [n.op("Concat", *dys, axis=n.attribute("axis", 0)), *[None] * (len(n.node.inputs) - 1)]


RULES: dict[str, Rule] = {
    "Reshape": lambda n: [n.reshape_like(n.dy), None],
    "Unsqueeze": lambda n: [n.reshape_like(n.dy), None],
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
}
