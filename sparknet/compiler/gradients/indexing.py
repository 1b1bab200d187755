"""Gradients of operators that pick numbers by index."""

from __future__ import annotations

import numpy as np

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value

_FEW_ROWS = 64
"""Up to here a product with one-hot rows is the faster way (measured: both take 0.23 ms at 100 rows, 1,280 indices)."""


def _gather(n: Backward) -> tuple[Value, None]:
    """Rows of a matrix, the only form we write: add each row of `dy` to the row that it was read from.

    Not by `ScatterND`, five times faster though it is: ONNX Runtime 1.31 adds rows of one index from several threads
    at once and loses some of the sums.
    """
    rows, width = (int(d) for d in n.shape())
    dy = n.op("Reshape", n.dy, n.g.ints(-1, width))
    index = n.op("Reshape", n.x(1), n.g.ints(-1, 1))
    if rows <= _FEW_ROWS:
        hit = n.op("Equal", index, n.g.constant(np.arange(rows), "int64"))
        return n.op("Gemm", n.op("Cast", hit, to=n.g.onnx_type(n.g.dtype)), dy, transA=1), None
    zeros = n.op("Expand", n.constant(0.0), n.g.ints(rows, width))
    indices = n.op("Expand", index, n.op("Shape", dy))
    return n.op("ScatterElements", zeros, indices, dy, axis=0, reduction="add"), None


RULES: dict[str, Rule] = {"Gather": _gather}
