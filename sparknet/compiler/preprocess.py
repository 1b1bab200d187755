"""The arithmetic of a binding, compiled in front of the net, so that every graph takes the column as it is stored."""

from __future__ import annotations

from sparknet.compiler.functions import FUNCTIONS
from sparknet.compiler.graph import GraphBuilder, Value
from sparknet.compiler.scope import Scope, evaluate
from sparknet.grammar import syntax

_OPERATORS = {"+": "Add", "-": "Sub", "*": "Mul", "/": "Div"}


def preprocess(g: GraphBuilder, expression: syntax.Expr, column: Value, scope: Scope) -> Value:
    """Lower a checked binding expression; the call in it is the column itself, all else is numbers."""
    match expression:
        case syntax.Call():
            return _decoded(g, expression.name.text, column)
        case syntax.Name() if expression.text in FUNCTIONS and expression.text not in scope.names:
            return _decoded(g, expression.text, column)
        case syntax.Unary(operator="-"):
            return g.op("Neg", preprocess(g, expression.operand, column, scope))
        case syntax.Binary(operator="+" | "-" | "*" | "/"):
            left = preprocess(g, expression.left, column, scope)
            return g.op(_OPERATORS[expression.operator], left, preprocess(g, expression.right, column, scope))
        case _:
            return g.constant(evaluate(expression, scope))


def _decoded(g: GraphBuilder, name: str, column: Value) -> Value:
    """What a function makes of the numbers that the runtime gives: of pixels from 0 to 255 those from 0 to 1."""
    divisor = FUNCTIONS[name].divisor if name in FUNCTIONS else 1.0
    return column if divisor == 1 else g.op("Div", column, g.constant(divisor))
