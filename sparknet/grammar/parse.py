"""Text to syntax tree: drives the automaton, and after an error goes on with the next entry."""

from __future__ import annotations

import os
from typing import Any, cast

from lark import Token

from sparknet.grammar import limits, misplaced, mistakes, recover
from sparknet.grammar.collector import collector_paused
from sparknet.grammar.diagnostics import Diagnostic, Label, SparkNetError
from sparknet.grammar.fault import Fault
from sparknet.grammar.layout import Layout
from sparknet.grammar.machine import END, Unexpected, machine, token
from sparknet.grammar.reading import check, load
from sparknet.grammar.source import Source
from sparknet.grammar.syntax import File, Span
from sparknet.grammar.tree import Reject, end, start, widened

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
    with collector_paused():
        return _Run(source).parse()


def parse_file(path: str | os.PathLike[str]) -> File:
    """The syntax tree of a file.

    Raises:
        SparkNetError: Where the file cannot be read or its text is wrong.
    """
    return parse(load(path))


class _Run:
    """One parse. After the first error the tree is no longer wanted, only the other errors."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.layout = Layout(source)
        self.machine = machine()
        self.states = [self.machine.start]
        self.values: list[Any] = []
        self.position = 1 if source.text.startswith(_BYTE_ORDER_MARK) else 0
        self.diagnostics: list[Diagnostic] = []

    def parse(self) -> File:
        """The tree, or `SparkNetError`."""
        while True:
            try:
                file = self._read()
                break
            except Unexpected as unexpected:
                offset = self._explain(unexpected.token)
            except Reject as reject:
                offset = self._refuse(reject)
            if offset is None or len(self.diagnostics) >= limits.ERRORS:
                break
            self.position = offset
        if self.diagnostics:
            raise SparkNetError(tuple(self.diagnostics))
        return cast(File, widened(file, Span(start=0, end=len(self.source.text))))

    def _read(self) -> File:
        """Feed tokens to the automaton until the end of the text."""
        text, states, layout, feed = self.source.text, self.states, self.layout, self._feed
        matches, ignored = self.machine.matches, self.machine.ignored
        while True:
            match = matches[states[-1]](text, self.position)
            if match is None:
                found = self.machine.any_token(text, self.position)
                if found.type == END:
                    break
                raise Unexpected(found)
            kind = match.lastgroup or ""
            begin, self.position = match.span(kind)
            if kind in ignored:
                continue
            found = token(kind, match[kind], begin, self.position)
            if kind == "_NEWLINE":
                if layout.ends_entry():
                    feed(found)
                    layout.next_entry()
                continue
            block = layout.blocks[-1]
            if not block.statement:
                block.saved = (states.copy(), self.values.copy())
            feed(found)
            layout.add(found)
        return cast(File, feed(token(END, "", len(text), len(text))))

    def _feed(self, found: Token) -> Any:
        """Shift a token after the reductions that it asks for; at the end of the text, the file."""
        actions, states, values, kind = self.machine.actions, self.states, self.values, found.type
        while True:
            action = actions[states[-1]].get(kind)
            if type(action) is int:
                states.append(action)
                values.append(found)
                return None
            if action is None:
                raise Unexpected(found)
            size, origin, build = action
            if build is None:
                states[-1] = actions[states[-2]][origin]
                continue
            parts = values[-size:] if size else []
            del states[len(states) - size :], values[len(values) - size :]
            values.append(build(parts))
            states.append(actions[states[-1]][origin])
            if states[-1] == self.machine.end:
                return values[-1]

    def _explain(self, found: Token) -> int | None:
        """Record what a token that does not fit means, and answer where to go on, if anywhere."""
        accepts = self.machine.accepts(self.states)
        layout = self.layout
        if found.type == "LMAP" or (found.type in _CONTEXTUAL and len(layout.blocks) > 1):
            kind = "LBRACE" if found.type == "LMAP" else "NAME"
            found = token(kind, str(found), start(found), end(found))
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
            self.states[:] = states
            self.values[:] = values
