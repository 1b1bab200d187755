"""Trees as text in one line: the canonical spelling of every expression, type, layer and simple statement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from sparknet.grammar import limits
from sparknet.grammar import syntax as s
from sparknet.grammar.operators import BINDING

_SIGN = max(BINDING.values()) + 1
_NOT = BINDING["not"]
_COMPARISON = BINDING["=="]
_ATOM = _SIGN + 1

_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"})
_BARE_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_POSITIONAL = (1e-4, 1e7)
"""Decimals from the first to below the second are written without an exponent."""


class Speller:
    """Writes nodes in one line.

    With the text that a tree came from, parentheses around an operand stay even where they change nothing, as in
    `(a and b) or c`; without, only those are written that the operators need.
    """

    def __init__(self, text: str = "") -> None:
        self._text = text

    # ----- expressions -----

    def expression(self, node: s.Expr) -> str:
        """An expression."""
        match node:
            case s.Number():
                return number(node.value)
            case s.String():
                return quote(node.value)
            case s.Boolean():
                return "true" if node.value else "false"
            case s.Dims():
                return "x".join(map(str, node.sizes))
            case s.Name():
                return node.text
            case s.ListExpr():
                return f"[{self._joined(node.items)}]"
            case s.MapExpr():
                return f"{{{', '.join(f'{key(e.key)}: {self.expression(e.value)}' for e in node.entries)}}}"
            case s.Unary():
                return "".join(self.operands(node))
            case s.Binary():
                return "".join(self.operands(node))
            case s.Call():
                return self.call(node)

    def operands(self, node: s.Unary | s.Binary) -> tuple[str, ...]:
        """The pieces of an operation: operands, in parentheses where they need them, and the operator."""
        if isinstance(node, s.Unary):
            sign = "-" if node.operator == "-" else "not "
            return sign, self._operand(node.operand, _SIGN if node.operator == "-" else _NOT)
        level = BINDING[node.operator]
        left = self._operand(node.left, level + (level == _COMPARISON))
        return left, f" {node.operator} ", self._operand(node.right, level + 1)

    def needs_parentheses(self, node: s.Expr, least: int) -> bool:
        """Whether an operand of an operator that wants to bind `least` tightly stands in parentheses."""
        return isinstance(node, s.Unary | s.Binary) and (_binding(node) < least or self._has_parentheses(node))

    def _operand(self, node: s.Expr, least: int) -> str:
        text = self.expression(node)
        return f"({text})" if self.needs_parentheses(node, least) else text

    def _has_parentheses(self, node: s.Unary | s.Binary) -> bool:
        first = node.left.span.start if isinstance(node, s.Binary) else node.span.start + 1
        at = node.span.start
        return self._text[at : at + 1] == "(" and first > at

    def _joined(self, items: Sequence[s.Expr]) -> str:
        return ", ".join(map(self.expression, items))

    # ----- calls, types, statements -----

    def call(self, node: s.Call) -> str:
        """A name, with its arguments if it has parentheses."""
        return node.name.text if node.arguments is None else f"{node.name.text}({self.arguments(node.arguments)})"

    def arguments(self, arguments: Sequence[s.Argument]) -> str:
        """Arguments, without what stands around them."""
        return ", ".join(map(self.argument, arguments))

    def argument(self, node: s.Argument) -> str:
        """`value` or `key: value`."""
        return (f"{node.key.text}: " if node.key else "") + self.expression(node.value)

    def parameter(self, node: s.Parameter) -> str:
        """`stride` or `stride = 1`."""
        return node.name.text + (f" = {self.expression(node.default)}" if node.default else "")

    def step(self, node: s.Step) -> str:
        """A layer, a tuple, a block or a value."""
        return self.call(node) if isinstance(node, s.Call) else f"({self._joined(node.items)})"

    def chain(self, node: s.Chain) -> str:
        """Steps and arrows."""
        return " -> ".join(map(self.step, node.steps))

    def type(self, node: s.TypeExpr | s.LikeType) -> str:
        """`float[1, 8, 8]` or `like image`."""
        if isinstance(node, s.LikeType):
            return f"like {node.name.text}"
        return node.name.text + (f"[{self.arguments(node.arguments)}]" if node.arguments else "")

    def statement(self, node: s.Statement) -> str | None:
        """A statement in one line, or None where a body of it holds too much for that."""
        match node:
            case s.Chain():
                return self.chain(node)
            case s.Assign():
                return f"{node.name.text} = {self.chain(node.value)}"
            case s.Input():
                return f"input {node.name.text}: {self.type(node.type)}"
            case s.Output():
                value = f" = {self.chain(node.value)}" if node.value else ""
                return f"output {node.name.text}: {self.type(node.type)}{value}"
            case s.Repeat():
                return self._with_body(f"repeat {self.expression(node.count)}", node.body)
            case s.Part():
                return self._with_body(node.name.text, node.body)
            case s.If():
                return self._if(node)

    def _if(self, node: s.If) -> str | None:
        then = self._with_body(f"if {self.expression(node.condition)}", node.then)
        if not node.orelse:
            return then
        other = self.statement(node.orelse[0]) if is_else_if(node) else self._with_body("", node.orelse)
        return None if then is None or other is None else f"{then} else {other.lstrip()}"

    def _with_body(self, head: str, body: Sequence[s.Statement]) -> str | None:
        braces = self.body(body)
        return None if braces is None else f"{head} {braces}"

    def body(self, body: Sequence[s.Statement]) -> str | None:
        """`{ statement }`."""
        inside = [self.statement(statement) for statement in body]
        if len(inside) > 1 or None in inside:
            return None
        return f"{{ {inside[0]} }}" if inside else "{}"


def is_else_if(node: s.If) -> bool:
    """Whether what follows `else` is another `if`."""
    return len(node.orelse) == 1 and isinstance(node.orelse[0], s.If)


def number(value: float) -> str:
    """A number, decimals with as few digits as hold it."""
    if isinstance(value, int):
        return str(value)
    if value == 0 or _POSITIONAL[0] <= value < _POSITIONAL[1]:
        return repr(value)
    digits = Decimal(repr(value)).normalize()
    return f"{digits:e}".replace("e+", "e")


def quote(value: str) -> str:
    """A text between quotes."""
    return f'"{value.translate(_ESCAPES)}"'


def key(node: s.Identifier) -> str:
    """The key of a map; in quotes unless it reads back without them."""
    is_bare = _BARE_KEY.fullmatch(node.text) and len(node.text) <= limits.NAME_LENGTH
    return node.text if is_bare else quote(node.text)


def _binding(node: s.Expr) -> int:
    """How tightly the outermost operator of an expression binds."""
    if isinstance(node, s.Binary):
        return BINDING[node.operator]
    if isinstance(node, s.Unary):
        return _SIGN if node.operator == "-" else _NOT
    return _ATOM
