"""Layer normalisation."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sparknet.compiler.graph import Value
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, ShapeError, Trainable
from sparknet.compiler.types import TensorType


class LayerNorm(Trainable):
    """`layernorm`: mean 0 and variance 1 over the features of each row or step, then scaled and shifted.

    Ba, Kiros & Hinton, 2016, eq. 4, with `eps` added to the variance. Of an image all numbers are features, as in
    PyTorch's `LayerNorm([channels, height, width])`.
    """

    name: ClassVar[str] = "layernorm"
    takes_variable: ClassVar[bool] = True

    eps: Annotated[float, Field(gt=0, lt=1)] = 1e-5

    def infer(self, x: TensorType) -> TensorType:
        """Same type: `[features]`, `[time, features]` or `[channels, height, width]`."""
        if len(x.shape) > 3:
            raise ShapeError(
                f"`layernorm` needs a vector `[features]`, a sequence `[time, features]` or an image "
                f"`[channels, height, width]`, but `{x}` arrives",
                "put `flatten` before it to normalise over all axes",
            )
        return x

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [features], which scales, and `bias` [features], which shifts; [channels, height, width] too."""
        shape = _features(x)
        return ParameterSpec("weight", shape, "ones", 1, 1), ParameterSpec("bias", shape, "zeros", 1, 1)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `LayerNormalization`."""
        weights = low.parameters["weight"], low.parameters["bias"]
        return low.graph.op("LayerNormalization", x, *weights, axis=-len(_features(t)), epsilon=self.eps)


def _features(x: TensorType) -> tuple[int, ...]:
    return x.shape if len(x.shape) == 3 else x.shape[-1:]


LAYERS: tuple[type[Layer], ...] = (LayerNorm,)
