"""The scale and shift of a layer normalisation, moved behind the matrix product or the mean that reads it.

`(w u + b) V + c` is `u (w V) + (b V + c)`, whose weights have far fewer numbers than `u`, the normal numbers of all
rows: what multiplies them, adds to them and sums them up on the way back is spared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from sparknet.compiler.graph import GraphBuilder, Node, Value

_Readers = Mapping[Value, Sequence[Node]]


def scale_behind(g: GraphBuilder) -> None:
    """Let each `LayerNormalization` give normal numbers where all that reads it can take over its scale and shift.

    Call before gradients are derived.
    """
    norms = [node for node in g.nodes if node.op == "LayerNormalization"]
    if not norms:
        return
    g.infer()
    readers = g.readers(g.nodes)
    for node in norms:
        affine = _Affine.of(g, node)
        found = None if affine is None else _takers(g, node.output, affine.features, readers)
        if affine is None or not found:
            continue
        for taker in found:
            _take_over(g, taker, affine)
        ones, zeros = (g.constant(np.full(affine.features, number)) for number in (1.0, 0.0))
        g.replace(node, [replace(node, inputs=(node.inputs[0], ones, zeros)[: len(node.inputs)])])


@dataclass(frozen=True)
class _Affine:
    """Scale and shift of each feature, the last axis; the shift may be left out."""

    features: int
    scale: Value
    shift: Value | None

    @classmethod
    def of(cls, g: GraphBuilder, node: Node) -> _Affine | None:
        """That of a normalisation over the last axis alone, whose statistics nobody reads."""
        x, scale, *shift = node.inputs
        features = g.shape(x)[-1]
        last = node.attributes.get("axis", -1) in (-1, g.rank(x) - 1)
        return cls(features, scale, shift[0] if shift else None) if last and isinstance(features, int) else None


def _takers(g: GraphBuilder, value: Value, features: int, readers: _Readers) -> list[Node] | None:
    """The products and means that read the value, perhaps as rows; None where something else reads it too."""
    found: list[Node] = []
    for node in readers[value]:
        rows = node.op == "Reshape" and g.shapes.get(node.output, ())[1:] == (features,)
        more = _takers(g, node.output, features, readers) if rows else [node] if _takes(g, node, value) else None
        if more is None:
            return None
        found += more
    return found


def _takes(g: GraphBuilder, node: Node, value: Value) -> bool:
    if node.op == "Gemm":
        return (
            node.inputs[0] == value not in node.inputs[1:] and not {"alpha", "beta", "transA"} & node.attributes.keys()
        )
    if node.op != "ReduceMean" or len(node.inputs) < 2 or node.inputs[1] not in g.initializers:
        return False
    rank = g.rank(value)
    return rank - 1 not in {int(axis) % rank for axis in g.initializers[node.inputs[1]]}


def _take_over(g: GraphBuilder, node: Node, affine: _Affine) -> None:
    """Scale and shift what the node gives, by its weights where it has some."""
    g.recompute(node, partial(_scaled_product if node.op == "Gemm" else _scaled_mean, g, node, affine))


def _scaled_product(g: GraphBuilder, node: Node, affine: _Affine) -> Value:
    _, weight, *bias = node.inputs
    turned = node.attributes.get("transB", 0)
    column = affine.scale if turned else g.op("Reshape", affine.scale, g.ints(-1, 1))
    scaled = g.op("Mul", weight, column)
    if affine.shift is not None:
        row = g.op("Reshape", affine.shift, g.ints(1, -1))
        bias = [g.op("Gemm", row, weight, *bias, **node.attributes)]
    return g.op("Gemm", node.inputs[0], scaled, *bias, **node.attributes)


def _scaled_mean(g: GraphBuilder, node: Node, affine: _Affine) -> Value:
    mean = g.op("Mul", g.op(node.op, *node.inputs, **node.attributes), affine.scale)
    return mean if affine.shift is None else g.op("Add", mean, affine.shift)
