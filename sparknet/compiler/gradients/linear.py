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


def _gemm(n: Backward) -> list[Value]:
    """`Y = X W + c`, or `X W^T + c` (`transB`), `alpha` and `beta` 1; `c` is a row, a matrix, or left out."""
    if n.attribute("transB", 0):
        gradients = [n.op("Gemm", n.dy, n.x(1)), n.op("Gemm", n.dy, n.x(0), transA=1)]
    else:
        gradients = [n.op("Gemm", n.dy, n.x(1), transB=1), n.op("Gemm", n.x(0), n.dy, transA=1)]
    if len(n.node.inputs) > 2:
        matrix = len(n.shape(2)) == 2
        gradients.append(n.dy if matrix else n.op("ReduceSum", n.dy, n.g.ints(0), keepdims=0))
    return gradients


RULES: dict[str, Rule] = {"MatMul": _matmul, "Gemm": _gemm}
