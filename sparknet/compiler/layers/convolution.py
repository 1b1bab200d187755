"""Convolutional layers, on images `[channels, height, width]` and signals `[channels, length]`."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any, ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.activation import Activation, activate, weight_initializer
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Units, Weighted
from sparknet.compiler.layers.windows import Padding, Sizes, Sliding, sides_of, spread, written
from sparknet.compiler.types import TensorType


class Conv(Weighted):
    """`conv(filters, 3x3, relu, stride: 2, pad: same, dilation: 2, groups: 4)`.

    With `groups`, the channels and the filters are split into as many, and each filter sees the channels of its own.
    """

    name: ClassVar[str] = "conv"

    filters: Units
    kernel: Sizes
    activation: Activation | None = None
    stride: Sizes = (1,)
    pad: Padding = "same"
    dilation: Sizes = (1,)
    groups: Units = 1
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """`[channels, height, width]` to `[filters, height', width']`, or `[channels, length]` likewise."""
        sliding = self._sliding(sides_of(self.name, x))
        if not sliding.fits:
            side = next(s for s, e in zip(sliding.sides, sliding.extent, strict=True) if e > s)
            spaced = f", {written(sliding.extent)} with its gaps," if sliding.extent != sliding.kernel else ""
            raise ShapeError(
                f"a {written(sliding.kernel)} kernel{spaced} does not fit into a side of {side} without padding",
                "use a smaller kernel, or `pad: same`",
            )
        _check_groups(x.shape[0], self.filters, self.groups)
        return TensorType("float32", (self.filters, *sliding.places))

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [filters, channels of a group, *kernel], `bias` [filters]."""
        kernel = self._sliding(x.shape[1:]).kernel
        channels = x.shape[0] // self.groups
        fans = channels * prod(kernel), self.filters // self.groups * prod(kernel)
        weight = ParameterSpec("weight", (self.filters, channels, *kernel), weight_initializer(self.activation), *fans)
        bias = ParameterSpec("bias", (self.filters,), "zeros", *fans)
        return (weight, bias) if self.bias else (weight,)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Conv` with the padding written out, so that every runtime pads alike."""
        sliding = self._sliding(t.shape[1:])
        y = low.graph.op(
            "Conv",
            x,
            low.parameters["weight"],
            *([low.parameters["bias"]] if self.bias else []),
            kernel_shape=sliding.kernel,
            strides=sliding.stride,
            pads=sliding.pads,
            **_dilated_in_groups(sliding.dilation, self.groups),
        )
        return activate(low.graph, self.activation, y)

    def _sliding(self, sides: tuple[int, ...]) -> Sliding:
        return Sliding(
            sides,
            spread("kernel", self.kernel, sides),
            spread("stride", self.stride, sides),
            spread("dilation", self.dilation, sides),
            self.pad,
        )


class Depthwise(Weighted):
    """`depthwise(3x3, multiplier: 1)`: a convolution of each channel alone, by `multiplier` filters."""

    name: ClassVar[str] = "depthwise"

    kernel: Sizes
    activation: Activation | None = None
    multiplier: Units = 1
    stride: Sizes = (1,)
    pad: Padding = "same"
    dilation: Sizes = (1,)
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """`[channels, ...]` to `[channels * multiplier, ...]`, the results of a channel side by side."""
        sides_of(self.name, x)
        return self._conv(x).infer(x)

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [channels * multiplier, 1, *kernel], `bias` [channels * multiplier]."""
        return self._conv(x).parameters(x)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Conv` with a group for each channel."""
        return self._conv(t).lower(low, x, t)

    def _conv(self, x: TensorType) -> Conv:
        channels = x.shape[0]
        return Conv(
            filters=channels * self.multiplier,
            kernel=self.kernel,
            activation=self.activation,
            stride=self.stride,
            pad=self.pad,
            dilation=self.dilation,
            groups=channels,
            bias=self.bias,
        )


class Deconv(Weighted):
    """`deconv(filters, 3x3, relu, stride: 2, pad: same, dilation: 2, groups: 4)`: enlarges by its stride.

    A transposed convolution.

    With `same` each side becomes `stride` times as long; with `valid` the kernels are laid side by side in full.
    """

    name: ClassVar[str] = "deconv"

    filters: Units
    kernel: Sizes
    activation: Activation | None = None
    stride: Sizes = (1,)
    pad: Padding = "same"
    dilation: Sizes = (1,)
    groups: Units = 1
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        """`[channels, height, width]` to `[filters, height * stride, width * stride]` with `same` padding."""
        sides = sides_of(self.name, x)
        _check_groups(x.shape[0], self.filters, self.groups)
        return TensorType("float32", (self.filters, *self._results(sides).sides))

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [channels, filters of a group, *kernel], `bias` [filters]."""
        kernel = self._results(x.shape[1:]).kernel
        filters = self.filters // self.groups
        fans = x.shape[0] // self.groups * prod(kernel), filters * prod(kernel)
        kind = weight_initializer(self.activation)
        weight = ParameterSpec("weight", (x.shape[0], filters, *kernel), kind, *fans)
        bias = ParameterSpec("bias", (self.filters,), "zeros", *fans)
        return (weight, bias) if self.bias else (weight,)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `ConvTranspose`: the way back of the convolution that takes the result to the places of `x`."""
        back = self._results(t.shape[1:])
        # where the stride reaches beyond the kernel, rows at the far edge are met by no kernel
        reach = ((o - 1) * s + e for o, s, e in zip(t.shape[1:], back.stride, back.extent, strict=True))
        pads = zip(back.pads[: len(back.sides)], back.pads[len(back.sides) :], strict=True)
        extra = [side - (r - a - b) for side, r, (a, b) in zip(back.sides, reach, pads, strict=True)]
        options: dict[str, Any] = {"output_padding": extra} if any(extra) else {}
        y = low.graph.op(
            "ConvTranspose",
            x,
            low.parameters["weight"],
            *([low.parameters["bias"]] if self.bias else []),
            kernel_shape=back.kernel,
            strides=back.stride,
            pads=back.pads,
            **options,
            **_dilated_in_groups(back.dilation, self.groups),
        )
        return activate(low.graph, self.activation, y)

    def _results(self, sides: tuple[int, ...]) -> Sliding:
        """The convolution that this one goes back, over the sides of the result."""
        kernel, stride = spread("kernel", self.kernel, sides), spread("stride", self.stride, sides)
        window = Sliding(sides, kernel, stride, spread("dilation", self.dilation, sides), self.pad)
        if self.pad == "same":
            results = tuple(side * step for side, step in zip(sides, stride, strict=True))
        else:
            results = tuple((side - 1) * s + e for side, s, e in zip(sides, stride, window.extent, strict=True))
        return replace(window, sides=results)


def _check_groups(channels: int, filters: int, groups: int) -> None:
    for what, count in (("channels", channels), ("filters", filters)):
        if count % groups:
            raise ShapeError(f"{count} {what} do not split into {groups} equal groups")


def _dilated_in_groups(dilation: tuple[int, ...], groups: int) -> dict[str, Any]:
    """The attributes of both, where they are not 1."""
    return ({"group": groups} if groups > 1 else {}) | ({"dilations": dilation} if max(dilation) > 1 else {})


LAYERS: tuple[type[Layer], ...] = (Conv, Depthwise, Deconv)
