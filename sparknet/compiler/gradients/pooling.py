"""Gradients of pooling."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.gradients.base import Backward, Rule, UnknownFormError
from sparknet.compiler.graph import Value
from sparknet.compiler.sliding import Geometry

_EXACT = 2**24
"""Up to here float32 holds every whole number."""


def _max_pool(n: Backward) -> list[Value | None]:
    """`dy` where the maximum of each window was found: its first place where several hold it, as PyTorch chooses.

    Where windows neither overlap nor leave a rest, the places are found by comparing; else `MaxPool` gives them.
    """
    sides, geometry = n.sizes(n.shape()[2:]), Geometry.of(n.node)
    if not geometry.tiles(sides) or prod(sides) > _EXACT:
        return [_scattered(n, n.g.with_extra_outputs(n.node, 2)[1])]
    kernel = geometry.kernel
    places = _first_of_window(n, kernel, sides)
    if n.g.dtype != "float32":  # ONNX Runtime has `MaxUnpool` for nothing else
        return [_scattered(n, places)]
    return [n.op("MaxUnpool", n.dy, places, kernel_shape=kernel, strides=kernel)]


def _first_of_window(n: Backward, kernel: list[int], sides: list[int]) -> Value:
    """Where each window first holds its maximum, counted through the whole input as `MaxPool` counts.

    `MaxPool` takes ten times as long when it says the places. So the maximum is copied over its window, and the places
    that equal it get a number that falls from one to the next: the largest of a window is the first. The last place of
    an image gets 0, as all do that hold no maximum, so that not even a NaN has a place outside.
    """
    size = prod(sides)
    falling = n.g.constant(np.arange(size - 1, -1, -1).reshape(sides))
    candidates = n.op("Mul", n.mask("Equal", n.x(), _over_windows(n, n.y, kernel)), falling)
    first = n.op("Cast", n.op("MaxPool", candidates, kernel_shape=kernel, strides=kernel), to=n.g.onnx_type("int64"))
    last, step = (n.g.constant(k, "int64") for k in (size - 1, size))
    ends = n.op("Range", last, n.op("Add", n.op("Size", n.x()), last), step)
    channels = n.sizes(n.shape()[1:2])
    return n.op("Sub", n.op("Reshape", ends, n.g.ints(-1, *channels, *[1] * len(sides))), first)


def _over_windows(n: Backward, value: Value, kernel: list[int]) -> Value:
    """Each number copied to all places of its window."""
    scales = n.g.constant([1.0, 1.0, *kernel], "float32")
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return n.op("Resize", value, "", scales, **modes)


def _scattered(n: Backward, places: Value) -> Value:
    """Add each number of `dy` at its place; windows may share one."""
    flat = n.g.ints(-1)
    zeros = n.op("Expand", n.constant(0.0), n.op("Unsqueeze", n.op("Size", n.x()), n.g.ints(0)))
    places, dy = (n.op("Reshape", value, flat) for value in (places, n.dy))
    return n.reshape_like(n.op("ScatterElements", zeros, places, dy, axis=0, reduction="add"))


def _average_pool(n: Backward) -> list[Value | None]:
    """Spread each number evenly over its window: a transposed convolution, channel by channel, with ones.

    What a window shares with the padding did not count, so each number is divided by how many did.
    """
    geometry = Geometry.of(n.node)
    if max(geometry.dilations) > 1:
        raise UnknownFormError("its windows have gaps")
    kernel, strides, pads = geometry.kernel, geometry.strides, geometry.pads
    channels, *sides = n.sizes(n.shape()[1:])
    outs, rank = n.sizes(n.g.shape(n.y)[2:]), len(kernel)
    dy, share = n.dy, 1 / prod(kernel)
    if any(pads):
        dy, share = n.op("Div", dy, n.g.constant(_counted(sides, outs, kernel, strides, pads))), 1.0
    ones = n.g.constant(np.full((channels, 1, *kernel), share))
    reach = [(out - 1) * s + k - pads[a] for a, (out, s, k) in enumerate(zip(outs, strides, kernel, strict=True))]
    beyond = [r - side for side, r in zip(sides, reach, strict=True)]
    cut = [*pads[:rank], *(max(b, 0) for b in beyond)]
    padding = {"pads": cut} if any(cut) else {}
    dx = n.op("ConvTranspose", dy, ones, kernel_shape=kernel, strides=strides, group=channels, **padding)
    if min(beyond) < 0:
        dx = n.op("Pad", dx, n.g.ints(*[0] * (rank + 4), *(max(-b, 0) for b in beyond)))
    return [dx]


def _counted(
    sides: list[int], outs: list[int], kernel: list[int], strides: list[int], pads: list[int]
) -> NDArray[np.float64]:
    """How many numbers of the input each window covers, of the shape of `outs`."""
    counts = np.ones(())
    for side, out, k, step, before in zip(sides, outs, kernel, strides, pads, strict=False):
        starts = np.arange(out) * step - before
        covered = np.minimum(starts + k, side) - np.maximum(starts, 0)
        counts = np.multiply.outer(counts, covered.astype(np.float64))
    return counts


RULES: dict[str, Rule] = {"MaxPool": _max_pool, "AveragePool": _average_pool}
