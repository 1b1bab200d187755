"""Layers that look up tokens."""

from __future__ import annotations

from typing import ClassVar

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Units, Weighted
from sparknet.compiler.types import TensorType


class Embedding(Weighted):
    """`embedding(width)`: a trained vector for each token, whose number the input says (`vocabulary: 5000`)."""

    name: ClassVar[str] = "embedding"
    takes_variable: ClassVar[bool] = True
    takes_tokens: ClassVar[bool] = True

    width: Units

    def infer(self, x: TensorType) -> TensorType:
        """`token[length]` to `[length, width]`."""
        if x.vocabulary is None:
            raise ShapeError(
                f"`embedding` looks up tokens, but `{x}` arrives",
                "declare the input as `token[length, vocabulary: 5000]`, or use `dense(width)` on numbers",
            )
        return TensorType("float32", (*x.shape, self.width), lengths=x.lengths)

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [vocabulary, width]."""
        vocabulary = x.vocabulary or 0
        return (ParameterSpec("weight", (vocabulary, self.width), "standard", vocabulary, self.width),)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `Gather` of rows."""
        return low.graph.op("Gather", low.parameters["weight"], x, axis=0)


LAYERS: tuple[type[Layer], ...] = (Embedding,)
