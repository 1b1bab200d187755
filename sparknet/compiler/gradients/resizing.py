"""Gradients of padding, cutting out and enlarging."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _pad(n: Backward) -> list[Value | None]:
    """Cut out what was there before the padding."""
    pads, rank = n.axes(1), len(n.shape())
    padded = [a for a in range(rank) if pads[a] or pads[rank + a]]
    if not padded:
        return [n.dy, None]
    starts = n.g.ints(*(pads[a] for a in padded))
    ends = n.g.ints(*(pads[a] + int(n.shape()[a]) for a in padded))
    return [n.op("Slice", n.dy, starts, ends, n.g.ints(*padded)), None]


def _slice(n: Backward) -> list[Value | None]:
    """Zeros around what was cut out: for the form we write, of constant bounds along axes other than the batch."""
    if len(n.node.inputs) != 4:
        raise AssertionError("a slice with steps has no gradient rule")
    rank = len(n.shape())
    before, after = [0] * rank, [0] * rank
    for start, end, at in zip(n.axes(1), n.axes(2), n.axes(3), strict=True):
        axis = at % rank
        first, last, _ = slice(start, end).indices(int(n.shape()[axis]))
        before[axis], after[axis] = first, int(n.shape()[axis]) - last
    return [n.op("Pad", n.dy, n.g.ints(*before, *after)), None, None, None]


def _resize(n: Backward) -> list[Value | None]:
    """For whole factors: `nearest` adds up the copies of each number, `linear` goes back through its two matrices."""
    factors = [round(float(f)) for f in n.g.initializers[n.x(2)][2:]]
    channels, *sides = (int(d) for d in n.shape()[1:])
    if n.attribute("mode") == "nearest":
        counted = [size for side, factor in zip(sides, factors, strict=True) for size in (side, factor)]
        copies = n.op("Reshape", n.dy, n.g.ints(0, channels, *counted))
        return [n.op("ReduceSum", copies, n.g.ints(*range(3, 3 + len(counted), 2)), keepdims=0), None, None]
    dx = n.op("MatMul", n.dy, n.g.constant(_interpolation(sides[-1], factors[-1])))
    if len(sides) == 2:
        dx = n.op("MatMul", n.g.constant(_interpolation(sides[0], factors[0]).T), dx)
    return [dx, None, None]


def _interpolation(side: int, factor: int) -> NDArray[np.float64]:
    """The matrix [side * factor, side] that draws lines between the middles of pixels, flat beyond the outermost."""
    middles = np.clip((np.arange(side * factor) + 0.5) / factor - 0.5, 0, side - 1)
    low = np.minimum(np.floor(middles).astype(int), max(side - 2, 0))
    rows = np.arange(side * factor)
    matrix = np.zeros((side * factor, side))
    matrix[rows, low] = 1 - (middles - low)
    matrix[rows, np.minimum(low + 1, side - 1)] += middles - low
    return matrix


RULES: dict[str, Rule] = {"Pad": _pad, "Slice": _slice, "Resize": _resize}
