"""Gradients of pooling."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _max_pool(n: Backward) -> list[Value | None]:
    """Where windows neither overlap nor leave a rest, by comparing; else by scattering to the indices."""
    kernel, strides = list(n.attribute("kernel_shape")), list(n.attribute("strides"))
    sides = [int(s) for s in n.shape()[2:]]
    if kernel == strides and all(side % k == 0 for side, k in zip(sides, kernel, strict=True)):
        return [_first_of_window(n, kernel)]
    return [_scattered(n)]


def _first_of_window(n: Backward, kernel: list[int]) -> Value:
    """`dy` at the first place of each window that holds its maximum, as PyTorch chooses; 0 at the others.

    Each place of the window is compared in turn; one that is chosen closes the window for those after it.
    """
    channels, height, width = (int(d) for d in n.shape()[1:])
    rows, columns = height // kernel[0], width // kernel[1]
    zero = n.constant(0.0)
    open_dy, places = n.dy, []
    for i, j in product(*map(range, kernel)):
        x = n.op("Slice", n.x(), n.g.ints(i, j), n.g.ints(height, width), n.g.ints(2, 3), n.g.ints(*kernel))
        chosen = n.op("Equal", x, n.y)
        places.append(n.op("Unsqueeze", n.op("Where", chosen, open_dy, zero), n.g.ints(4)))
        open_dy = n.op("Where", chosen, zero, open_dy)
    grid = n.op("Reshape", n.op("Concat", *places, axis=4), n.g.ints(0, channels, rows, columns, *kernel))
    grid = n.op("Transpose", grid, perm=[0, 1, 2, 4, 3, 5])
    return n.op("Reshape", grid, n.g.ints(0, channels, height, width))


def _scattered(n: Backward) -> Value:
    """Add each number of `dy` where the forward pass found the maximum (`MaxPool`'s second output)."""
    flat = n.g.ints(-1)
    indices = n.op("Reshape", n.g.with_extra_output(n.node), flat)
    zeros = n.op("Expand", n.constant(0.0), n.op("Unsqueeze", n.op("Size", n.x()), n.g.ints(0)))
    total = n.op("ScatterElements", zeros, indices, n.op("Reshape", n.dy, flat), axis=0, reduction="add")
    return n.reshape_like(total)


def _average_pool(n: Backward) -> list[Value | None]:
    """Spread each number evenly over its window: a transposed convolution, channel by channel, with ones."""
    kernel, strides = list(n.attribute("kernel_shape")), list(n.attribute("strides"))
    channels, *sides = (int(d) for d in n.shape()[1:])
    outs = [int(o) for o in n.g.shape(n.y)[2:]]
    extra = [side - ((out - 1) * s + k) for side, out, s, k in zip(sides, outs, strides, kernel, strict=True)]
    ones = n.g.constant(np.full((channels, 1, *kernel), 1 / prod(kernel)))
    dx = n.op("ConvTranspose", n.dy, ones, kernel_shape=kernel, strides=strides, group=channels)
    if any(extra):
        dx = n.op("Pad", dx, n.g.ints(0, 0, 0, 0, 0, 0, *extra))
    return [dx]


RULES: dict[str, Rule] = {"MaxPool": _max_pool, "AveragePool": _average_pool}
