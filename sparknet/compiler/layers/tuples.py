"""The layer tuples of the document: `(size, kernel height, kernel width, filters, "ACTIVATION")`."""

from __future__ import annotations

from typing import ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.activation import Activation
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Side, Units
from sparknet.compiler.layers.convolution import Conv
from sparknet.compiler.layers.dense import Dense
from sparknet.compiler.layers.pooling import GlobalAvgPool
from sparknet.compiler.types import TensorType


class TupleSizeError(ShapeError):
    """The first number of a tuple differs from the size that arrives."""


class LayerTuple(Layer):
    """A layer tuple; which layers it stands for depends on what arrives.

    On an image a tuple is a convolution with `same` padding, except that a 1 x 1 tuple ending in SOFTMAX is the
    document's classifier: global average pooling, then a fully connected layer. On a vector it is a fully connected
    layer. `size` asserts the side of the image, or for a 1 x 1 tuple the number of channels or features.
    """

    name: ClassVar[str] = "tuple"

    size: Side
    kernel_height: Side
    kernel_width: Side
    filters: Units
    activation: Activation

    @property
    def pointwise(self) -> bool:
        """Whether the kernel covers one place only."""
        return self.kernel_height == self.kernel_width == 1

    @property
    def label(self) -> str:
        """`dense` for what can only be a fully connected layer, else `conv`."""
        return "dense" if self.pointwise else "conv"

    def infer(self, x: TensorType) -> TensorType:
        """The type after the last of the layers that the tuple stands for."""
        self._check_size(x)
        for layer in self._layers(x):
            x = layer.infer(x)
        return x

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """Those of the one layer that has any."""
        *before, last = self._layers(x)
        for layer in before:
            x = layer.infer(x)
        return last.parameters(x)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """The layers in turn."""
        for layer in self._layers(t):
            x, t = layer.lower(low, x, t), layer.infer(t)
        return x

    def _layers(self, x: TensorType) -> tuple[Layer, ...]:
        dense = Dense(units=self.filters, activation=self.activation)
        if len(x.shape) == 1:
            return (dense,)
        if self.pointwise and self.activation == "softmax":
            return GlobalAvgPool(), dense
        kernel = (self.kernel_height, self.kernel_width)
        return (Conv(filters=self.filters, kernel=kernel, activation=self.activation),)

    def _check_size(self, x: TensorType) -> None:
        if len(x.shape) == 1 and not self.pointwise:
            raise ShapeError(
                f"a {self.kernel_height}x{self.kernel_width} tuple needs an image, but `{x}` arrives",
                f"on a vector write `({x.shape[0]}, 1, 1, {self.filters}, ...)`",
            )
        if len(x.shape) not in (1, 3):
            raise ShapeError(f"a tuple needs an image or a vector, but `{x}` arrives")
        arriving = x.shape[0] if self.pointwise else x.shape[1]
        if self.size in ((arriving,) if self.pointwise else x.shape[1:]):
            return
        what = ("channels" if len(x.shape) == 3 else "features") if self.pointwise else "a side"
        raise TupleSizeError(
            f"the tuple says {what} of {self.size}, but `{x}` arrives"
            if not self.pointwise
            else f"the tuple says {self.size} {what}, but `{x}` arrives",
            f"the first number is the size that arrives: write `{arriving}`",
        )
