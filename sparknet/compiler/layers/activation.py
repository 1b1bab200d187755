"""Activations, as layers of their own and as arguments of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.initializers import Initializer
from sparknet.compiler.layers.base import Layer, Lowering, ParameterSpec, Trainable
from sparknet.compiler.types import TensorType


def _gelu(g: GraphBuilder, x: Value) -> Value:
    """`x * Phi(x)` with the error function (Hendrycks & Gimpel, 2016, eq. 1)."""
    half = g.op("Mul", x, g.constant(0.5))
    return g.op("Mul", half, g.op("Add", g.op("Erf", g.op("Mul", x, g.constant(2**-0.5))), g.constant(1.0)))


def _hard_sigmoid(g: GraphBuilder, x: Value) -> Value:
    """`x / 6 + 1 / 2` within 0 and 1."""
    return g.op("HardSigmoid", x, alpha=1 / 6, beta=0.5)


LEAK = 0.01
"""The slope of `leakyrelu` below 0 unless one is written."""

ACTIVATIONS: dict[str, Callable[[GraphBuilder, Value], Value]] = {
    "relu": lambda g, x: g.op("Relu", x),
    "leakyrelu": lambda g, x: g.op("LeakyRelu", x, alpha=LEAK),
    "relu6": lambda g, x: g.op("Clip", x, g.constant(0.0), g.constant(6.0)),
    "elu": lambda g, x: g.op("Elu", x),
    "selu": lambda g, x: g.op("Selu", x),
    "gelu": _gelu,
    "silu": lambda g, x: g.op("Mul", x, g.op("Sigmoid", x)),
    "mish": lambda g, x: g.op("Mul", x, g.op("Tanh", g.op("Softplus", x))),
    "hardswish": lambda g, x: g.op("Mul", x, _hard_sigmoid(g, x)),
    "sigmoid": lambda g, x: g.op("Sigmoid", x),
    "hardsigmoid": _hard_sigmoid,
    "tanh": lambda g, x: g.op("Tanh", x),
    "hardtanh": lambda g, x: g.op("Clip", x, g.constant(-1.0), g.constant(1.0)),
    "softsign": lambda g, x: g.op("Softsign", x),
    "softplus": lambda g, x: g.op("Softplus", x),
    "softmax": lambda g, x: g.op("Softmax", x, axis=1),
}
"""Every activation, by the name that a `.net` file gives it."""

RECTIFIERS = frozenset({"relu", "leakyrelu", "relu6", "elu", "gelu", "silu", "mish", "hardswish", "softplus"})


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


class LeakyRelu(ActivationLayer):
    """`leakyrelu(slope)`: x above 0, `slope * x` below."""

    name: ClassVar[str] = "leakyrelu"

    slope: Annotated[float, Field(ge=0, lt=1)] = LEAK

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """One `LeakyRelu`."""
        return low.graph.op("LeakyRelu", x, alpha=self.slope)


class PRelu(Trainable):
    """`prelu`: x above 0, below it x times a trained slope, one for all numbers (He et al., 2015, eq. 1)."""

    name: ClassVar[str] = "prelu"
    takes_variable: ClassVar[bool] = True

    def infer(self, x: TensorType) -> TensorType:
        """Same type."""
        return x

    def parameters(self, x: TensorType) -> tuple[ParameterSpec, ...]:
        """`weight` [1], the slope."""
        return (ParameterSpec("weight", (1,), "quarter", 1, 1),)

    def lower(self, low: Lowering, x: Value, t: TensorType) -> Value:
        """`max(x, 0) - weight * max(-x, 0)`: ONNX Runtime has no `PRelu` in float64, in which gradients are checked."""
        g = low.graph
        below = g.op("Mul", g.op("Relu", g.op("Neg", x)), low.parameters["weight"])
        return g.op("Sub", g.op("Relu", x), below)


LAYERS: tuple[type[Layer], ...] = (*(_layer(a) for a in ACTIVATIONS if a != LeakyRelu.name), LeakyRelu, PRelu)
