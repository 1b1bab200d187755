"""Gradients of matrix products."""

from __future__ import annotations

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _matmul(n: Backward) -> tuple[Value, Value]:
    """`Y = A B`: `dA = dY B^T`, `dB = A^T dY`, for matrices and batches of them."""
    return n.sum_to(n.op("MatMul", n.dy, _transposed(n, 1)), 0), n.sum_to(n.op("MatMul", _transposed(n, 0), n.dy), 1)


def _transposed(n: Backward, i: int) -> Value:
    rank = len(n.shape(i))
    return n.op("Transpose", n.x(i), perm=[*range(rank - 2), rank - 1, rank - 2])


def _gemm(n: Backward) -> tuple[Value, ...]:
    """`Y = X W + b`, the only form we write: no transposition, `alpha` and `beta` 1."""
    dx = n.op("Gemm", n.dy, n.x(1), transB=1)
    dw = n.op("Gemm", n.x(0), n.dy, transA=1)
    return dx, dw, n.op("ReduceSum", n.dy, n.g.ints(0), keepdims=0)


RULES: dict[str, Rule] = {"MatMul": _matmul, "Gemm": _gemm}
