"""Making tree nodes quickly, and refusing to make them."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

from lark import Token
from pydantic import BaseModel

from sparknet.grammar.syntax import Node, Span

M = TypeVar("M", bound=BaseModel)

_new, _set = object.__new__, object.__setattr__
_SPAN_FIELDS = {"start", "end"}


class Reject(Exception):  # noqa: N818 - never leaves this package
    """Something the grammar accepts and the language does not; `parse.py` turns it into a diagnostic."""

    def __init__(self, code: str, message: str, span: Span, *helps: str) -> None:
        super().__init__(message)
        self.code, self.message, self.span, self.helps = code, message, span, helps


def make(model: type[M], *, span: Span, **values: Any) -> M:
    """A node without validation, for values that the grammar vouches for.

    What `model_construct` does, in a third of the time; and pydantic need not build its validators, which would take
    longer than parsing a usual file. The tests hold the result to full validation.
    """
    kind, fields = _form(model)
    node = _new(model)
    _set(node, "__dict__", {"span": span, **values} if kind is None else {"span": span, "kind": kind, **values})
    _set(node, "__pydantic_fields_set__", fields)
    _set(node, "__pydantic_extra__", None)
    _set(node, "__pydantic_private__", None)
    return node


def span_of(begin: int, stop: int) -> Span:
    """A span without validation."""
    span = _new(Span)
    _set(span, "__dict__", {"start": begin, "end": stop})
    _set(span, "__pydantic_fields_set__", _SPAN_FIELDS)
    _set(span, "__pydantic_extra__", None)
    _set(span, "__pydantic_private__", None)
    return span


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
    begin: Any = first.start_pos if type(first) is Token else first.span.start
    stop: Any = last.end_pos if type(last) is Token else last.span.end
    return span_of(begin, stop)


def widened(node: Node, span: Span) -> Any:
    """The same node with another span."""
    return make(type(node), **{**node.__dict__, "span": span})


def shifted(value: Any, by: int) -> Any:
    """A tree with all its spans further on."""
    if isinstance(value, Span):
        return span_of(value.start + by, value.end + by)
    if isinstance(value, tuple):
        return tuple(shifted(item, by) for item in value)
    if isinstance(value, Node):
        return make(type(value), **{name: shifted(part, by) for name, part in value.__dict__.items()})
    return value
