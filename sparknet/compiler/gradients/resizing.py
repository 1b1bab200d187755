"""Gradients of padding, cutting out and enlarging."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.gradients.base import Backward, Rule, UnknownFormError
from sparknet.compiler.graph import Dim, Value

_ALL = 2**31 - 1
"""An end at or beyond this is that of the axis, whatever its size."""


def _pad(n: Backward) -> list[Value | None]:
    """Cut out what was there before the padding."""
    pads, rank = n.axes(1), len(n.shape())
    if n.attribute("mode", "constant") != "constant" or len(n.node.inputs) > 3 or min(pads) < 0:
        raise UnknownFormError("it pads by more than a constant at the ends of all axes")
    rest: list[Value | None] = [None] * (len(n.node.inputs) - 1)
    padded = [a for a in range(rank) if pads[a] or pads[rank + a]]
    if not padded:
        return [n.dy, *rest]
    starts = n.g.ints(*(pads[a] for a in padded))
    ends = n.g.ints(*(pads[a] + n.size(n.shape()[a]) for a in padded))
    return [n.op("Slice", n.dy, starts, ends, n.g.ints(*padded)), *rest]


def _slice(n: Backward) -> list[Value | None]:
    """Zeros around what was cut out, and between where it took steps; of constant bounds, not along the batch."""
    shape, count = n.shape(), len(n.node.inputs)
    bounds = [n.axes(i) for i in range(1, count)]
    axes = bounds[2] if count > 3 else tuple(range(len(bounds[0])))
    steps = bounds[3] if count > 4 else (1,) * len(axes)
    before, after, dy, dims = [0] * len(shape), [0] * len(shape), n.dy, list(n.g.shape(n.y))
    for start, end, at, step in zip(*bounds[:2], axes, steps, strict=True):
        axis = at % len(shape)
        if step < 1:
            raise UnknownFormError("it goes backwards")
        if isinstance(shape[axis], str) and (start, step) == (0, 1) and end >= _ALL:
            continue
        size = n.size(shape[axis])
        first, last, _ = slice(start, end).indices(size)
        if step > 1:
            dy, dims[axis] = _spaced(n, dy, dims, axis, step)
            last = first + dims[axis]
        before[axis], after[axis] = first, size - last
    return [n.op("Pad", dy, n.g.ints(*before, *after)), *[None] * (count - 1)]


def _spaced(n: Backward, dy: Value, dims: list[Dim], axis: int, step: int) -> tuple[Value, int]:
    """`dy` of the shape `dims` with `step - 1` zeros between its numbers along `axis`, and how many these are then."""
    rank, taken = len(dims), n.size(dims[axis])
    wide = [step - 1 if a == axis + 1 else 0 for a in range(rank + 1)]
    column = n.op("Pad", n.op("Unsqueeze", dy, n.g.ints(axis + 1)), n.g.ints(*[0] * (rank + 1), *wide))
    sizes = [*[0] * axis, taken * step, *n.sizes(dims[axis + 1 :])]  # a 0 keeps what stands at its place
    length = (taken - 1) * step + 1
    return n.op(
        "Slice", n.op("Reshape", column, n.g.ints(*sizes)), n.g.ints(0), n.g.ints(length), n.g.ints(axis)
    ), length


def _resize(n: Backward) -> list[Value | None]:
    """For whole factors: `nearest` adds up the copies of each number, `linear` goes back through its two matrices."""
    nothing: list[Value | None] = [None] * (len(n.node.inputs) - 1)
    channels, *sides = n.sizes(n.shape()[1:])
    factors = [_factor(n, side, out) for side, out in zip(sides, n.g.shape(n.y)[2:], strict=True)]
    way, mode = n.attribute("coordinate_transformation_mode", "half_pixel"), n.attribute("mode", "nearest")
    rounding = n.attribute("nearest_mode", "round_prefer_floor")
    if (mode, way, rounding) == ("nearest", "asymmetric", "floor"):
        counted = [size for side, factor in zip(sides, factors, strict=True) for size in (side, factor)]
        copies = n.op("Reshape", n.dy, n.g.ints(0, channels, *counted))
        return [n.op("ReduceSum", copies, n.g.ints(*range(3, 3 + len(counted), 2)), keepdims=0), *nothing]
    if (mode, way) != ("linear", "half_pixel") or len(sides) > 2:
        raise UnknownFormError(f"it is of mode `{mode}` by `{way}`")
    dx = n.op("MatMul", n.dy, n.g.constant(_interpolation(sides[-1], factors[-1])))
    if len(sides) == 2:
        dx = n.op("MatMul", n.g.constant(_interpolation(sides[0], factors[0]).T), dx)
    return [dx, *nothing]


def _factor(n: Backward, side: int, out: Dim) -> int:
    factor, rest = divmod(n.size(out), side)
    if rest:
        raise UnknownFormError("it does not enlarge by a whole factor")
    return factor


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
