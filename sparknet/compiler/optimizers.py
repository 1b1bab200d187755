"""Optimizers: their options, their state and their update, as graph on flat vectors.

All of them work on one flat vector of the trained parameters, so an update is a few elementwise operators whatever the
net. Only LAMB looks at the tensors in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from sparknet.compiler.graph import GraphBuilder, Value

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(ge=0)]

State = dict[str, Value]


@dataclass(frozen=True)
class Update:
    """What an update starts from: flat parameters and gradient, the parts of the state, the learning rate (a scalar).

    `sizes` are the lengths of the tensors that lie one behind the other in the flat vectors.
    """

    p: Value
    grad: Value
    state: State
    lr: Value
    sizes: Sequence[int]


class Optimizer(BaseModel):
    """Base of all optimizers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str]

    lr: Rate

    def state(self, parameters: int) -> tuple[tuple[str, int], ...]:
        """Names and lengths of the parts of the state vector for so many trained parameters."""
        raise NotImplementedError

    def update(self, g: GraphBuilder, u: Update) -> tuple[Value, State]:
        """New parameters and state."""
        raise NotImplementedError


class Sgd(Optimizer):
    """Stochastic gradient descent, with momentum as PyTorch computes it: `b = momentum * b + g; p -= lr * b`.

    `weight_decay * p` is added to the gradient, as in PyTorch, here and in `adam`, `rmsprop` and `adagrad`.
    """

    name: ClassVar[str] = "sgd"

    lr: Rate = 0.01
    momentum: Decay = 0.0
    nesterov: bool = False
    weight_decay: Factor = 0.0

    def state(self, parameters: int) -> tuple[tuple[str, int], ...]:
        """The running sum of gradients, where there is momentum."""
        return (("momentum", parameters),) if self.momentum else ()

    def update(self, g: GraphBuilder, u: Update) -> tuple[Value, State]:
        """As `Optimizer.update`."""
        grad = _with_decay(g, u, self.weight_decay)
        if not self.momentum:
            return _step(g, u.p, grad, u.lr), {}
        buffer = _accumulate(g, u.state["momentum"], grad, self.momentum)
        step = _accumulate(g, buffer, grad, self.momentum) if self.nesterov else buffer
        return _step(g, u.p, step, u.lr), {"momentum": buffer}


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015, algorithm 1), with epsilon outside the square root's bias correction as in PyTorch."""

    name: ClassVar[str] = "adam"

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Rate = 1e-8
    weight_decay: Factor = 0.0

    def state(self, parameters: int) -> tuple[tuple[str, int], ...]:
        """Running sums of the gradient and of its square; `step` counts the updates so far.

        The sums are the running means over `1 - beta1` and `1 - beta2`, which spares two passes over the vectors.
        """
        return (("step", 1), ("gradients", parameters), ("squares", parameters))

    def update(self, g: GraphBuilder, u: Update) -> tuple[Value, State]:
        """As `Optimizer.update`."""
        state = self._sums(g, u, _with_decay(g, u, self.weight_decay))
        direction, factor = self._direction(g, state)
        return _step(g, u.p, direction, g.op("Mul", u.lr, factor)), state

    def _sums(self, g: GraphBuilder, u: Update, grad: Value) -> State:
        return {
            "step": g.op("Add", u.state["step"], g.constant(1.0)),
            "gradients": _accumulate(g, u.state["gradients"], grad, self.beta1),
            "squares": _accumulate(g, u.state["squares"], g.op("Mul", grad, grad), self.beta2),
        }

    def _direction(self, g: GraphBuilder, state: State) -> tuple[Value, Value]:
        """A vector and a scalar, whose product is `(mean / c1) / (sqrt(square / c2) + eps)`, `c1 = 1 - beta1^step`.

        Written so that the corrections cost no pass over the vectors (Kingma & Ba, 2015, end of section 2): it is
        `gradients / (sqrt(squares) + eps root)` times `root (1 - beta1) / c1`, `root = sqrt(c2 / (1 - beta2))`.
        """
        weight = g.constant(1 - self.beta2)
        root = g.op("Sqrt", g.op("Div", _bias_correction(g, self.beta2, state["step"]), weight))
        deviation = g.op("Add", g.op("Sqrt", state["squares"]), g.op("Mul", root, g.constant(self.eps)))
        whole = g.op("Div", _bias_correction(g, self.beta1, state["step"]), g.constant(1 - self.beta1))
        return g.op("Div", state["gradients"], deviation), g.op("Div", root, whole)


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter, 2019, algorithm 2, as in PyTorch)."""

    name: ClassVar[str] = "adamw"

    weight_decay: Factor = 0.01

    def update(self, g: GraphBuilder, u: Update) -> tuple[Value, State]:
        """As `Optimizer.update`; the parameters shrink by `1 - lr * weight_decay` first."""
        state = self._sums(g, u, u.grad)
        shrink = g.op("Sub", g.constant(1.0), g.op("Mul", u.lr, g.constant(self.weight_decay)))
        direction, factor = self._direction(g, state)
        return _step(g, g.op("Mul", u.p, shrink), direction, g.op("Mul", u.lr, factor)), state


class Lamb(Adam):
    """LAMB (You et al., 2020, algorithm 2): AdamW's step, for each tensor made as long as the tensor itself.

    A tensor of zeros, or one whose step is zero, takes the step as it is.
    """

    name: ClassVar[str] = "lamb"

    eps: Rate = 1e-6
    weight_decay: Factor = 0.01

    def update(self, g: GraphBuilder, u: Update) -> tuple[Value, State]:
        """As `Optimizer.update`."""
        state = self._sums(g, u, u.grad)
        step = g.op("Mul", *self._direction(g, state))
        step = g.op("Add", step, g.op("Mul", u.p, g.constant(self.weight_decay)))
        pairs = zip(_pieces(g, u.p, u.sizes), _pieces(g, step, u.sizes), strict=True)
        new = [_step(g, p, s, g.op("Mul", u.lr, _trust(g, p, s))) for p, s in pairs]
        return g.op("Concat", *new, axis=0) if new else u.p, state


class RmsProp(Optimizer):
    """RMSprop (Hinton, 2012, lecture 6e), with PyTorch's options.

    `s = alpha * s + (1 - alpha) * g^2; p -= lr * g / (sqrt(s) + eps)`; `centered` takes the running mean's square from
    `s` (Graves, 2013, eq. 38 to 40), `momentum` sums the steps.
    """

    name: ClassVar[str] = "rmsprop"

    lr: Rate = 0.01
    alpha: Decay = 0.99
    eps: Rate = 1e-8
    momentum: Decay = 0.0
    centered: bool = False
    weight_decay: Factor = 0.0

    def state(self, parameters: int) -> tuple[tuple[str, int], ...]:
        """Running square, and where asked for the running mean and the running step."""
        names = ["square", *["mean"] * self.centered, *["momentum"] * (self.momentum > 0)]
        return tuple((name, parameters) for name in names)

    def update(self, g: GraphBuilder, u: Update) -> tuple[Value, State]:
        """As `Optimizer.update`."""
        grad = _with_decay(g, u, self.weight_decay)
        new = {"square": _blend(g, u.state["square"], g.op("Mul", grad, grad), self.alpha)}
        spread = new["square"]
        if self.centered:
            new["mean"] = _blend(g, u.state["mean"], grad, self.alpha)
            spread = g.op("Sub", spread, g.op("Mul", new["mean"], new["mean"]))
            spread = g.op("Max", spread, g.constant(0.0))  # rounding may bring it below
        step = g.op("Div", grad, g.op("Add", g.op("Sqrt", spread), g.constant(self.eps)))
        if self.momentum:
            step = new["momentum"] = _accumulate(g, u.state["momentum"], step, self.momentum)
        return _step(g, u.p, step, u.lr), new


class Adagrad(Optimizer):
    """Adagrad (Duchi, Hazan & Singer, 2011): `s += g^2; p -= lr * g / (sqrt(s) + eps)`."""

    name: ClassVar[str] = "adagrad"

    lr: Rate = 0.01
    eps: Rate = 1e-10
    weight_decay: Factor = 0.0

    def state(self, parameters: int) -> tuple[tuple[str, int], ...]:
        """The sum of the squared gradients."""
        return (("sum", parameters),)

    def update(self, g: GraphBuilder, u: Update) -> tuple[Value, State]:
        """As `Optimizer.update`."""
        grad = _with_decay(g, u, self.weight_decay)
        total = g.op("Add", u.state["sum"], g.op("Mul", grad, grad))
        step = g.op("Div", grad, g.op("Add", g.op("Sqrt", total), g.constant(self.eps)))
        return _step(g, u.p, step, u.lr), {"sum": total}


# ----- clipping -----


class ClipValue(BaseModel):
    """`clip = value(0.5)`: each number of the gradient kept within `limit` of 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str] = "value"

    limit: Rate

    def clip(self, g: GraphBuilder, grad: Value) -> Value:
        """The clipped flat gradient."""
        return g.op("Clip", grad, g.constant(-self.limit), g.constant(self.limit))


