"""Gradients of the convolution of images."""

from __future__ import annotations

from itertools import product
from math import prod

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _conv(n: Backward) -> list[Value | None]:
    gradients: list[Value | None] = [_input_gradient(n), _weight_gradient(n)]
    if len(n.node.inputs) > 2:
        gradients.append(n.op("ReduceSum", n.dy, n.g.ints(0, 2, 3), keepdims=0))
    return gradients


def _input_gradient(n: Backward) -> Value:
    """The transposed convolution (Dumoulin & Visin, 2016, relationship 14).

    Where the stride does not divide evenly, rows at the far edge met no kernel: `output_padding` brings them back.
    """
    kernel, strides, pads = _geometry(n)
    sides, outs = n.shape()[2:], n.g.shape(n.y)[2:]
    extra = [
        int(side) - ((int(out) - 1) * stride + k - pads[a] - pads[a + 2])
        for a, (side, out, stride, k) in enumerate(zip(sides, outs, strides, kernel, strict=True))
    ]
    return n.op("ConvTranspose", n.dy, n.x(1), kernel_shape=kernel, strides=strides, pads=pads, output_padding=extra)


def _weight_gradient(n: Backward) -> Value:
    """`dW[f, c, i, j] = sum over batch and places of dy[f, place] * x[c, place * stride + (i, j)]`.

    The patches of every kernel position are sliced from the padded input and laid side by side, so that all positions
    take part in one matrix product per row of the batch.
    """
    kernel, strides, pads = _geometry(n)
    filters, channels = n.g.shape(n.x(1))[:2]
    outs = [int(o) for o in n.g.shape(n.y)[2:]]
    x = n.op("Pad", n.x(), n.g.ints(0, 0, *pads[:2], 0, 0, *pads[2:])) if any(pads) else n.x()
    patches = [_slice(n, x, at, outs, strides) for at in product(*map(range, kernel))]
    places = n.op("Concat", *patches, axis=1) if len(patches) > 1 else patches[0]
    places = n.op("Reshape", places, n.g.ints(0, prod(kernel) * int(channels), prod(outs)))
    dy = n.op("Reshape", n.dy, n.g.ints(0, int(filters), prod(outs)))
    dw = n.op("ReduceSum", n.op("MatMul", dy, n.op("Transpose", places, perm=[0, 2, 1])), n.g.ints(0), keepdims=0)
    dw = n.op("Reshape", dw, n.g.ints(int(filters), *kernel, int(channels)))
    return n.op("Transpose", dw, perm=[0, 3, 1, 2])


def _slice(n: Backward, x: Value, at: tuple[int, ...], outs: list[int], strides: list[int]) -> Value:
    """The numbers that kernel position `at` meets, one for each place of the output."""
    ends = [a + (o - 1) * s + 1 for a, o, s in zip(at, outs, strides, strict=True)]
    return n.op("Slice", x, n.g.ints(*at), n.g.ints(*ends), n.g.ints(2, 3), n.g.ints(*strides))


def _geometry(n: Backward) -> tuple[list[int], list[int], list[int]]:
    return list(n.attribute("kernel_shape")), list(n.attribute("strides")), list(n.attribute("pads"))


RULES: dict[str, Rule] = {"Conv": _conv}
