"""The arithmetic of a binding, compiled in front of the net, so that every graph takes the column as it is stored."""

from __future__ import annotations

from collections.abc import Mapping

from sparknet.compiler.functions import FUNCTIONS, Standardize
from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.layers import ParameterSpec
from sparknet.compiler.scope import Scope, evaluate
from sparknet.compiler.types import TensorType
from sparknet.grammar import syntax

_OPERATORS = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div"}


def preprocess(
    g: GraphBuilder, expression: syntax.Expr, column: Value, scope: Scope, own: Mapping[str, Value]
) -> Value:
    """Lower a checked binding expression; the call in it is the column itself, all else is numbers.

    `own` holds the tensors of `standards` where the column is standardized.
    """
    match expression:
        case syntax.Call():
            return _decoded(g, expression.name.text, column, own)
        case syntax.Name() if expression.text in (*FUNCTIONS, Standardize.name) and expression.text not in scope.names:
            return _decoded(g, expression.text, column, own)
        case syntax.Unary(operator="-"):
            return g.op("Neg", preprocess(g, expression.operand, column, scope, own))
        case syntax.Binary(operator="+" | "-" | "*" | "/"):
            left = preprocess(g, expression.left, column, scope, own)
            return g.op(_OPERATORS[expression.operator], left, preprocess(g, expression.right, column, scope, own))
        case _:
            return g.constant(evaluate(expression, scope))


def _decoded(g: GraphBuilder, name: str, column: Value, own: Mapping[str, Value]) -> Value:
    """What a function makes of the numbers that the runtime gives: of pixels from 0 to 255 those from 0 to 1."""
    if own:
        return g.op("Div", g.op("Sub", column, own["mean"]), own["deviation"])
    divisor = FUNCTIONS[name].divisor if name in FUNCTIONS else 1.0
    return column if divisor == 1 else g.op("Div", column, g.constant(divisor))


def standards(t: TensorType, axis: int) -> tuple[ParameterSpec, ...]:
    """The mean and the deviation of an input along an axis: 0 and 1 until a run learns them; no step changes them."""
    shape = tuple(size if at == axis else 1 for at, size in enumerate(t.shape))
    return (
        ParameterSpec("mean", shape, "zeros", 0, 0, kind="frozen"),
        ParameterSpec("deviation", shape, "ones", 0, 0, kind="frozen"),
    )
