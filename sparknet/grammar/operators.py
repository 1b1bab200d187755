"""Which operator binds how tightly."""

from __future__ import annotations

from collections.abc import Sequence

from lark import Token

from sparknet.grammar.syntax import Binary, Expr, Unary
from sparknet.grammar.tree import Reject, join, make

_LEVELS = (("or",), ("and",), ("not",), ("==", "!=", "<", "<=", ">", ">="), ("+", "-"), ("*", "/", "//", "%"))
BINDING = {operator: level for level, operators in enumerate(_LEVELS) for operator in operators}
"""Operators to levels, loosest first; `-` before an operand is `_SIGN`."""

_NOT = BINDING["not"]
_COMPARISON = BINDING["=="]
_SIGN = len(_LEVELS)


def order(parts: Sequence[Expr | Token]) -> Expr:
    """The tree of operands and operators in a row, by the shunting-yard method, so without recursion.

    Raises:
        Reject: For `a < b < c`, and for a `not` that would have to bind tighter than it does, as in `a + not b`.
    """
    values: list[Expr] = []
    pending: list[tuple[int, Token, bool]] = []
    after_operand = False
    for part in parts:
        if not isinstance(part, Token):
            values.append(part)
            after_operand = True
        elif after_operand:
            level = BINDING[part]
            while pending and pending[-1][0] >= level:
                if pending[-1][0] == level == _COMPARISON:
                    _refuse_comparison(part)
                _apply(values, pending.pop())
            pending.append((level, part, False))
            after_operand = False
        else:
            level = _NOT if part == "not" else _SIGN
            if pending and pending[-1][0] > level:
                _refuse_not(part, pending[-1][1])
            pending.append((level, part, True))
    while pending:
        _apply(values, pending.pop())
    return values[0]


def _apply(values: list[Expr], entry: tuple[int, Token, bool]) -> None:
    _, operator, is_prefix = entry
    right = values.pop()
    if is_prefix:
        values.append(make(Unary, span=join(operator, right), operator=str(operator), operand=right))
    else:
        left = values.pop()
        values.append(make(Binary, span=join(left, right), operator=str(operator), left=left, right=right))


def _refuse_comparison(operator: Token) -> None:
    raise Reject(
        "E0116",
        f"a comparison cannot go on with `{operator}`",
        join(operator, operator),
        "join two comparisons with `and`: `a < b and b < c`",
    )


def _refuse_not(word: Token, operator: Token) -> None:
    raise Reject(
        "E0116",
        f"`not` cannot follow `{operator}`",
        join(word, word),
        "put parentheses around it: `(not ...)`",
    )
