"""Optimizers: their options, their state and their update, as graph on flat vectors.

All of them work on one flat vector of P parameters, so an update is a few elementwise operators whatever the net.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sparknet.compiler.graph import GraphBuilder, Value


class Sgd(BaseModel):
    """Stochastic gradient descent, with momentum as PyTorch computes it: `b = momentum * b + g; p -= lr * b`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    name: ClassVar[str] = "sgd"

    lr: float = Field(0.01, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False

    def state(self, parameters: int) -> tuple[tuple[str, int], ...]:
        """Names and lengths of the parts of the state vector."""
        return (("momentum", parameters),) if self.momentum else ()

    def update(
        self, g: GraphBuilder, p: Value, grad: Value, state: dict[str, Value], lr: Value
    ) -> tuple[Value, dict[str, Value]]:
        """New parameters and state from flat parameters, gradient, state and the learning rate (a scalar)."""
        if not self.momentum:
            return g.op("Sub", p, g.op("Mul", grad, lr)), {}
        momentum = g.constant(self.momentum)
        buffer = g.op("Add", g.op("Mul", state["momentum"], momentum), grad)
        step = g.op("Add", g.op("Mul", buffer, momentum), grad) if self.nesterov else buffer
        return g.op("Sub", p, g.op("Mul", step, lr)), {"momentum": buffer}


class Adam(BaseModel):
    """Adam (Kingma & Ba, 2015, algorithm 1), with epsilon outside the square root's bias correction as in PyTorch."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    name: ClassVar[str] = "adam"

    lr: float = Field(0.001, gt=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    eps: float = Field(1e-8, gt=0)

    def state(self, parameters: int) -> tuple[tuple[str, int], ...]:
        """Names and lengths of the parts of the state vector; `step` counts the updates so far."""
        return (("step", 1), ("mean", parameters), ("square", parameters))

    def update(
        self, g: GraphBuilder, p: Value, grad: Value, state: dict[str, Value], lr: Value
    ) -> tuple[Value, dict[str, Value]]:
        """New parameters and state from flat parameters, gradient, state and the learning rate (a scalar)."""
        step = g.op("Add", state["step"], g.constant(1.0))
        mean = _blend(g, state["mean"], grad, self.beta1)
        square = _blend(g, state["square"], g.op("Mul", grad, grad), self.beta2)
        rate = g.op("Div", lr, _bias_correction(g, self.beta1, step))
        scale = g.op("Sqrt", _bias_correction(g, self.beta2, step))
        denominator = g.op("Add", g.op("Div", g.op("Sqrt", square), scale), g.constant(self.eps))
        new = g.op("Sub", p, g.op("Mul", g.op("Div", mean, denominator), rate))
        return new, {"step": step, "mean": mean, "square": square}


def _bias_correction(g: GraphBuilder, beta: float, step: Value) -> Value:
    """`1 - beta^step`, in float64: in float32 the first steps would lose half of the digits to cancellation."""
    power = g.op("Pow", g.constant(beta, "float64"), g.op("Cast", step, to=g.onnx_type("float64")))
    return g.op("Cast", g.op("Sub", g.constant(1.0, "float64"), power), to=g.onnx_type(g.dtype))


def _blend(g: GraphBuilder, old: Value, new: Value, beta: float) -> Value:
    return g.op("Add", g.op("Mul", old, g.constant(beta)), g.op("Mul", new, g.constant(1 - beta)))


Optimizer = Sgd | Adam
OPTIMIZERS: dict[str, type[Optimizer]] = {o.name: o for o in (Sgd, Adam)}