class ClipNorm(BaseModel):
    """`clip = norm(1)`: the whole gradient shortened to length `limit` where it is longer (Pascanu et al., 2013)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
    name: ClassVar[str] = "norm"

    limit: Rate

    def clip(self, g: GraphBuilder, grad: Value) -> Value:
        """The clipped flat gradient; the 1e-6 is that of PyTorch's `clip_grad_norm_`."""
        length = g.op("Add", _length(g, grad), g.constant(1e-6))
        return g.op("Mul", grad, g.op("Min", g.op("Div", g.constant(self.limit), length), g.constant(1.0)))


# ----- what they share -----


def _with_decay(g: GraphBuilder, u: Update, decay: float) -> Value:
    """The gradient of the loss and of `decay / 2 * p^2`."""
    return g.op("Add", u.grad, g.op("Mul", u.p, g.constant(decay))) if decay else u.grad


def _step(g: GraphBuilder, p: Value, direction: Value, rate: Value) -> Value:
    return g.op("Sub", p, g.op("Mul", direction, rate))


def _accumulate(g: GraphBuilder, old: Value, new: Value, decay: float) -> Value:
    return g.op("Add", g.op("Mul", old, g.constant(decay)), new)


def _blend(g: GraphBuilder, old: Value, new: Value, beta: float) -> Value:
    return g.op("Add", g.op("Mul", old, g.constant(beta)), g.op("Mul", new, g.constant(1 - beta)))


