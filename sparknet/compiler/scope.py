"""Expressions and their values."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sparknet.compiler.settings import NOWHERE_ELSE, Placement
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.source import Source
from sparknet.grammar.spell import Speller
from sparknet.grammar.suggest import closest

_LARGEST = 10**18
"""Numbers beyond this are mistakes; the bound also keeps `a * a * a ...` from growing without end."""


MAX_ITEMS = 10_000
"""A list of names of lists of names grows tenfold a line; a list that is longer than this is a mistake."""


CHOOSE, RANGE = "choose", "range"
"""What a choice is written as."""


@dataclass(frozen=True)
class Word:
    """A bare word that no `let` defines: `relu`, `same`."""

    text: str


class Sizes(tuple[int, ...]):
    """Sizes as written, `3x3`, which messages show so."""


_SHOWN, _SHOWN_ITEMS = 64, 12
"""Characters of a text and items of a list that a message repeats."""

BROKEN = object()
"""The value of a `let` that has been complained about: whatever uses it fails without a word."""


UNKNOWN = object()
"""The value of a parameter of a block that is looked at without a use of it, and of what is computed from it."""


@dataclass(frozen=True)
class Scope:
    """The names that an expression may use, and the text it stands in."""

    source: Source
    names: Mapping[str, Any]
    placement: Placement = NOWHERE_ELSE
    block: str | None = None
    """The block that the expressions stand in."""

    def label(self, node: syntax.Node, text: str = "") -> Label:
        """Mark a node of the tree."""
        return Label(*self.placement.place(self.source, node.span), text)

    def error(self, code: str, message: str, node: syntax.Node, *helps: str | None, text: str = "") -> SparkNetError:
        """One diagnostic at `node`, ready to raise."""
        return SparkNetError([Diagnostic(code, message, (self.label(node, text),), (), tuple(h for h in helps if h))])


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def evaluate(expr: syntax.Expr, scope: Scope) -> Any:
    """The value of an expression: int, float, bool, str, Word, tuple (lists, dims) or dict. Raises SparkNetError.

    A name that the scope lacks is a `Word`; whoever uses the value decides whether that word means something. What
    depends on an unknown name is `UNKNOWN`.
    """
    match expr:
        case syntax.Number() | syntax.String() | syntax.Boolean():
            return expr.value
        case syntax.Dims():
            return Sizes(expr.sizes)
        case syntax.Name():
            return _named(expr.text, scope)
        case syntax.ListExpr():
            items = tuple(evaluate(item, scope) for item in expr.items)
            if _extent(items) > MAX_ITEMS:
                raise scope.error("E0208", f"a list of more than {MAX_ITEMS:,} items, lists in it counted", expr)
            return items
        case syntax.MapExpr():
            return {entry.key.text: evaluate(entry.value, scope) for entry in expr.entries}
        case syntax.Unary():
            return _unary(expr, scope)
        case syntax.Binary():
            return _binary(expr, scope)
        case syntax.Call():
            if is_choice(expr):
                raise misplaced(expr, scope)
            raise scope.error("E0202", f"`{expr.name.text}(...)` gives no number here", expr)


def is_choice(expr: object) -> bool:
    """Whether an expression is written as a choice."""
    return isinstance(expr, syntax.Call) and expr.arguments is not None and expr.name.text in (CHOOSE, RANGE)


def misplaced(call: syntax.Call, scope: Scope) -> SparkNetError:
    """The error for a choice where none is made."""
    help = f"name it above the net, `let ... = {Speller().expression(call)}`, and write the name here"
    return scope.error("E0215", "a choice is the whole of a `let`, or stands in a key of a section", call, help)


def _named(name: str, scope: Scope) -> Any:
    value = scope.names.get(name)
    if value is BROKEN:
        raise SparkNetError([])
    return Word(name) if value is None else value


def is_unknown(value: Any) -> bool:
    """Whether a value, or a part of it, is unknown."""
    match value:
        case tuple():
            return any(map(is_unknown, value))
        case dict():
            return any(map(is_unknown, value.values()))
        case _:
            return value is UNKNOWN


def _extent(value: Any) -> int:
    """How many values there are in a list and the lists and maps in it."""
    match value:
        case tuple():
            return 1 + sum(map(_extent, value))
        case dict():
            return 1 + sum(map(_extent, value.values()))
        case _:
            return 1


def _unary(expr: syntax.Unary, scope: Scope) -> Any:
    value = _truth(expr.operand, scope) if expr.operator == "not" else _number(expr.operand, scope)
    if value is UNKNOWN:
        return UNKNOWN
    return not value if expr.operator == "not" else -value


def _binary(expr: syntax.Binary, scope: Scope) -> Any:
    if expr.operator in ("and", "or"):
        return _joined(expr, scope)
    if expr.operator in ("==", "!="):
        both = evaluate(expr.left, scope), evaluate(expr.right, scope)
        return UNKNOWN if is_unknown(both) else _OPERATORS[expr.operator](*both)
    left, right = _number(expr.left, scope), _number(expr.right, scope)
    if expr.operator in ("/", "//", "%") and right == 0:
        raise scope.error("E0207", "division by zero", expr)
    if left is UNKNOWN or right is UNKNOWN:
        return UNKNOWN
    result = _OPERATORS[expr.operator](left, right)
    if expr.operator == "/" and isinstance(left, int) and isinstance(right, int) and left % right == 0:
        result = left // right
    if abs(result) > _LARGEST:
        raise scope.error("E0208", "this number is too large", expr)
    return result


def _joined(expr: syntax.Binary, scope: Scope) -> Any:
    """`and` and `or`, which leave the right side alone where the left one decides."""
    left = _truth(expr.left, scope)
    if left is (expr.operator == "or"):
        return left
    right = _truth(expr.right, scope)
    return right if left is not UNKNOWN or right is (expr.operator == "or") else UNKNOWN


def _number(expr: syntax.Expr, scope: Scope) -> Any:
    """An int or a float, or `UNKNOWN`."""
    value = evaluate(expr, scope)
    if isinstance(value, Word):
        raise unknown_word(value.text, expr, scope)
    if value is not UNKNOWN and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise scope.error("E0207", f"expected a number, found {describe(value)}", expr)
    return value


def _truth(expr: syntax.Expr, scope: Scope) -> Any:
    """A bool, or `UNKNOWN`."""
    value = evaluate(expr, scope)
    if isinstance(value, Word):
        raise unknown_word(value.text, expr, scope)
    if value is not UNKNOWN and not isinstance(value, bool):
        raise scope.error("E0207", f"expected a condition, found {describe(value)}", expr, "compare it: `x != 1`")
    return value


_PYTHON = {
    "True": "write `true`",
    "False": "write `false`",
    "None": "leave it out: what has no value is not written",
}
"""Words of Python, which are none here."""


def unknown_word(word: str, node: syntax.Node, scope: Scope) -> SparkNetError:
    """The error for a name that nothing defines."""
    return scope.error("E0202", f"unknown name `{word}`", node, name_help(word, scope))


def name_help(word: str, scope: Scope) -> str:
    """What to do about a name that nothing defines."""
    if word in _PYTHON:
        return _PYTHON[word]
    near = closest(word, scope.names)
    if near:
        return f"did you mean `{near}`?"
    parameter = f", or make it a parameter: `block {scope.block}({word}, ...)`" if scope.block else ""
    return f"define it above with `let {word} = ...`{parameter}"


def describe(value: Any) -> str:
    """A value as messages show it."""
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case Word():
            return f"`{value.text}`"
        case str():
            return f'the text `"{value if len(value) <= _SHOWN else value[:_SHOWN] + "…"}"`'
        case Sizes():
            return f"`{'x'.join(map(str, value))}`"
        case tuple():
            shown = [*map(str, value[:_SHOWN_ITEMS]), *["…"] * (len(value) > _SHOWN_ITEMS)]
            return f"`[{', '.join(shown)}]`"
        case dict():
            return "a map"
        case _:
            return f"`{value}`"
