"""Gradients of matrix products."""

from __future__ import annotations

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _matmul(n: Backward) -> tuple[Value, Value]:
    """`Y = A B`: `dA = dY B^T`, `dB = A^T dY`, for matrices and batches of them."""
    if len(n.shape(0)) > len(n.shape(1)) == 2:
        return n.op("MatMul", n.dy, _transposed(n, 1)), _of_all_rows(n)
    return n.sum_to(n.op("MatMul", n.dy, _transposed(n, 1)), 0), n.sum_to(n.op("MatMul", _transposed(n, 0), n.dy), 1)


def _of_all_rows(n: Backward) -> Value:
    """`dB` where one matrix `B` meets a batch of matrices: a single product over the rows of them all."""
    a, dy = (n.op("Reshape", v, n.g.ints(-1, int(k))) for v, k in zip((n.x(0), n.dy), n.shape(1), strict=True))
    return n.op("Gemm", a, dy, transA=1)


def _transposed(n: Backward, i: int) -> Value:
    rank = len(n.shape(i))
    return n.op("Transpose", n.x(i), perm=[*range(rank - 2), rank - 1, rank - 2])


def _gemm(n: Backward) -> tuple[Value, ...]:
    """`Y = X W + b`, the only form we write: no transposition, `alpha` and `beta` 1."""
    dx = n.op("Gemm", n.dy, n.x(1), transB=1)
    dw = n.op("Gemm", n.x(0), n.dy, transA=1)
    return dx, dw, n.op("ReduceSum", n.dy, n.g.ints(0), keepdims=0)


RULES: dict[str, Rule] = {"MatMul": _matmul, "Gemm": _gemm}