def _bias_correction(g: GraphBuilder, beta: float, step: Value) -> Value:
    """`1 - beta^step`, in float64: in float32 the first steps would lose half of the digits to cancellation."""
    power = g.op("Pow", g.constant(beta, "float64"), g.op("Cast", step, to=g.onnx_type("float64")))
    return g.op("Cast", g.op("Sub", g.constant(1.0, "float64"), power), to=g.onnx_type(g.dtype))


def _pieces(g: GraphBuilder, flat: Value, sizes: Sequence[int]) -> tuple[Value, ...]:
    return (flat,) * len(sizes) if len(sizes) < 2 else g.op_n("Split", len(sizes), flat, g.ints(*sizes), axis=0)


def _length(g: GraphBuilder, vector: Value) -> Value:
    return g.op("Sqrt", g.op("ReduceSumSquare", vector, keepdims=0))


def _trust(g: GraphBuilder, p: Value, step: Value) -> Value:
    """`|p| / |step|`, or 1 where either is 0."""
    p, step, zero, one = _length(g, p), _length(g, step), g.constant(0.0), g.constant(1.0)
    usable = g.op("Greater", g.op("Mul", p, step), zero)
    return g.op("Where", usable, g.op("Div", p, g.op("Where", usable, step, one)), one)


AnyOptimizer = Sgd | Adam | AdamW | RmsProp | Adagrad | Lamb
OPTIMIZERS: dict[str, type[AnyOptimizer]] = {o.name: o for o in (Sgd, Adam, AdamW, RmsProp, Adagrad, Lamb)}
Clip = ClipValue | ClipNorm
CLIPS: dict[str, type[Clip]] = {c.name: c for c in (ClipValue, ClipNorm)}
