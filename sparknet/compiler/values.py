"""What was written, with the values of the names in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sparknet.compiler.scope import UNKNOWN, Scope, Sizes, Word, evaluate
from sparknet.grammar import spell, syntax


def with_values(step: syntax.Step, scope: Scope) -> str:
    """A layer or a use of a block, in one line, each expression over lets and parameters as the number that it is."""
    if isinstance(step, syntax.Call) and step.arguments is None:
        return step.name.text
    at, text, parts = step.span.start, scope.source.text, []
    for expr in _computed(step, scope):
        value = evaluate(expr, scope)
        if value is not UNKNOWN:
            parts += [text[at : expr.span.start], _written(value)]
            at = expr.span.end
    return " ".join("".join([*parts, text[at : step.span.end]]).split())


def _computed(step: syntax.Step, scope: Scope) -> Iterator[syntax.Expr]:
    """The arguments that are no plain value, in order."""
    if isinstance(step, syntax.LayerTuple):
        values = step.items
    else:
        values = tuple(argument.value for argument in step.arguments or ())
    for value in values:
        is_let = isinstance(value, syntax.Name) and isinstance(
            scope.names.get(value.text), bool | int | float | Word | Sizes
        )
        if is_let or isinstance(value, syntax.Binary):
            yield value


def _written(value: Any) -> str:
    if isinstance(value, Word):
        return value.text
    if isinstance(value, Sizes):
        return "x".join(map(str, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return spell.number(value)
