"""Gradients of operators that move numbers and compute none."""

from __future__ import annotations

import numpy as np

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _transpose(n: Backward) -> list[Value | None]:
    perm = n.attribute("perm") or range(len(n.shape()))[::-1]
    return [n.op("Transpose", n.dy, perm=[int(i) for i in np.argsort(perm)])]


RULES: dict[str, Rule] = {
    "Reshape": lambda n: [n.reshape_like(n.dy), None],
    "Unsqueeze": lambda n: [n.reshape_like(n.dy), None],
    "Transpose": _transpose,
}
