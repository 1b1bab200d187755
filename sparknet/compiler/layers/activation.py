"""Activations, as layers of their own and as arguments of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.initializers import Initializer
from sparknet.compiler.layers.base import Layer, Lowering
from sparknet.compiler.types import TensorType


def _gelu(g: GraphBuilder, x: Value) -> Value:
    """`x * Phi(x)` with the error function (Hendrycks & Gimpel, 2016, eq. 1)."""
    half = g.op("Mul", x, g.constant(0.5))
    return g.op("Mul", half, g.op("Add", g.op("Erf", g.op("Mul", x, g.constant(2**-0.5))), g.constant(1.0)))


ACTIVATIONS: dict[str, Callable[[GraphBuilder, Value], Value]] = {
    "relu": lambda g, x: g.op("Relu", x),
    "leakyrelu": lambda g, x: g.op("LeakyRelu", x, alpha=0.01),
    "elu": lambda g, x: g.op("Elu", x),
    "gelu": _gelu,
    "silu": lambda g, x: g.op("Mul", x, g.op("Sigmoid", x)),
    "sigmoid": lambda g, x: g.op("Sigmoid", x),
    "tanh": lambda g, x: g.op("Tanh", x),
    "softplus": lambda g, x: g.op("Softplus", x),
    "softmax": lambda g, x: g.op("Softmax", x, axis=1),
}
"""Every activation, by the name that a `.net` file gives it."""

RECTIFIERS = frozenset({"relu", "leakyrelu", "elu", "gelu", "silu", "softplus"})


def _known(name: Any) -> Any:
    if isinstance(name, str) and name.lower() in ACTIVATIONS:
        return name.lower()
    context = {"what": "an activation", "choices": tuple(ACTIVATIONS)}
    raise PydanticCustomError("unknown_word", "unknown activation", context)


Activation = Annotated[str, BeforeValidator(_known)]


def activate(g: GraphBuilder, activation: str | None, x: Value, t: TensorType | None = None) -> Value:
    """Apply an activation, or none, to `x`, a batch of `t`.

    Softmax runs over the classes: the last axis of a sequence `[time, features]`, the first of anything else.
    """
    if activation == "softmax" and t is not None and len(t.shape) == 2:
        return g.op("Softmax", x, axis=2)
    return ACTIVATIONS[activation](g, x) if activation else x


def weight_initializer(activation: str | None) -> Initializer:
    """He before a rectifier, Glorot before everything else."""
    return "he" if activation in RECTIFIERS else "glorot"


class ActivationLayer(Layer):
    """An activation applied to every number."""

    takes_variable: ClassVar[bool] = True

    def infer(self, x: TensorType) -> TensorType:
        """Same type."""
        return x

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One operator, or a few."""
        return activate(low.graph, self.name, x, t)


def _layer(activation: str) -> type[ActivationLayer]:
    namespace = {"name": activation, "__annotations__": {"name": ClassVar[str]}, "__module__": __name__}
    return type(activation.capitalize(), (ActivationLayer,), namespace)


LAYERS: tuple[type[Layer], ...] = tuple(_layer(a) for a in ACTIVATIONS)
