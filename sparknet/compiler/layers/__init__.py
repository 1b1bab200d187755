"""All layers, by the name that a `.net` file gives them: one file a family, which lists its layers."""

from __future__ import annotations

from sparknet.compiler.layers import (
    activation,
    attention,
    batchnorm,
    convolution,
    dense,
    dropout,
    embedding,
    foreign,
    joining,
    layernorm,
    pooling,
    recurrent,
    resizing,
    shape,
)
from sparknet.compiler.layers.base import Join, Layer, Lowering, ParameterSpec, ShapeError, Weighted
from sparknet.compiler.layers.foreign import ForeignLayer, Onnx
from sparknet.compiler.layers.tuples import LayerTuple, TupleSizeError

_FAMILIES = (
    dense,
    convolution,
    pooling,
    embedding,
    recurrent,
    attention,
    batchnorm,
    layernorm,
    dropout,
    shape,
    resizing,
    activation,
    foreign,
)

LAYERS: dict[str, type[Layer]] = {layer.name: layer for family in _FAMILIES for layer in family.LAYERS}
JOINS: dict[str, type[Join]] = {join.name: join for join in joining.JOINS}

__all__ = [
    "JOINS",
    "LAYERS",
    "ForeignLayer",
    "Join",
    "Layer",
    "LayerTuple",
    "Lowering",
    "Onnx",
    "ParameterSpec",
    "ShapeError",
    "TupleSizeError",
    "Weighted",
]
