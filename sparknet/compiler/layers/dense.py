"""Fully connected layers."""

from __future__ import annotations

from typing import ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.activation import Activation, activate, weight_initializer
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Units, Weighted
from sparknet.compiler.types import TensorType


class Dense(Weighted):
    """`dense(units, activation)`: `y = activation(x W + b)`, `x` a vector."""

    name: ClassVar[str] = "dense"

    units: Units
    activation: Activation | None = None
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """`[features]` to `[units]`."""
        if len(x.shape) != 1 or x.dtype != "float32":
            raise ShapeError(
                f"`dense` needs a vector `[features]`, but `{x}` arrives",
                "put `flatten` before it to join all axes, or `globalavgpool` to average an image",
            )
        return TensorType("float32", (self.units,))

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [features, units], `bias` [units]."""
        features = x.shape[0]
        kind = weight_initializer(self.activation)
        weight = ParameterSpec("weight", (features, self.units), kind, features, self.units)
        bias = ParameterSpec("bias", (self.units,), "zeros", features, self.units)
        return (weight, bias) if self.bias else (weight,)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """`Gemm`, or `MatMul` without a bias."""
        g = low.graph
        if self.bias:
            y = g.op("Gemm", x, low.parameters["weight"], low.parameters["bias"])
        else:
            y = g.op("MatMul", x, low.parameters["weight"])
        return activate(g, self.activation, y)


LAYERS: tuple[type[Layer], ...] = (Dense,)
