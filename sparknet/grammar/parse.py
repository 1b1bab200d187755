"""Text to syntax tree: drives Lark's parser, and after an error goes on with the next entry."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from lark import Token, UnexpectedCharacters, UnexpectedToken
from lark.lexer import LexerState
from lark.parsers.lalr_interactive_parser import InteractiveParser

from sparknet.grammar import limits, misplaced, mistakes, recover
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.fault import UNKNOWN, Fault
from sparknet.grammar.layout import Layout
from sparknet.grammar.reading import check, load
from sparknet.grammar.source import Source
from sparknet.grammar.syntax import File, Span
from sparknet.grammar.tables import grammar
from sparknet.grammar.tree import Reject, start, widened

_BYTE_ORDER_MARK = "\ufeff"

_CONTEXTUAL = frozenset({"IMPORT", "LET", "BLOCK", "NET", "DATA", "TRAIN", "PREDICT", "LIKE"})
"""Keywords that are names wherever the grammar does not ask for them."""


def parse(source: Source | str, name: str = "<string>") -> File:
    """The syntax tree of a text.

    Args:
        source: The text, or a `Source` that knows its name.
        name: What messages call a text that is given as `str`.

    Raises:
        SparkNetError: With a diagnostic for each independent error, in the order of the text.
    """
    if isinstance(source, str):
        source = Source(name, source)
    check(source)
    with _collector_paused():
        return _Run(source).parse()


def parse_file(path: str | os.PathLike[str]) -> File:
    """The syntax tree of a file.

    Raises:
        SparkNetError: Where the file cannot be read or its text is wrong.
    """
    return parse(load(path))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Parsing makes many small objects and no cycles; looking for cycles would take as long as the parsing itself."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Run:
    """One parse. After the first error the tree is no longer wanted, only the other errors."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.layout = Layout(source)
        self.parser: InteractiveParser = grammar().parse_interactive(source.text)
        self.state = self.parser.parser_state
        self.lexer = cast(LexerState, self.parser.lexer_thread.state)
        self.diagnostics: list[Diagnostic] = []
        if source.text.startswith(_BYTE_ORDER_MARK):
            self._go_to(1)

    def parse(self) -> File:
        """The tree, or `SparkNetError`."""
        while True:
            try:
                file = self._read()
                break
            except UnexpectedToken as error:
                offset = self._explain(error.token)
            except UnexpectedCharacters:
                offset = self._explain(self._unknown())
            except Reject as reject:
                offset = self._refuse(reject)
            if offset is None or len(self.diagnostics) >= limits.ERRORS:
                break
            self._go_to(offset)
        if self.diagnostics:
            raise SparkNetError(tuple(self.diagnostics))
        return cast(File, widened(file, Span(start=0, end=len(self.source.text))))

    def _read(self) -> File:
        """Feed tokens to the parser until the end of the text."""
        layout, state = self.layout, self.state
        for token in self.parser.lexer_thread.lex(state):  # type: ignore[no-untyped-call]
            block = layout.blocks[-1]
            if token.type == "_NEWLINE":
                if layout.ends_entry():
                    state.feed_token(token)
                    layout.next_entry()
                continue
            if not block.statement:
                block.saved = (state.state_stack.copy(), state.value_stack.copy())
            state.feed_token(token)
            layout.add(token)
        last = len(self.source.text)
        return cast(File, state.feed_token(Token("$END", "", last, end_pos=last), is_end=True))

    def _unknown(self) -> Token:
        """A token for a character that no terminal begins with."""
        at = self.lexer.line_ctr.char_pos
        return Token(UNKNOWN, self.source.text[at], at, end_pos=at + 1)

    def _explain(self, found: Token) -> int | None:
        """Record what a token that does not fit means, and answer where to go on, if anywhere."""
        accepts = frozenset(self.parser.accepts())  # type: ignore[no-untyped-call]
        layout = self.layout
        if found.type == "LMAP" or (found.type in _CONTEXTUAL and len(layout.blocks) > 1):
            kind = "LBRACE" if found.type == "LMAP" else "NAME"
            found = Token(kind, str(found), found.start_pos, end_pos=found.end_pos)
        fault = Fault(layout, found, accepts)
        diagnostic = mistakes.explain(fault)
        self.diagnostics.append(diagnostic)
        if fault.kind == "$END" or (fault.kind == "ELSE" and diagnostic.code == "E0102"):
            return None
        if diagnostic.code == "E0102" and misplaced.begins_top_level(fault):
            # Braces are missing before a net or a section: read on as if they were there.
            entry = start(fault.statement[0])
            layout.leave_all()
            self._restore()
            return entry
        # A bracket is missing where its line ends, and the token that showed it begins the next entry.
        place = diagnostic.labels[0].span.start if diagnostic.code == "E0102" else start(found)
        entry = start(fault.statement[0]) if fault.statement else start(found)
        return self._after(entry, place, lacks_brace=accepts >= {"LBRACE"})

    def _refuse(self, reject: Reject) -> int | None:
        """Record what the builder refuses."""
        label = Label(self.source, reject.span)
        self.diagnostics.append(Diagnostic(reject.code, reject.message, (label,), helps=reject.helps))
        if reject.code == "E0126":
            return None
        statement = self.layout.blocks[-1].statement
        return self._after(start(statement[0]) if statement else reject.span.start, reject.span.end)

    def _after(self, entry: int, fault: int, *, lacks_brace: bool = False) -> int | None:
        """Forget the entry at hand, and answer where the next one begins."""
        text = self.source.text
        if len(self.layout.blocks) == 1:
            offset: int | None = recover.next_top_level(text, fault)
        else:
            offset = recover.end_of_entry(text, entry, fault, lacks_brace=lacks_brace)
        self.layout.next_entry()
        self._restore()
        return offset

    def _restore(self) -> None:
        """Bring the parser back to where it was before the entry at hand."""
        block = self.layout.blocks[-1]
        if block.saved[0]:
            states, values = block.saved
            self.state.state_stack[:] = states
            self.state.value_stack[:] = values

    def _go_to(self, offset: int) -> None:
        self.lexer.line_ctr.char_pos = offset
