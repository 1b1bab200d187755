"""Pooling layers."""

from __future__ import annotations

from typing import ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ShapeError, Window, image_type
from sparknet.compiler.types import TensorType


class _Pool(Layer):
    window: Window
    stride: Window | None = None

    @property
    def strides(self) -> tuple[int, int]:
        """Steps between windows; windows touch without overlapping unless `stride` says otherwise."""
        return self.stride or self.window

    def infer(self, x: TensorType) -> TensorType:
        """`[channels, height, width]` to as many whole windows as fit."""
        channels, *sides = image_type(self.name, x)
        for window, side in zip(self.window, sides, strict=True):
            if window > side:
                size = "x".join(map(str, self.window))
                raise ShapeError(
                    f"a window of {size} does not fit into an image of {sides[0]}x{sides[1]}",
                    "use a smaller window, or fewer pooling layers before this one",
                )
        fit = ((s - w) // k + 1 for s, w, k in zip(sides, self.window, self.strides, strict=True))
        return TensorType("float32", (channels, *fit))


class MaxPool(_Pool):
    """`maxpool(2)`: the largest number of each window."""

    name: ClassVar[str] = "maxpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `MaxPool`."""
        return low.graph.op("MaxPool", x, kernel_shape=self.window, strides=self.strides)


class AvgPool(_Pool):
    """`avgpool(2)`: the mean of each window."""

    name: ClassVar[str] = "avgpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `AveragePool`."""
        return low.graph.op("AveragePool", x, kernel_shape=self.window, strides=self.strides)


class _GlobalPool(Layer):
    def infer(self, x: TensorType) -> TensorType:
        """`[channels, height, width]` to `[channels]`."""
        return TensorType("float32", (image_type(self.name, x)[0],))


class GlobalMaxPool(_GlobalPool):
    """`globalmaxpool`: the largest number of each channel."""

    name: ClassVar[str] = "globalmaxpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """`ReduceMax` over height and width."""
        return low.graph.op("ReduceMax", x, low.graph.ints(2, 3), keepdims=0)


class GlobalAvgPool(_GlobalPool):
    """`globalavgpool`: the mean of each channel."""

    name: ClassVar[str] = "globalavgpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """`ReduceMean` over height and width."""
        return low.graph.op("ReduceMean", x, low.graph.ints(2, 3), keepdims=0)


LAYERS: tuple[type[Layer], ...] = (MaxPool, AvgPool, GlobalMaxPool, GlobalAvgPool)
