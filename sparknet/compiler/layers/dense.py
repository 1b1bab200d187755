"""Fully connected layers."""

from __future__ import annotations

from typing import ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.activation import Activation, activate, weight_initializer
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Units, Weighted
from sparknet.compiler.types import TensorType


class Dense(Weighted):
    """`dense(units, activation)`: `y = activation(x W + b)`, `x` a vector or each step of a sequence."""

    name: ClassVar[str] = "dense"
    takes_variable: ClassVar[bool] = True

    units: Units
    activation: Activation | None = None
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """`[features]` to `[units]`, `[time, features]` to `[time, units]`."""
        if len(x.shape) not in (1, 2):
            raise ShapeError(
                f"`dense` needs a vector `[features]` or a sequence `[time, features]`, but `{x}` arrives",
                "put `flatten` before it to join all axes, or `globalavgpool` to average an image",
            )
        return TensorType("float32", (*x.shape[:-1], self.units), lengths=x.lengths)

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [features, units], `bias` [units]."""
        features = x.shape[-1]
        kind = weight_initializer(self.activation)
        weight = ParameterSpec("weight", (features, self.units), kind, features, self.units)
        bias = ParameterSpec("bias", (self.units,), "zeros", features, self.units)
        return (weight, bias) if self.bias else (weight,)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """`Gemm`; on a sequence `MatMul` and `Add`."""
        g, biases = low.graph, [low.parameters["bias"]] if self.bias else []
        if len(t.shape) == 1:
            y = g.op("Gemm", x, low.parameters["weight"], *biases)
        else:
            y = g.op("MatMul", x, low.parameters["weight"])
            y = g.op("Add", y, *biases) if biases else y
        return activate(g, self.activation, y, t)


LAYERS: tuple[type[Layer], ...] = (Dense,)
