"""Layers that join several values into one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Annotated, ClassVar

from pydantic import Field

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Join, Lowering, ShapeError
from sparknet.compiler.types import TensorType

_OF_ONE_INPUT = "join sequences of one input, which have one length; of others make vectors first, by `mean` or `last`"


class _Elementwise(Join):
    operator: ClassVar[str]

    def infer(self, xs: Sequence[TensorType]) -> TensorType:
        """All inputs have one type, and so has the result."""
        for x in xs:
            if x != xs[0]:
                values = " and ".join(f"`{x}`" for x in xs)
                if x.shape == xs[0].shape:
                    raise ShapeError(f"`{self.name}` cannot join {values}, of different lengths", _OF_ONE_INPUT)
                raise ShapeError(
                    f"`{self.name}` needs values of one shape, but gets {values}",
                    "bring them to one shape first, for example by a `1x1` convolution or `dense`",
                )
        return xs[0]

    def lower(self, low: Lowering, xs: Sequence[Value], ts: Sequence[TensorType]) -> Value:
        """One operator for each value after the first."""
        return reduce(lambda a, b: low.graph.op(self.operator, a, b), xs)


class Add(_Elementwise):
    """`add(a, b)`: the sum, number by number."""

    name: ClassVar[str] = "add"
    operator: ClassVar[str] = "Add"


class Multiply(_Elementwise):
    """`multiply(a, b)`: the product, number by number."""

    name: ClassVar[str] = "multiply"
    operator: ClassVar[str] = "Mul"


class Concat(Join):
    """`concat(a, b, axis: 0)`: the values one behind the other along an axis, the batch not counted."""

    name: ClassVar[str] = "concat"

    axis: Annotated[int, Field(ge=0, le=7)] = 0

    def infer(self, xs: Sequence[TensorType]) -> TensorType:
        """Shapes may differ along `axis` only."""
        first = xs[0]
        if self.axis >= len(first.shape):
            raise ShapeError(
                f"there is no axis {self.axis} in `{first}`", f"axes count from 0 to {len(first.shape) - 1}"
            )
        if any(x.dtype != first.dtype or self._others(x) != self._others(first) for x in xs):
            raise ShapeError(
                f"`concat` needs shapes that differ along axis {self.axis} only, "
                f"but gets {' and '.join(f'`{x}`' for x in xs)}",
                "bring the sides to one size first, by pooling, `upsample`, `crop` or `pad`"
                if all(len(x.shape) == 3 for x in xs) and self.axis == 0
                else "bring them to one shape first, for example by `flatten` or `dense`",
            )
        if any(x.lengths != first.lengths for x in xs) or (first.lengths is not None and self.axis == 0):
            one_input = all(x.lengths == first.lengths for x in xs)
            raise ShapeError(
                f"`concat` cannot join {' and '.join(f'`{x}`' for x in xs)}"
                + (" along time" if one_input else ", of different lengths"),
                "join their features: `concat(a, b, axis: 1)`" if one_input else _OF_ONE_INPUT,
            )
        shape = list(first.shape)
        shape[self.axis] = sum(x.shape[self.axis] for x in xs)
        return TensorType(first.dtype, tuple(shape), lengths=first.lengths)

    def lower(self, low: Lowering, xs: Sequence[Value], ts: Sequence[TensorType]) -> Value:
        """One `Concat`; the batch is ONNX's axis 0."""
        return low.graph.op("Concat", *xs, axis=self.axis + 1)

    def _others(self, x: TensorType) -> tuple[int, tuple[int, ...]]:
        return len(x.shape), x.shape[: self.axis] + x.shape[self.axis + 1 :]


JOINS: tuple[type[Join], ...] = (Add, Multiply, Concat)
