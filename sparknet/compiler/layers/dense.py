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
        """`Gemm`, the steps of a sequence laid one below the other: it adds the bias, where `MatMul` cannot."""
        g, biases = low.graph, [low.parameters["bias"]] if self.bias else []
        rows = x if len(t.shape) == 1 else g.op("Reshape", x, g.ints(-1, t.shape[-1]))
        y = activate(g, self.activation, g.op("Gemm", rows, low.parameters["weight"], *biases))
        return y if len(t.shape) == 1 else g.op("Reshape", y, g.ints(-1, t.shape[0], self.units))


LAYERS: tuple[type[Layer], ...] = (Dense,)
