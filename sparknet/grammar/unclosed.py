"""Brackets and braces that are not closed, and closing ones that nothing opened."""

from __future__ import annotations

from lark import Token

from sparknet.grammar import misplaced
from sparknet.grammar.diagnostics import Diagnostic
from sparknet.grammar.fault import Fault
from sparknet.grammar.layout import Frame, indent
from sparknet.grammar.syntax import Span
from sparknet.grammar.terminals import CLOSERS, SIGNS
from sparknet.grammar.tree import end, start


def brace(fault: Fault) -> Diagnostic | None:
    """A `}` that is missing before the next net or section, or before the end of the file."""
    opener = fault.block.opener
    if opener is None or fault.bracket is not None:
        return None
    if fault.kind == "$END" or (fault.kind == "ELSE" and fault.block.title == "`if`"):
        return _missing_brace(fault, opener, fault.words, fault.span)
    if not misplaced.begins_top_level(fault):
        return None
    first = fault.statement[0]
    if len(indent(fault.source.text, start(first))[1]) > len(indent(fault.source.text, start(opener))[1]):
        return fault.error(
            "E0115",
            f"`{first}` cannot stand inside {fault.block.title}",
            f"move it out of {fault.block.title}, to the outermost level of the file",
            span=Span(start=start(first), end=end(first)),
        )
    return _missing_brace(fault, opener, f"`{first}`", Span(start=start(first), end=end(first)))


def _missing_brace(fault: Fault, opener: Token, words: str, span: Span) -> Diagnostic:
    message = f"expected `}}` to close {fault.block.title}, found {words}"
    more = [(opener, "opened here")]
    help_ = f"close {fault.block.title} with `}}`"
    for inner, closer in fault.layout.misfits:
        if start(inner) > start(opener):
            more += [(inner, "this `{` may be the one that is not closed"), (closer, "its `}` is indented otherwise")]
            help_ = "put the missing `}` where the inner `{` ends"
            break
    return fault.error("E0102", message, help_, span=span, more=tuple(more))


def bracket(fault: Fault) -> Diagnostic | None:
    """A `)`, `]` or `}` that is missing in the entry at hand."""
    frame = fault.bracket
    if frame is None or frame.opener is None or fault.previous is None:
        return None
    closer = CLOSERS[frame.opener.type]
    ends_line = fault.begins_line and (fault.is_outdented(fault.found) or fault.kind in {"_ARROW", "RBRACE"})
    key_begins_line = fault.kind == "EQUAL" and fault.previous.type == "NAME" and fault.is_outdented(fault.previous)
    mismatch = fault.kind in SIGNS and fault.kind != closer
    if not (ends_line or key_begins_line or mismatch or fault.kind == "$END"):
        return None
    last = None
    if ends_line or key_begins_line or fault.kind == "$END":
        last = fault.statement[-2] if key_begins_line else fault.previous
    return missing_bracket(fault, frame, last)


def missing_bracket(fault: Fault, frame: Frame, last: Token | None = None) -> Diagnostic:
    """The closing sign of a bracket is missing before the token at hand, or at the end of the line behind `last`."""
    assert frame.opener is not None  # noqa: S101 - only the file has none
    sign = SIGNS[CLOSERS[frame.opener.type]]
    words, span = fault.words, fault.span
    if last is not None:
        span = Span(start=end(last), end=end(last))
        words = words if fault.kind == "$END" else "the end of the line"
    return fault.error(
        "E0102",
        f"expected `{sign}` to close {frame.title}, found {words}",
        f"close {frame.title} with `{sign}`",
        span=span,
        more=((frame.opener, "opened here"),),
    )


def closes_nowhere(fault: Fault) -> bool:
    """Whether the rest of the line closes no more brackets than it opens."""
    rest = fault.rest.split("#")[0]
    return sum(map(rest.count, ")]")) <= sum(map(rest.count, "(["))


def nothing_to_close(fault: Fault) -> Diagnostic | None:
    """A `)`, `]` or `}` too many."""
    if fault.kind not in SIGNS or fault.bracket is not None:
        return None
    if fault.kind == "RBRACE" and fault.place != "file":
        return None
    if fault.place == "file" and fault.statement and fault.statement[-1].type != "RBRACE":
        return None
    more = misplaced.closed_early(fault) if fault.kind == "RBRACE" else ()
    return fault.error("E0103", f"unexpected `{fault.found}`, which closes nothing", "remove it", more=more)
