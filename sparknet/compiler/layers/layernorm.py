"""Layer normalisation."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError
from sparknet.compiler.types import TensorType


class LayerNorm(Layer):
    """`layernorm`: mean 0 and variance 1 over the features of each row or step, then scaled and shifted.

    Ba, Kiros & Hinton, 2016, eq. 4, with `eps` added to the variance.
    """

    name: ClassVar[str] = "layernorm"
    takes_variable: ClassVar[bool] = True

    eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5

    def infer(self, x: TensorType) -> TensorType:
        """Same type: `[features]` or `[time, features]`."""
        if len(x.shape) > 2:
            raise ShapeError(
                f"`layernorm` needs a vector `[features]` or a sequence `[time, features]`, but `{x}` arrives",
                "put `flatten` before it to normalise over all axes",
            )
        return x

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [features], which scales, and `bias` [features], which shifts."""
        features = x.shape[-1]
        return (
            ParameterSpec("weight", (features,), "ones", features, features),
            ParameterSpec("bias", (features,), "zeros", features, features),
        )

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `LayerNormalization`."""
        weights = low.parameters["weight"], low.parameters["bias"]
        return low.graph.op("LayerNormalization", x, *weights, axis=-1, epsilon=self.eps)


LAYERS: tuple[type[Layer], ...] = (LayerNorm,)
