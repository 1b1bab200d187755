"""Convolutional layers."""

from __future__ import annotations

from typing import ClassVar, Literal

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.activation import Activation, activate, weight_initializer
from sparknet.compiler.layers.base import (
    Layer,
    Lowering,
    ParameterSpec,
    ShapeError,
    Units,
    Weighted,
    Window,
    image_type,
)
from sparknet.compiler.types import TensorType

Padding = Literal["same", "valid"]


class Conv(Weighted):
    """`conv(filters, 3x3, relu, stride: 2, pad: same)` on images `[channels, height, width]`."""

    name: ClassVar[str] = "conv"

    filters: Units
    kernel: Window
    activation: Activation | None = None
    stride: Window = (1, 1)
    pad: Padding = "same"
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """`[channels, height, width]` to `[filters, height', width']`."""
        _, *sides = image_type(self.name, x)
        return TensorType("float32", (self.filters, *(self._side(axis, side) for axis, side in enumerate(sides))))

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [filters, channels, kernel height, kernel width], `bias` [filters]."""
        window = self.kernel[0] * self.kernel[1]
        fans = x.shape[0] * window, self.filters * window
        kind = weight_initializer(self.activation)
        weight = ParameterSpec("weight", (self.filters, x.shape[0], *self.kernel), kind, *fans)
        bias = ParameterSpec("bias", (self.filters,), "zeros", *fans)
        return (weight, bias) if self.bias else (weight,)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Conv` with the padding written out, so that every runtime pads alike."""
        pads = [self._pads(axis, side) for axis, side in enumerate(t.shape[1:])]
        y = low.graph.op(
            "Conv",
            x,
            low.parameters["weight"],
            *([low.parameters["bias"]] if self.bias else []),
            kernel_shape=self.kernel,
            strides=self.stride,
            pads=[before for before, _ in pads] + [after for _, after in pads],
        )
        return activate(low.graph, self.activation, y)

    def _side(self, axis: int, side: int) -> int:
        if self.pad == "same":
            return -(-side // self.stride[axis])
        if self.kernel[axis] > side:
            kernel = "x".join(map(str, self.kernel))
            raise ShapeError(
                f"a {kernel} kernel does not fit into a side of {side} without padding",
                "use a smaller kernel, or `pad: same`",
            )
        return (side - self.kernel[axis]) // self.stride[axis] + 1

    def _pads(self, axis: int, side: int) -> tuple[int, int]:
        """Zeros before and after; an odd one goes after, as ONNX's SAME_UPPER has it."""
        if self.pad == "valid":
            return 0, 0
        total = max((self._side(axis, side) - 1) * self.stride[axis] + self.kernel[axis] - side, 0)
        return total // 2, total - total // 2


LAYERS: tuple[type[Layer], ...] = (Conv,)
