"""Making tree nodes quickly, and refusing to make them."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

from lark import Token
from pydantic import BaseModel

from sparknet.grammar.syntax import Node, Span

M = TypeVar("M", bound=BaseModel)

_set = object.__setattr__


class Reject(Exception):  # noqa: N818 - never leaves this package
    """Something the grammar accepts and the language does not; `parse.py` turns it into a diagnostic."""

    def __init__(self, code: str, message: str, span: Span, *helps: str) -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.helps = code, message, span, helps


def make(model: type[M], **values: Any) -> M:
    """A node without validation, for values that the grammar vouches for.

    What `model_construct` does, in a third of the time; and pydantic need not build its validators, which would take
    longer than parsing a usual file. The tests hold the result to full validation.
    """
    kind, fields = _form(model)
    if kind is not None:
        values = {"span": values.pop("span"), "kind": kind, **values}
    node = model.__new__(model)
    _set(node, "__dict__", values)
    _set(node, "__pydantic_fields_set__", fields)
    _set(node, "__pydantic_extra__", None)
    _set(node, "__pydantic_private__", None)
    return node


@cache
def _form(model: type[BaseModel]) -> tuple[str | None, set[str]]:
    """The `kind` of a model, and the names of its fields; nodes are frozen, so they may share the set."""
    fields = model.model_fields
    return (fields["kind"].default if "kind" in fields else None), set(fields)


def start(part: Any) -> int:
    """Where a token or a node begins."""
    return cast(int, part.start_pos if isinstance(part, Token) else part.span.start)


def end(part: Any) -> int:
    """Where a token or a node ends."""
    return cast(int, part.end_pos if isinstance(part, Token) else part.span.end)


def join(first: Any, last: Any) -> Span:
    """The span from the beginning of one token or node to the end of another."""
    return make(Span, start=start(first), end=end(last))


def widened(node: Node, span: Span) -> Any:
    """The same node with another span."""
    return make(type(node), **{**node.__dict__, "span": span})


def shifted(value: Any, by: int) -> Any:
    """A tree with all its spans further on."""
    if isinstance(value, Span):
        return make(Span, start=value.start + by, end=value.end + by)
    if isinstance(value, tuple):
        return tuple(shifted(item, by) for item in value)
    if isinstance(value, Node):
        return make(type(value), **{name: shifted(part, by) for name, part in value.__dict__.items()})
    return value
