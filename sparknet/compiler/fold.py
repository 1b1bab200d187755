"""Folding a normalisation into the layer in front of it, in a graph whose parameters are constants.

`batchnorm` at inference is a multiplication and an addition for each channel, and so is the end of a convolution or a
fully connected layer: both become one by other weights.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparknet.compiler.graph import GraphBuilder, Node

_FILTER_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1}
"""The axis of the weight that counts the results: `[filters, ...]`, `[channels, filters of a group, ...]`,
`[features, units]` or with `transB` the other way round. A `Reshape` stands behind the product of a sequence, whose
channels are the steps."""


def fold_normalisation(g: GraphBuilder) -> None:
    """Replace each `BatchNormalization` that alone reads a convolution or matrix product by new weights of that.

    The products are taken in float64 and rounded once, so that folding costs no precision. Call once the outputs of the
    graph are declared, as they read values too.
    """
    reads = Counter(i for node in g.nodes for i in node.inputs)
    for node in list(g.nodes):
        before = g.producer(node.inputs[0]) if node.op == "BatchNormalization" else None
        if before is not None and _foldable(g, before, reads):
            _fold(g, before, node)


def _foldable(g: GraphBuilder, node: Node, reads: Counter[str]) -> bool:
    tensors = node.inputs[1:]
    return (
        node.op in _FILTER_AXIS
        and reads[node.output] == 1
        and all(t in g.initializers and reads[t] == 1 for t in tensors)
        and g.initializers[tensors[0]].ndim >= 2
        and not any(node.attributes.get(name, one) != one for name, one in (("alpha", 1), ("beta", 1), ("transA", 0)))
    )


def _fold(g: GraphBuilder, before: Node, norm: Node) -> None:
    scale, bias, mean, variance = (g.initializers[i].astype(np.float64) for i in norm.inputs[1:])
    factor = scale / np.sqrt(variance + norm.attributes["epsilon"])
    weight = g.initializers[before.inputs[1]]
    groups = before.attributes.get("group", 1) if before.op == "ConvTranspose" else 1  # its weight says them nowhere
    shape = [groups, *[1] * weight.ndim]
    shape[_FILTER_AXIS[before.op] + 1 - before.attributes.get("transB", 0)] = -1
    old = g.initializers[before.inputs[2]] if len(before.inputs) > 2 else np.zeros_like(factor)
    g.initializers[before.inputs[1]] = _as(
        weight, (weight.reshape(groups, -1, *weight.shape[1:]) * factor.reshape(shape)).reshape(weight.shape)
    )
    name = before.inputs[2] if len(before.inputs) > 2 else f"{before.inputs[1]}_bias"
    g.initializer(name, _as(weight, (old - mean) * factor + bias))
    inputs = (*before.inputs[:2], name)
    g.replace(norm, [replace(before, inputs=inputs, outputs=norm.outputs)])
    g.replace(before, [])


def _as(like: NDArray[Any], array: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(array, like.dtype)
