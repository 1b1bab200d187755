"""Gradients of operators that move numbers and compute none."""

from __future__ import annotations

import numpy as np

from sparknet.compiler.gradients.base import Backward, Rule, UnknownFormError
from sparknet.compiler.graph import Value


def _transpose(n: Backward) -> list[Value | None]:
    perm = n.attribute("perm") or range(len(n.shape()))[::-1]
    return [n.op("Transpose", n.dy, perm=[int(i) for i in np.argsort(perm)])]


def _concat(n: Backward) -> tuple[Value, ...]:
    axis = n.attribute("axis")
    sizes = [n.size(n.shape(i)[axis]) for i in range(len(n.node.inputs))]
    return n.g.op_n("Split", len(sizes), n.dy, n.g.ints(*sizes), axis=axis)


def _split(n: Backward) -> list[Value | None]:
    dys = [n.dy_or_zeros(k) for k in range(len(n.node.outputs))]
    return [n.op("Concat", *dys, axis=n.attribute("axis", 0)), *[None] * (len(n.node.inputs) - 1)]


def _moved(n: Backward) -> list[Value | None]:
    """The shape of the input again; what else the operator reads says how it was changed."""
    return [n.reshape_like(n.dy), *[None] * (len(n.node.inputs) - 1)]


def _tile(n: Backward) -> list[Value | None]:
    """Copies lie side by side along each axis: each axis is split in copies and sizes, and the copies summed."""
    repeats, shape = n.axes(1), n.shape()
    if any(r > 1 and isinstance(d, str) for r, d in zip(repeats, shape, strict=True)):
        raise UnknownFormError("it repeats the batch")
    rows = sum(isinstance(d, str) for d in shape)
    if rows > 1:
        raise UnknownFormError("several sizes depend on the batch")
    split = [k for r, d in zip(repeats, shape, strict=True) for k in (r, -1 if isinstance(d, str) else d)]
    copies = n.op("Reshape", n.dy, n.g.ints(*split))
    return [n.op("ReduceSum", copies, n.g.ints(*range(0, len(split), 2)), keepdims=0), None]


def _depth_to_space(n: Backward) -> list[Value | None]:
    """`SpaceToDepth` undoes it where depth comes first (`DCR`), a reshaping where columns and rows do (`CRD`)."""
    block = n.attribute("blocksize")
    if n.attribute("mode", "DCR") == "DCR":
        return [n.op("SpaceToDepth", n.dy, blocksize=block)]
    channels, height, width = n.sizes(n.shape()[1:])
    parts = n.op("Reshape", n.dy, n.g.ints(0, channels // block**2, height, block, width, block))
    return [n.reshape_like(n.op("Transpose", parts, perm=[0, 1, 3, 5, 2, 4]))]


RULES: dict[str, Rule] = {
    "Reshape": _moved,
    "Unsqueeze": _moved,
    "Squeeze": _moved,
    "Flatten": _moved,
    "Expand": lambda n: [n.sum_to(n.dy, 0), None],
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": lambda n: [n.op("DepthToSpace", n.dy, blocksize=n.attribute("blocksize"), mode="DCR")],
    "Trilu": lambda n: [
        n.op("Trilu", n.dy, *n.node.inputs[1:], upper=n.attribute("upper", 1)),
        *[None] * (len(n.node.inputs) - 1),
    ],
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
}
