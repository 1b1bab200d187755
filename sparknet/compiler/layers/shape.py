"""Layers that rearrange numbers and compute none."""

from __future__ import annotations

from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ShapeError, Units
from sparknet.compiler.types import TensorType

_MAX_AXES = 8


class Flatten(Layer):
    """`flatten`: all axes joined into one."""

    name: ClassVar[str] = "flatten"

    def infer(self, x: TensorType) -> TensorType:
        """`[a, b, ...]` to `[a * b * ...]`."""
        return TensorType(x.dtype, (prod(x.shape),))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Reshape`; the 0 keeps the batch."""
        return low.graph.op("Reshape", x, low.graph.ints(0, t.size))


class Reshape(Layer):
    """`reshape(1, 28, 28)`: the same numbers in the same order, counted by other axes; one -1 stands for the rest."""

    name: ClassVar[str] = "reshape"
    gathers: ClassVar[str] = "shape"

    shape: Annotated[tuple[Units | Literal[-1], ...], Field(min_length=1, max_length=_MAX_AXES)]

    @field_validator("shape")
    @classmethod
    def _one_rest(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape.count(-1) > 1:
            raise ValueError("may have one -1, which stands for the rest")
        return shape

    def infer(self, x: TensorType) -> TensorType:
        """Any shape of `x.size` numbers to `shape`."""
        known = prod(size for size in self.shape if size > 0)
        shape = tuple(x.size // known if size < 0 else size for size in self.shape)
        if prod(shape) != x.size:
            asked = f"[{', '.join(map(str, self.shape))}] asks for {'a multiple of ' * (-1 in self.shape)}{known:,}"
            help = f"ask for sizes whose product is {x.size:,}, or make {known:,} numbers first, by `dense({known})`"
            raise ShapeError(f"`{x}` has {x.size:,} numbers, but {asked}", help if -1 not in self.shape else None)
        return TensorType(x.dtype, shape)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Reshape`; the 0 keeps the batch."""
        return low.graph.op("Reshape", x, low.graph.ints(0, *self.infer(t).shape))


class Transpose(Layer):
    """`transpose(1, 0)`: the axes in another order; axis `i` of the result is axis `axes[i]` of what arrives."""

    name: ClassVar[str] = "transpose"
    gathers: ClassVar[str] = "axes"

    axes: Annotated[tuple[Annotated[int, Field(ge=0, lt=_MAX_AXES)], ...], Field(min_length=1, max_length=_MAX_AXES)]

    @field_validator("axes")
    @classmethod
    def _permutation(cls, axes: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(axes) != list(range(len(axes))):
            raise ValueError(f"must name each axis from 0 to {len(axes) - 1} once")
        return axes

    def infer(self, x: TensorType) -> TensorType:
        """`[a, b, ...]` to those sizes in the order of `axes`; the batch is not counted and stays in front."""
        if len(self.axes) != len(x.shape):
            counted = ", ".join(map(str, range(len(x.shape))))
            raise ShapeError(
                f"`transpose` names {len(self.axes)} axes, but `{x}` has {len(x.shape)}",
                f"give an order of {counted}",
            )
        return TensorType(x.dtype, tuple(x.shape[a] for a in self.axes))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Transpose`; the batch is ONNX's axis 0."""
        return low.graph.op("Transpose", x, perm=[0, *(a + 1 for a in self.axes)])


LAYERS: tuple[type[Layer], ...] = (Flatten, Reshape, Transpose)
