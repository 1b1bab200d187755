"""Gradients of pooling."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.gradients.base import Backward, Rule, UnknownFormError
from sparknet.compiler.graph import Value


def _max_pool(n: Backward) -> list[Value | None]:
    """Where windows neither overlap nor leave a rest, by comparing; else by scattering to the indices."""
    kernel, strides = list(n.attribute("kernel_shape")), list(n.attribute("strides"))
    sides = n.sizes(n.shape()[2:])
    padded = any(n.attribute("pads", ())) or max(n.attribute("dilations", [1])) > 1
    if kernel == strides and not padded and all(side % k == 0 for side, k in zip(sides, kernel, strict=True)):
        return [_first_of_window(n, kernel, sides)]
    return [_scattered(n)]


def _first_of_window(n: Backward, kernel: list[int], sides: list[int]) -> Value:
    """`dy` at the first place of each window that holds its maximum, as PyTorch chooses; 0 at the others.

    All at full size, which ONNX Runtime does faster than it cuts out places: the maximum is copied over its window, and
    the places that equal it get the numbers `k`, `k - 1`, ..., 1 of their order in the window, the largest of which is
    the first.
    """
    windows = [side // k for side, k in zip(sides, kernel, strict=True)]
    order = np.tile(np.arange(prod(kernel), 0, -1).reshape(kernel), windows)
    candidates = n.op("Mul", n.mask("Equal", n.x(), _over_windows(n, n.y, kernel)), n.g.constant(order))
    first = n.op("MaxPool", candidates, kernel_shape=kernel, strides=kernel)
    chosen = n.mask("Equal", candidates, _over_windows(n, first, kernel))
    return n.op("Mul", chosen, _over_windows(n, n.dy, kernel))


def _over_windows(n: Backward, value: Value, kernel: list[int]) -> Value:
    """Each number copied to all places of its window."""
    scales = n.g.constant([1.0, 1.0, *kernel], "float32")
    modes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return n.op("Resize", value, "", scales, **modes)


def _scattered(n: Backward) -> Value:
    """Add each number of `dy` where the forward pass found the maximum (`MaxPool`'s second output)."""
    flat = n.g.ints(-1)
    indices = n.op("Reshape", n.g.with_extra_outputs(n.node, 2)[1], flat)
    zeros = n.op("Expand", n.constant(0.0), n.op("Unsqueeze", n.op("Size", n.x()), n.g.ints(0)))
    total = n.op("ScatterElements", zeros, indices, n.op("Reshape", n.dy, flat), axis=0, reduction="add")
    return n.reshape_like(total)


def _average_pool(n: Backward) -> list[Value | None]:
    """Spread each number evenly over its window: a transposed convolution, channel by channel, with ones.

    What a window shares with the padding did not count, so each number is divided by how many did.
    """
    kernel, strides = list(n.attribute("kernel_shape")), list(n.attribute("strides"))
    if max(n.attribute("dilations", [1])) > 1:
        raise UnknownFormError("its windows have gaps")
    channels, *sides = n.sizes(n.shape()[1:])
    outs, rank = n.sizes(n.g.shape(n.y)[2:]), len(kernel)
    pads = list(n.attribute("pads", [0] * 2 * rank))
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
