"""Layers that rearrange numbers and compute none."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering
from sparknet.compiler.types import TensorType


class Flatten(Layer):
    """`flatten`: all axes joined into one."""

    name: ClassVar[str] = "flatten"

    def infer(self, x: TensorType) -> TensorType:
        """`[a, b, ...]` to `[a * b * ...]`."""
        return TensorType(x.dtype, (prod(x.shape),))

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Reshape`; the 0 keeps the batch."""
        return low.graph.op("Reshape", x, low.graph.ints(0, t.size))


LAYERS: tuple[type[Layer], ...] = (Flatten,)
