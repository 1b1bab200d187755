"""Gradients of operators that work number by number."""

from __future__ import annotations

from math import pi, sqrt

from sparknet.compiler.gradients.base import Backward, Rule
from sparknet.compiler.graph import Value


def _positive(n: Backward) -> Value:
    """1 where the result is above 0, as the input is there and nowhere else."""
    return n.mask("Greater", n.y, n.constant(0.0))


def _leaky_relu(n: Backward) -> tuple[Value]:
    alpha = n.attribute("alpha", 0.01)
    slope = n.op(
        "Add", n.op("Mul", n.mask("Greater", n.x(), n.constant(0.0)), n.constant(1 - alpha)), n.constant(alpha)
    )
    return (n.op("Mul", n.dy, slope),)


def _one_minus(n: Backward, value: Value) -> Value:
    return n.op("Sub", n.constant(1.0), value)


def _div(n: Backward) -> tuple[Value, Value]:
    dx = n.op("Div", n.dy, n.x(1))
    return n.sum_to(dx, 0), n.sum_to(n.op("Neg", n.op("Mul", dx, n.y)), 1)


def _pow(n: Backward) -> tuple[Value, Value]:
    a, b = n.x(0), n.x(1)
    da = n.op("Mul", n.op("Mul", n.dy, b), n.op("Pow", a, n.op("Sub", b, n.constant(1.0))))
    db = n.op("Mul", n.op("Mul", n.dy, n.y), n.op("Log", a))
    return n.sum_to(da, 0), n.sum_to(db, 1)


def _elu(n: Backward) -> tuple[Value]:
    """For x < 0, `y = alpha (e^x - 1)`, so `y' = y + alpha`; else 1."""
    alpha = n.attribute("alpha", 1.0)
    slope = n.op("Add", n.op("Min", n.y, n.constant(0.0)), n.constant(alpha))
    if alpha != 1:
        slope = n.op("Add", slope, n.op("Mul", _positive(n), n.constant(1 - alpha)))
    return (n.op("Mul", n.dy, slope),)


def _erf(n: Backward) -> tuple[Value]:
    bell = n.op("Exp", n.op("Neg", n.op("Mul", n.x(), n.x())))
    return (n.op("Mul", n.dy, n.op("Mul", bell, n.constant(2 / sqrt(pi)))),)


def _where(n: Backward) -> tuple[None, Value, Value]:
    chosen = n.op("Cast", n.x(0), to=n.g.onnx_type(n.g.dtype))
    first = n.op("Mul", n.dy, chosen)
    return None, n.sum_to(first, 1), n.sum_to(n.op("Sub", n.dy, first), 2)


def _clip(n: Backward) -> list[Value | None]:
    """Within the bounds, and on them, the number passes; beyond one, that bound does. A bound may be left out."""
    dx, bounds = n.dy, dict[int, Value]()
    for i, beyond in ((1, "Less"), (2, "Greater")):
        if len(n.node.inputs) > i and n.x(i):
            out = n.mask(beyond, n.x(), n.x(i))
            dx = n.op("Mul", dx, _one_minus(n, out))
            bounds[i] = n.sum_to(n.op("Mul", n.dy, out), i)
    return [dx, *(bounds.get(i) for i in range(1, len(n.node.inputs)))]


def _extremum(n: Backward) -> list[Value]:
    """`Max` and `Min` of several inputs: equal ones share the gradient equally, as in PyTorch."""
    hits = [n.mask("Equal", n.x(i), n.y) for i in range(len(n.node.inputs))]
    share = n.op("Div", n.dy, n.op("Sum", *hits))
    return [n.sum_to(n.op("Mul", share, hit), i) for i, hit in enumerate(hits)]


def _mean(n: Backward) -> list[Value]:
    count = len(n.node.inputs)
    dy = n.op("Div", n.dy, n.constant(float(count)))
    return [n.sum_to(dy, i) for i in range(count)]


def _rooted(n: Backward, sign: float, constant: float) -> Value:
    """`dy / sqrt(constant + sign x^2)`."""
    square = n.op("Mul", n.op("Mul", n.x(), n.x()), n.constant(sign))
    return n.op("Div", n.dy, n.op("Sqrt", n.op("Add", square, n.constant(constant))))


def _fraction(n: Backward, sign: float) -> Value:
    """`dy / (1 + sign x^2)`."""
    square = n.op("Mul", n.op("Mul", n.x(), n.x()), n.constant(sign))
    return n.op("Div", n.dy, n.op("Add", square, n.constant(1.0)))


RULES: dict[str, Rule] = {
    # ----- one input -----
    "Identity": lambda n: [n.dy],
    "Neg": lambda n: [n.op("Neg", n.dy)],
    "Exp": lambda n: [n.op("Mul", n.dy, n.y)],
    "Log": lambda n: [n.op("Div", n.dy, n.x())],
    "Sqrt": lambda n: [n.op("Div", n.op("Mul", n.dy, n.constant(0.5)), n.y)],
    "Abs": lambda n: [n.op("Mul", n.dy, n.op("Sign", n.x()))],
    "Erf": _erf,
    "Relu": lambda n: [n.op("Mul", n.dy, _positive(n))],
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "Sigmoid": lambda n: [n.op("Mul", n.dy, n.op("Mul", n.y, _one_minus(n, n.y)))],
    "Tanh": lambda n: [n.op("Mul", n.dy, _one_minus(n, n.op("Mul", n.y, n.y)))],
    "Softplus": lambda n: [n.op("Mul", n.dy, n.op("Sigmoid", n.x()))],
    "Reciprocal": lambda n: [n.op("Neg", n.op("Mul", n.dy, n.op("Mul", n.y, n.y)))],
    "Sin": lambda n: [n.op("Mul", n.dy, n.op("Cos", n.x()))],
    "Cos": lambda n: [n.op("Neg", n.op("Mul", n.dy, n.op("Sin", n.x())))],
    "Tan": lambda n: [n.op("Mul", n.dy, n.op("Add", n.op("Mul", n.y, n.y), n.constant(1.0)))],
    "Asin": lambda n: [_rooted(n, -1.0, 1.0)],
    "Acos": lambda n: [n.op("Neg", _rooted(n, -1.0, 1.0))],
    "Atan": lambda n: [_fraction(n, 1.0)],
    "Sinh": lambda n: [n.op("Mul", n.dy, n.op("Cosh", n.x()))],
    "Cosh": lambda n: [n.op("Mul", n.dy, n.op("Sinh", n.x()))],
    "Asinh": lambda n: [_rooted(n, 1.0, 1.0)],
    "Acosh": lambda n: [_rooted(n, 1.0, -1.0)],
    "Atanh": lambda n: [_fraction(n, -1.0)],
    "Clip": _clip,
    # ----- several inputs, broadcast against each other -----
    "Add": lambda n: [n.sum_to(n.dy, 0), n.sum_to(n.dy, 1)],
    "Sub": lambda n: [n.sum_to(n.dy, 0), n.op("Neg", n.sum_to(n.dy, 1))],
    "Mul": lambda n: [n.sum_to(n.op("Mul", n.dy, n.x(1)), 0), n.sum_to(n.op("Mul", n.dy, n.x(0)), 1)],
    "Div": _div,
    "Pow": _pow,
    "Where": _where,
    "Sum": lambda n: [n.sum_to(n.dy, i) for i in range(len(n.node.inputs))],
    "Mean": _mean,
    "Max": _extremum,
    "Min": _extremum,
}
