"""Gradients of convolutions and transposed convolutions, of images and signals, in groups and with gaps."""

from __future__ import annotations

from itertools import product
from math import prod

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value
from sparknet.compiler.sliding import Geometry, batch_last, cut

MANY_CHANNELS = 8
"""From here on a product of channels alone is wide enough to be fast."""


def _conv(n: Backward) -> list[Value | None]:
    return [_input_gradient(n), _weight_gradient(n, Geometry.of(n.node), n.x(), n.dy), *_bias_gradient(n)]


def _conv_transpose(n: Backward) -> list[Value | None]:
    """A transposed convolution is the input gradient of a convolution, so its own is that convolution.

    Its weight gradient is that of the convolution, with the parts of input and output exchanged.
    """
    geometry = Geometry.of(n.node)
    dx = n.op("Conv", n.dy, n.x(1), **geometry.attributes)
    return [dx, _weight_gradient(n, geometry, n.dy, n.x()), *_bias_gradient(n)]


def _bias_gradient(n: Backward) -> list[Value]:
    if len(n.node.inputs) < 3:
        return []
    return [n.sum_of_channels(n.dy)]


def _input_gradient(n: Backward) -> Value:
    """The transposed convolution (Dumoulin & Visin, 2016, relationship 14).

    Where the stride does not divide evenly, rows at the far edge met no kernel: `output_padding` brings them back.
    """
    s = Geometry.of(n.node)
    sides, outs, count = n.sizes(n.shape()[2:]), n.sizes(n.g.shape(n.y)[2:]), len(s.kernel)
    extra = [
        side - ((outs[a] - 1) * s.strides[a] + (s.kernel[a] - 1) * s.dilations[a] + 1)
        + s.pads[a] + s.pads[a + count]
        for a, side in enumerate(sides)
    ]  # fmt: skip
    return n.op("ConvTranspose", n.dy, n.x(1), **s.attributes, output_padding=extra)


def _weight_gradient(n: Backward, s: Geometry, x: Value, dy: Value) -> Value:
    """`dW[f, c, i] = sum over batch and places of dy[f, place] * x[c, place * stride + i * dilation]`, in each group.

    `x` is the larger side of the convolution, `dy` the smaller.
    """
    smaller = n.shape() if dy == n.x() else n.g.shape(n.y)
    outs = n.sizes(smaller[2:])
    if s.group == 1 and n.sizes(n.shape(1)[1:2])[0] >= MANY_CHANNELS:
        return _by_positions(n, s, x, dy, outs)
    return _by_rows(n, s, x, dy, outs)


def _by_positions(n: Backward, s: Geometry, x: Value, dy: Value, outs: list[int]) -> Value:
    """A product over batch and places for each kernel position, of rows that are channels.

    With the batch behind the sides, no two positions' cuts are ever laid side by side.
    """
    filters, channels = n.sizes(n.shape(1)[:2])
    count = len(s.kernel)
    rows = n.op("Reshape", batch_last(n.g, dy, [0] * 2 * count), n.g.ints(filters, -1))
    turned = batch_last(n.g, x, s.pads)
    found = []
    for at in product(*map(range, s.kernel)):
        met = n.op("Reshape", _met(n, turned, at, outs, s, first=1), n.g.ints(channels, -1))
        found.append(n.op("Gemm", rows, met, transB=1))
    if len(found) == 1:
        return n.op("Reshape", found[0], n.g.ints(filters, channels, *s.kernel))
    each = n.op("Reshape", n.op("Concat", *found, axis=0), n.g.ints(*s.kernel, filters, channels))
    return n.op("Transpose", each, perm=[count, count + 1, *range(count)])


def _by_rows(n: Backward, s: Geometry, x: Value, dy: Value, outs: list[int]) -> Value:
    """What all kernel positions meet, cut from the padded input and laid side by side: a product for each batch row."""
    filters, channels = n.sizes(n.shape(1)[:2])
    count, sides = len(s.kernel), prod(outs)
    padded = n.op("Pad", x, n.g.ints(0, 0, *s.pads[:count], 0, 0, *s.pads[count:])) if any(s.pads) else x
    patches = [_met(n, padded, at, outs, s, first=2) for at in product(*map(range, s.kernel))]
    groups, axis = ([s.group], 2) if s.group > 1 else ([], 1)
    if groups:  # a group's patches must lie side by side, so the groups get an axis of their own
        patches = [n.op("Reshape", p, n.g.ints(0, *groups, channels, sides)) for p in patches]
    places = n.op("Concat", *patches, axis=axis) if len(patches) > 1 else patches[0]
    places = n.op("Reshape", places, n.g.ints(0, *groups, prod(s.kernel) * channels, sides))
    rows = n.op("Reshape", dy, n.g.ints(0, *groups, filters // s.group, sides))
    swapped = [*range(axis), axis + 1, axis]
    product_ = n.op("MatMul", rows, n.op("Transpose", places, perm=swapped))
    dw = n.op("Reshape", n.op("ReduceSum", product_, n.g.ints(0), keepdims=0), n.g.ints(filters, *s.kernel, channels))
    return n.op("Transpose", dw, perm=[0, count + 1, *range(1, count + 1)])


def _met(n: Backward, x: Value, at: tuple[int, ...], outs: list[int], s: Geometry, first: int) -> Value:
    """The numbers that kernel position `at` meets, one for each place; `first` is the first axis of the sides."""
    starts = [a * d for a, d in zip(at, s.dilations, strict=True)]
    return cut(n.g, x, starts, outs, s.strides, first)


RULES: dict[str, Rule] = {"Conv": _conv, "ConvTranspose": _conv_transpose}
