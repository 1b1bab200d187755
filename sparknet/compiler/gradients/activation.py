"""Gradients of activations that ONNX has as operators of their own, beyond those that are plain functions."""

from __future__ import annotations

from math import pi, sqrt

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
_CUBE = 0.044715


def _times(n: Backward, slope: Value) -> list[Value | None]:
    return [n.op("Mul", n.dy, slope)]


def _scaled(n: Backward, value: Value, factor: float) -> Value:
    return value if factor == 1 else n.op("Mul", value, n.constant(factor))


def _plus(n: Backward, value: Value, number: float) -> Value:
    return n.op("Add", value, n.constant(number))


def _positive(n: Backward) -> Value:
    return n.mask("Greater", n.x(), n.constant(0.0))


def _selu(n: Backward) -> list[Value | None]:
    """`gamma x` above 0, below it `gamma alpha (e^x - 1)`, whose slope is `y + gamma alpha`."""
    gamma = n.attribute("gamma", _SELU_GAMMA)
    product = gamma * n.attribute("alpha", _SELU_ALPHA)
    below = _plus(n, n.op("Min", n.y, n.constant(0.0)), product)
    return _times(n, n.op("Add", below, _scaled(n, _positive(n), gamma - product)))


def _celu(n: Backward) -> list[Value | None]:
    """Below 0 `alpha (e^(x / alpha) - 1)`, whose slope is `y / alpha + 1`; else x."""
    below = n.op("Min", n.y, n.constant(0.0))
    return _times(n, _plus(n, _scaled(n, below, 1 / n.attribute("alpha", 1.0)), 1.0))


def _hard_sigmoid(n: Backward) -> list[Value | None]:
    inside = n.op("Mul", n.mask("Greater", n.y, n.constant(0.0)), n.mask("Less", n.y, n.constant(1.0)))
    return _times(n, _scaled(n, inside, n.attribute("alpha", 0.2)))


def _hard_swish(n: Backward) -> list[Value | None]:
    """`x h(x)`, `h(x) = x / 6 + 1 / 2` within 0 and 1: the slope is `h(x) + x h'(x)`."""
    sixth = _scaled(n, n.x(), 1 / 6)
    h = n.op("Clip", _plus(n, sixth, 0.5), n.constant(0.0), n.constant(1.0))
    inside = n.mask("Less", n.op("Abs", n.x()), n.constant(3.0))
    return _times(n, n.op("Add", h, n.op("Mul", sixth, inside)))


def _gelu(n: Backward) -> list[Value | None]:
    """`x F(x)` with the normal distribution `F`, or its approximation by `tanh` (Hendrycks & Gimpel, 2016)."""
    x = n.x()
    square = n.op("Mul", x, x)
    if n.attribute("approximate", "none") == "tanh":
        root = sqrt(2 / pi)
        inner = n.op("Mul", x, _plus(n, _scaled(n, square, root * _CUBE), root))
        t = n.op("Tanh", inner)
        slope = _plus(n, _scaled(n, square, 3 * root * _CUBE), root)
        rest = n.op("Mul", n.op("Mul", x, slope), n.op("Sub", n.constant(1.0), n.op("Mul", t, t)))
        return _times(n, _scaled(n, n.op("Add", _plus(n, t, 1.0), rest), 0.5))
    distribution = _scaled(n, _plus(n, n.op("Erf", _scaled(n, x, sqrt(0.5))), 1.0), 0.5)
    density = _scaled(n, n.op("Exp", _scaled(n, square, -0.5)), 1 / sqrt(2 * pi))
    return _times(n, n.op("Add", distribution, n.op("Mul", x, density)))


def _mish(n: Backward) -> list[Value | None]:
    """`x t`, `t = tanh(softplus(x))`: the slope is `t + x (1 - t^2) sigmoid(x)`."""
    t = n.op("Tanh", n.op("Softplus", n.x()))
    rest = n.op("Mul", n.op("Sub", n.constant(1.0), n.op("Mul", t, t)), n.op("Sigmoid", n.x()))
    return _times(n, n.op("Add", t, n.op("Mul", n.x(), rest)))


def _softsign(n: Backward) -> list[Value | None]:
    spread = _plus(n, n.op("Abs", n.x()), 1.0)
    return [n.op("Div", n.dy, n.op("Mul", spread, spread))]


def _prelu(n: Backward) -> list[Value | None]:
    """`x` above 0, `slope x` below; the slope is broadcast."""
    above = _positive(n)
    below = n.op("Sub", n.constant(1.0), above)
    slope = n.op("Add", above, n.op("Mul", below, n.x(1)))
    return [n.op("Mul", n.dy, slope), n.sum_to(n.op("Mul", n.dy, n.op("Mul", below, n.x())), 1)]


RULES: dict[str, Rule] = {
    "Selu": _selu,
    "Celu": _celu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Gelu": _gelu,
    "Mish": _mish,
    "Softsign": _softsign,
    "ThresholdedRelu": lambda n: _times(n, n.mask("Greater", n.x(), n.constant(n.attribute("alpha", 1.0)))),
    "PRelu": _prelu,
}
