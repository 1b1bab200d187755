"""Entries with comments: what comes before, behind and inside them, and expressions over several lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import cast

from sparknet.grammar import syntax as s
from sparknet.grammar.comments import Comment, Comments
from sparknet.grammar.page import INDENT, WIDTH, Page
from sparknet.grammar.spell import Speller, key

Bracket = tuple[str, Sequence[s.Node], str]
"""An opening sign, what stands behind it, and the closing sign."""


class Writer:
    """Writes entries on a page, with the comments of the text that they came from, if they came from one."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.page = Page()
        self.comments = Comments(text or "")
        self.spell = Speller(text or "")

    # ----- expressions over several lines -----

    def expression(self, node: s.Expr, indent: int) -> None:
        """An expression, its brackets opened up where it is too long or has comments inside."""
        flat = self.spell.expression(node)
        if self.is_flat(flat, node.span):
            self.page.write(flat)
            return
        match node:
            case s.Call():
                self.page.write(node.name.text)
                if node.arguments is not None:
                    self.bracketed(("(", node.arguments, ")"), indent, node.name.span.end, node.span.end)
            case s.ListExpr():
                self.bracketed(("[", node.items, "]"), indent, node.span.start, node.span.end)
            case s.MapExpr():
                self.bracketed(("{", node.entries, "}"), indent, node.span.start, node.span.end)
            case s.Unary():
                self.page.write(self.spell.operands(node)[0])
                self._operand(node, node.operand, 1, indent)
            case s.Binary():
                self._operand(node, node.left, 0, indent)
                self.page.write(self.spell.operands(node)[1])
                self._operand(node, node.right, 2, indent)
            case _:
                self.page.write(flat)

    def _operand(self, node: s.Unary | s.Binary, operand: s.Expr, position: int, indent: int) -> None:
        in_parentheses = self.spell.operands(node)[position] != self.spell.expression(operand)
        self.page.write("(" * in_parentheses)
        self.expression(operand, indent)
        self.page.write(")" * in_parentheses)

    def bracketed(self, bracket: Bracket, indent: int, begin: int, end: int) -> None:
        """A bracket with one item a line, between two offsets of the text."""
        opening, items, closing = bracket
        if not items and not self.comments.between(begin, end):
            self.page.write(opening + closing)
            return
        inner = indent + INDENT
        self.page.write(opening)
        self.end_line(begin, items[0].span.start if items else end)
        for position, item in enumerate(items):
            self.leads(item, inner, first=True)
            self.page.open(inner)
            self._inner(item, inner)
            self.page.write(",")
            following = items[position + 1].span.start if position + 1 < len(items) else end
            self.end_line(item.span.end, following)
        self.rest(end, inner, first=True)
        self.page.open(indent)
        self.page.write(closing)

    def _inner(self, item: s.Node, indent: int) -> None:
        match item:
            case s.Argument():
                self.page.write(f"{item.key.text}: " if item.key else "")
                self.expression(item.value, indent)
            case s.MapEntry():
                self.page.write(f"{key(item.key)}: ")
                self.expression(item.value, indent)
            case s.Parameter():
                self.page.write(item.name.text + (" = " if item.default else ""))
                if item.default:
                    self.expression(item.default, indent)
            case _:
                self.expression(cast(s.Expr, item), indent)

    # ----- comments, blank lines, widths -----

    def leads(self, node: s.Node, indent: int, *, first: bool) -> None:
        """What comes in lines of its own before an entry: its comments, and at most one blank line."""
        before = self.comments.take_before(node.span.start) if self.text is not None else []
        self._alone(before, indent, first=first)
        if (before or not first) and self.blank_before(node.span.start):
            self.page.blank()
        self.hoist(self._loose(node), indent)

    def rest(self, end: int, indent: int, *, first: bool) -> None:
        """The comments that are left before a closing sign, or before an arrow."""
        if self.text is not None:
            self._alone(self.comments.take_before(end), indent, first=first)

    def _alone(self, comments: Iterable[Comment], indent: int, *, first: bool) -> None:
        for comment in comments:
            if not first and self.blank_before(comment.start):
                self.page.blank()
            self.page.alone(indent, comment.text)
            first = False

    def hoist(self, comments: Sequence[Comment], indent: int) -> None:
        """Comments from places that the layout does not have, in front of the line at hand."""
        self.comments.take(comments)
        for comment in comments:
            self.page.alone(indent, comment.text)

    def _loose(self, node: s.Node) -> list[Comment]:
        """The comments in an entry that stand in none of its brackets or bodies, and between no two steps."""
        inside = self.comments.between(node.span.start, node.span.end)
        if not inside:
            return []
        places = list(_places(node))
        return [c for c in inside if not any(begin <= c.start < end for begin, end in places)]

    def end_line(self, place: int, before: int | None = None) -> None:
        """End the line at hand, with the comment that stands behind `place` in its line."""
        comment = None
        if self.text is not None:
            comment = self.comments.take_behind(place, len(self.text) if before is None else before)
        self.page.close(comment.text if comment else "")

    def blank_before(self, place: int) -> bool:
        """Whether the line above that of `place` is empty."""
        return self.text is not None and self.comments.blank_before(place)

    def fits(self, flat: str) -> bool:
        """Whether a piece of one line fits behind what is written."""
        return self.page.column + len(flat) <= WIDTH

    def is_flat(self, flat: str, span: s.Span) -> bool:
        """Whether a piece goes in one line, as it fits and has no comments inside."""
        return self.fits(flat) and not self.comments.between(span.start, span.end)


def _places(node: s.Node) -> Iterator[tuple[int, int]]:
    """The ranges of an entry in which comments keep their places: brackets, bodies, and what lies between two steps."""
    match node:
        case s.Call() | s.TypeExpr() | s.Part() | s.Net() | s.Block() | s.Section():
            yield node.name.span.end, node.span.end
        case s.ListExpr() | s.MapExpr() | s.LayerTuple():
            yield node.span.start, node.span.end
        case s.Repeat(count=head) | s.If(condition=head):
            yield from _places(head)
            yield head.span.end, node.span.end
        case _:
            if isinstance(node, s.Chain):
                yield from ((before.span.end, behind.span.start) for before, behind in pairwise(node.steps))
            for child in _children(node):
                yield from _places(child)


def _children(node: s.Node) -> Iterator[s.Node]:
    for value in node.__dict__.values():
        parts = value if isinstance(value, tuple) else (value,)
        yield from (part for part in parts if isinstance(part, s.Node))
