"""What a gradient rule sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any, TypeAlias

from sparknet.compiler.graph import BATCH, Dim, GraphBuilder, Node, Value


class UnknownFormError(Exception):
    """A rule knows its operator, but not in this form; the text says what it does not know."""


@dataclass(frozen=True)
class Backward:
    """One node on the way back: `dys` are the gradients of the loss with respect to each of its outputs.

    An output that does not reach the loss has None; a node whose outputs all have None is never visited. `wanted` are
    the values whose gradients are asked for, and those on the way to them: a rule may leave out others.
    """

    g: GraphBuilder
    node: Node
    dys: tuple[Value | None, ...]
    wanted: Set[Value] = frozenset()

    @property
    def dy(self) -> Value:
        """The gradient with respect to the first output, of a node that has only one to differentiate."""
        dy = self.dys[0]
        if dy is None:
            raise AssertionError(f"the rule for `{self.node.op}` forgets that its first output may go unused")
        return dy

    def dy_or_zeros(self, k: int) -> Value:
        """The gradient with respect to the k-th output, zeros where it does not reach the loss."""
        return self.dys[k] or self.op("Expand", self.constant(0.0), self.op("Shape", self.node.outputs[k]))

    @property
    def y(self) -> Value:
        """The node's first output."""
        return self.node.output

    def x(self, i: int = 0) -> Value:
        """The node's i-th input."""
        return self.node.inputs[i]

    def shape(self, i: int = 0) -> tuple[Dim, ...]:
        """Shape of the i-th input."""
        return self.g.shape(self.x(i))

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of the node, or `default` where it was not written."""
        return self.node.attributes.get(name, default)

    def op(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        """Append an operator to the backward graph."""
        return self.g.op(op, *inputs, **attributes)

    def constant(self, value: float) -> Value:
        """A scalar of the computing type."""
        return self.g.constant(value)

    def mask(self, comparison: str, a: Value, b: Value) -> Value:
        """1 where the comparison holds, 0 elsewhere.

        A product with it takes a quarter of the time of `Where`, which ONNX Runtime computes in three passes.
        """
        return self.op("Cast", self.op(comparison, a, b), to=self.g.onnx_type(self.g.dtype))

    def axes(self, i: int = 1) -> tuple[int, ...]:
        """The constant axes (or other int64 vector) given as the i-th input; raises UnknownFormError."""
        if self.x(i) not in self.g.initializers:
            raise UnknownFormError(f"what it reads as input {i} is computed, not constant")
        return tuple(int(a) for a in self.g.initializers[self.x(i)].reshape(-1))

    def size(self, dim: Dim) -> int:
        """A size that must be known before the batch is; raises UnknownFormError."""
        if isinstance(dim, str):
            raise UnknownFormError("a size that it works along depends on the batch")
        return dim

    def sizes(self, dims: Sequence[Dim]) -> list[int]:
        """`size` of each."""
        return [self.size(d) for d in dims]

    def sum_to(self, gradient: Value, i: int) -> Value:
        """Sum a gradient of the output's shape over the axes along which input i was broadcast."""
        target, full = self.shape(i), self.g.shape(self.y)
        lead = len(full) - len(target)
        stretched = [lead + k for k, (t, f) in enumerate(zip(target, full[lead:], strict=True)) if t == 1 != f]
        if stretched == [0] and len(full) == 2:
            return self.op("Reshape", self.sum_of_rows(gradient, full[0]), self.g.ints(1, -1))
        if stretched:
            gradient = self.op("ReduceSum", gradient, self.g.ints(*stretched), keepdims=1)
        if lead == len(target) == 1 and not stretched:
            return self.sum_of_rows(gradient, full[0])
        if lead:
            gradient = self.op("ReduceSum", gradient, self.g.ints(*range(lead)), keepdims=0)
        return gradient

    def sum_of_rows(self, matrix: Value, rows: Dim) -> Value:
        """The sum of the rows of a matrix, as a product with ones: ONNX Runtime sums them half as fast, or slower.

        Where each row of the batch is one, all ones are made of the same input, and ONNX Runtime makes them once.
        """
        batches = (name for name, (_, shape) in self.g.inputs.items() if shape[:1] == (rows,) == (BATCH,))
        count = self.op("Shape", next(batches, matrix), start=0, end=1)
        return self.op("MatMul", self.op("Expand", self.constant(1.0), count), matrix)

    def sum_of_channels(self, value: Value) -> Value:
        """Sums of a value of the output's shape [N, channels, *sides], over batch and sides, one after the other.

        ONNX Runtime goes through rows that lie apart up to five times as slowly.
        """
        if len(self.g.shape(self.y)) > 2:
            rows = self.op("Reshape", value, self.g.ints(0, 0, -1))
            value = self.op("ReduceSum", rows, self.g.ints(2), keepdims=0)
        return self.op("ReduceSum", value, self.g.ints(0), keepdims=0)

    def rows_times(self, value: Value, factor: Value, mean: Value | None = None, plus: Value | None = None) -> Value:
        """`factor * (value - mean) + plus` of [1, rows, features], all others [rows].

        Rows are the channels of a `BatchNormalization` out of training, which multiplies and adds in one pass; a
        product that broadcasts takes twice as long.
        """
        ones, zeros = (self.op("Expand", self.constant(c), self.op("Shape", factor)) for c in (1.0, 0.0))
        return self.op("BatchNormalization", value, factor, plus or zeros, mean or zeros, ones, epsilon=0.0)

    def reshape_like(self, gradient: Value, i: int = 0) -> Value:
        """Give `gradient` the shape of input i."""
        shape = self.shape(i)
        if sum(isinstance(d, str) for d in shape) > 1:
            return self.op("Reshape", gradient, self.op("Shape", self.x(i)))
        return self.op("Reshape", gradient, self.g.ints(*(-1 if isinstance(d, str) else d for d in shape)))


Rule: TypeAlias = Callable[[Backward], Sequence[Value | None]]
"""Gives the gradient for each value that the node reads, None where there is none (an index, a shape)."""
