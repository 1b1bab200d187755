"""One place where the parser could not go on, with all that may explain it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from lark import Token

from sparknet.grammar.diagnostics import Diagnostic, Label
from sparknet.grammar.layout import Block, Frame, Layout, indent, spot
from sparknet.grammar.source import Source
from sparknet.grammar.syntax import Span
from sparknet.grammar.terminals import in_words
from sparknet.grammar.tree import end, start

_SHOWN = 32
"""Characters of the text that a message repeats."""


@dataclass(frozen=True)
class Fault:
    """The token that was found, what would have been accepted in its place, and what stands around it."""

    layout: Layout
    found: Token
    accepts: frozenset[str]

    @property
    def source(self) -> Source:
        """The text at fault."""
        return self.layout.source

    @property
    def kind(self) -> str:
        """The terminal that was found."""
        return self.found.type

    @property
    def block(self) -> Block:
        """The innermost net, block, section or part."""
        return self.layout.blocks[-1]

    @property
    def bracket(self) -> Frame | None:
        """The innermost open bracket of the entry at hand."""
        return self.layout.bracket

    @property
    def statement(self) -> list[Token]:
        """The tokens of the entry at hand that were accepted."""
        return self.block.statement

    @property
    def first(self) -> str:
        """The terminal that begins the entry at hand."""
        return self.statement[0].type if self.statement else ""

    @property
    def previous(self) -> Token | None:
        """The token before the one that was found."""
        return self.statement[-1] if self.statement else self.block.opener

    @property
    def place(self) -> str:
        """Where the entry at hand stands: `file`, `section` or `body`."""
        if self.block.opener is None:
            return "file"
        outer = self.layout.blocks[-2].statement
        return "section" if outer[0].type in {"DATA", "TRAIN", "PREDICT"} else "body"

    @cached_property
    def span(self) -> Span:
        """The characters of the token; the end of a line or of the file is shown right behind what stands before it."""
        if self.kind in {"_NEWLINE", "$END"}:
            at = end(self.layout.last) if self.layout.last else 0
            return Span(start=at, end=at)
        return spot(self.found)

    @property
    def rest(self) -> str:
        """The line from the token on."""
        begin = start(self.found)
        return self.source.text[begin : begin + 4 * _SHOWN].split("\n", 1)[0]

    @property
    def is_adjacent(self) -> bool:
        """Whether nothing stands between this token and the one before."""
        return self.previous is not None and end(self.previous) == start(self.found)

    @property
    def begins_line(self) -> bool:
        """Whether the token is the first of its line, and not of the entry at hand."""
        return bool(self.statement) and indent(self.source.text, start(self.found))[0]

    def is_outdented(self, token: Token) -> bool:
        """Whether a token begins a line that is indented no deeper than the line where the entry at hand begins."""
        begins_line, blanks = indent(self.source.text, start(token))
        return begins_line and len(blanks) <= len(indent(self.source.text, start(self.statement[0]))[1])

    def follows(self, pattern: str) -> bool:
        """Whether the text from the beginning of the entry at hand fits a pattern."""
        at = start(self.statement[0]) if self.statement else start(self.found)
        return re.compile(pattern).match(self.source.text, at) is not None

    def error(
        self,
        code: str,
        message: str,
        *helps: str,
        span: Span | None = None,
        text: str = "",
        more: tuple[tuple[Token, str], ...] = (),
    ) -> Diagnostic:
        """A diagnostic at the token, or at `span`; `more` tokens are pointed out beside it."""
        labels = [Label(self.source, span or self.span, text)]
        labels += [Label(self.source, spot(token), words) for token, words in more]
        return Diagnostic(code, message, tuple(labels), helps=helps)

    def expected(self, wanted: str = "") -> str:
        """The plain message."""
        return f"expected {wanted or in_words(self.accepts)}, found {self.words}"

    @property
    def words(self) -> str:
        """What was found, in plain words."""
        if self.kind == "_NEWLINE":
            return "the end of the line"
        if self.kind == "$END":
            return "the end of the file"
        return quoted(str(self.found))


def quoted(text: str, shown: int = _SHOWN) -> str:
    """A piece of the text as a message shows it, cut to a length that leaves the message readable."""
    return f"`{text}`" if len(text) <= shown else f"`{text[:shown]}…`"
