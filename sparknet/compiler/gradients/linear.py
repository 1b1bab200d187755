"""Gradients of matrix products."""

from __future__ import annotations

from math import prod

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Dim, Value

_MUCH_WIDER = 8
"""From this ratio of its sides on, the gradient of a weight is computed the other way round (measured)."""
_MANY = 4096
"""So many numbers in each row of a batch are not in the cache any more when the gradient comes back (measured)."""


def _matmul(n: Backward) -> tuple[Value, Value]:
    """`Y = A B`: `dA = dY B^T`, `dB = A^T dY`, for matrices and batches of them."""
    if len(n.shape(0)) > len(n.shape(1)) == 2:
        return n.op("MatMul", n.dy, _transposed(n, 1)), _of_all_rows(n)
    left = n.op("Transpose", _fetched(n, n.x(0), n.shape(0)[-1]), perm=_swap(len(n.shape(0))))
    return n.sum_to(n.op("MatMul", n.dy, _transposed(n, 1)), 0), n.sum_to(n.op("MatMul", left, n.dy), 1)


def _of_all_rows(n: Backward) -> Value:
    """`dB` where one matrix `B` meets a batch of matrices: a single product over the rows of them all."""
    a, dy = (n.op("Reshape", v, n.g.ints(-1, n.size(k))) for v, k in zip((n.x(0), n.dy), n.shape(1), strict=True))
    return _over_rows(n, a, dy, 1, 0)


def _transposed(n: Backward, i: int) -> Value:
    return n.op("Transpose", n.x(i), perm=_swap(len(n.shape(i))))


def _swap(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _fetched(n: Backward, left: Value, columns: Dim) -> Value:
    """`left`, which is to be transposed, copied first where it is large.

    ONNX Runtime transposes a few columns at a time, jumping from row to row: it waits for each number that is not in
    the cache. A copy goes through them in order.
    """
    before = n.g.producer(n.x(0))  # of a sequence, whose steps have been laid one below the other
    whole = before.inputs[0] if before is not None and before.op == "Reshape" else n.x(0)
    steps = _numbers(n, whole, 1) // _numbers(n, n.x(0), -1)
    large = isinstance(columns, int) and steps * columns >= _MANY
    return n.op("Concat", left, axis=0) if large else left


def _numbers(n: Backward, value: Value, first: int) -> int:
    """How many numbers lie along the axes from `first` on whose sizes are known."""
    return prod(size for size in n.g.shapes.get(value, ())[first:] if isinstance(size, int))


def _gemm(n: Backward) -> list[Value]:
    """`Y = alpha A B + beta C`, `A` and `B` perhaps transposed (`transA`, `transB`); `C` may be left out."""
    a, b, dy = n.x(0), n.x(1), n.dy
    turned_a, turned_b = n.attribute("transA", 0), n.attribute("transB", 0)
    da = _product(n, b, dy, turned_b, 1) if turned_a else _product(n, dy, b, 0, 1 - turned_b)
    db = _over_rows(n, dy, a, 1, turned_a) if turned_b else _over_rows(n, a, dy, 1 - turned_a, 0)
    gradients = [da, db]
    if len(n.node.inputs) > 2:
        beta = n.attribute("beta", 1.0)
        dc = n.sum_to(dy, 2)
        gradients.append(dc if beta == 1 else n.op("Mul", dc, n.constant(beta)))
    return gradients


def _over_rows(n: Backward, a: Value, b: Value, turned_a: int, turned_b: int) -> Value:
    """The gradient of the weight `B`, of its shape, as the product `A^T B` of many rows of two others.

    ONNX Runtime transposes the left matrix anew for every strip of columns of the right one, so a much wider one goes
    to the right, and the result is transposed. The `Reshape` keeps ONNX Runtime from turning the product back again.
    """
    sides = n.shape(1)
    left, right = (s if isinstance(s, int) else 1 for s in sides)
    if (turned_a, turned_b) != (1, 0) or left < _MUCH_WIDER * right:
        return _product(n, _fetched(n, a, left) if turned_a else a, b, turned_a, turned_b)
    turned = n.op("Reshape", _product(n, _fetched(n, b, right), a, 1, 0), n.g.ints(1, right, left))
    return n.op("Reshape", n.op("Transpose", turned, perm=[0, 2, 1]), n.g.ints(left, right))


def _product(n: Backward, a: Value, b: Value, turned_a: int, turned_b: int) -> Value:
    alpha = n.attribute("alpha", 1.0)
    options = {"transA": turned_a} if turned_a else {}
    options |= {"transB": turned_b} if turned_b else {}
    return n.op("Gemm", a, b, **options, **({} if alpha == 1 else {"alpha": alpha}))


RULES: dict[str, Rule] = {"MatMul": _matmul, "Gemm": _gemm}
