"""Pooling layers, on images `[channels, height, width]` and signals `[channels, length]`."""

from __future__ import annotations

from typing import Any, ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ShapeError
from sparknet.compiler.layers.windows import Padding, Sizes, Sliding, sides_of, spread, written
from sparknet.compiler.types import TensorType


class _Pool(Layer):
    window: Sizes
    stride: Sizes | None = None
    pad: Padding = "valid"

    def infer(self, x: TensorType) -> TensorType:
        """`[channels, height, width]` to as many whole windows as fit, or with `same` padding one for each step."""
        sides = sides_of(self.name, x)
        sliding = self._sliding(sides)
        if not sliding.fits:
            what = f"an image of {written(sides)}" if len(sides) == 2 else f"a signal of {sides[0]}"
            raise ShapeError(
                f"a window of {written(sliding.kernel)} does not fit into {what}",
                "use a smaller window, or fewer pooling layers before this one",
            )
        return TensorType("float32", (x.shape[0], *sliding.places))

    def _lower(self, low: Lowering, op: str, x: Value, t: TensorType) -> Value:
        sliding = self._sliding(t.shape[1:])
        pads: dict[str, Any] = {"pads": sliding.pads} if any(sliding.pads) else {}
        return low.graph.op(op, x, kernel_shape=sliding.kernel, strides=sliding.stride, **pads)

    def _sliding(self, sides: tuple[int, ...]) -> Sliding:
        """Windows touch without overlapping unless `stride` says otherwise."""
        window = spread("window", self.window, sides)
        stride = spread("stride", self.stride, sides) if self.stride else window
        return Sliding(sides, window, stride, (1,) * len(sides), self.pad)


class MaxPool(_Pool):
    """`maxpool(2)`: the largest number of each window."""

    name: ClassVar[str] = "maxpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `MaxPool`; padding holds no number.

        In training a `Relu` in front moves behind: the largest number is chosen alike, and the rectifier and its
        gradient have the pooled numbers to do instead of all. In inference it stays, fused with its convolution.
        """
        before = low.graph.producer(x)
        if not low.training or before is None or before.op != "Relu":
            return self._lower(low, "MaxPool", x, t)
        return low.graph.op("Relu", self._lower(low, "MaxPool", before.inputs[0], t))


class AvgPool(_Pool):
    """`avgpool(2)`: the mean of each window, of what the padding leaves of it."""

    name: ClassVar[str] = "avgpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `AveragePool`; padding does not count."""
        return self._lower(low, "AveragePool", x, t)


class _GlobalPool(Layer):
    def infer(self, x: TensorType) -> TensorType:
        """`[channels, height, width]` or `[channels, length]` to `[channels]`."""
        sides_of(self.name, x)
        return TensorType("float32", x.shape[:1])


class GlobalMaxPool(_GlobalPool):
    """`globalmaxpool`: the largest number of each channel."""

    name: ClassVar[str] = "globalmaxpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """`ReduceMax` over the sides."""
        return low.graph.op("ReduceMax", x, low.graph.ints(*range(2, len(t.shape) + 1)), keepdims=0)


class GlobalAvgPool(_GlobalPool):
    """`globalavgpool`: the mean of each channel."""

    name: ClassVar[str] = "globalavgpool"

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """`ReduceMean` over the sides."""
        return low.graph.op("ReduceMean", x, low.graph.ints(*range(2, len(t.shape) + 1)), keepdims=0)


LAYERS: tuple[type[Layer], ...] = (MaxPool, AvgPool, GlobalMaxPool, GlobalAvgPool)
