"""Dropout."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering
from sparknet.compiler.random import keep_mask
from sparknet.compiler.types import TensorType


class Dropout(Layer):
    """`dropout(rate)`: in training, zero each number with probability `rate` and scale the rest by `1 / (1 - rate)`.

    Srivastava et al., 2014, in the inverted form: inference leaves everything as it is.
    """

    name: ClassVar[str] = "dropout"
    takes_variable: ClassVar[bool] = True

    rate: Annotated[float, Field(ge=0, lt=1)]

    def infer(self, x: TensorType) -> TensorType:
        """Same type."""
        return x

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """A product with a mask drawn from the step's seed; nothing outside training."""
        if low.seed is None or self.rate == 0:
            return low.graph.op("Identity", x)  # so that in all graphs alike a softmax before is not the net's last
        return low.graph.op("Mul", x, keep_mask(low.graph, x, low.seed, low.salt, self.rate))


LAYERS: tuple[type[Layer], ...] = (Dropout,)
