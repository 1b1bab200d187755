"""Which bracket or brace the parser is in, and so whether a line end means anything there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lark import Token

from sparknet.grammar import limits
from sparknet.grammar.source import Source
from sparknet.grammar.syntax import Span
from sparknet.grammar.terminals import CLOSERS, OPERATORS, TERMINALS
from sparknet.grammar.tree import Reject, join

_DEEPER = OPERATORS | {"NOT", "ELSE"}
"""What puts one node below another without a bracket."""

_CLOSING = frozenset(CLOSERS.values())
_PLAIN = frozenset(TERMINALS) - set(CLOSERS) - _CLOSING - _DEEPER - {"_COMMA"}
"""What changes nothing but the entry at hand: most of what is read."""


@dataclass(slots=True, eq=False)
class Frame:
    """What stands between an opening sign and its closing one; the outermost frame, which has no opener, is the file.

    `base` is the depth of the tree outside, `height` that of the item at hand, `tallest` that of the items before it.
    """

    opener: Token | None
    title: str
    base: int
    height: int = 0
    tallest: int = 0


@dataclass(slots=True, eq=False)
class Block(Frame):
    """A frame that holds one entry a line. `saved` is the parser's stacks as they were before the entry at hand."""

    statement: list[Token] = field(default_factory=list)
    saved: tuple[list[Any], list[Any]] = ([], [])


class Layout:
    """The frames around the token at hand, innermost last."""

    def __init__(self, source: Source) -> None:
        self.source = source
        outermost = Block(None, "the file", 0)
        self.frames: list[Frame] = [outermost]
        self.blocks = [outermost]
        self.last: Token | None = None
        """The token that was accepted last."""
        self.misfits: list[tuple[Token, Token]] = []
        """Braces that close each other and begin lines of different indentation: one of them may be wrong."""

    @property
    def bracket(self) -> Frame | None:
        """The innermost bracket, if one is open in the entry at hand."""
        return None if self.frames[-1] is self.blocks[-1] else self.frames[-1]

    def ends_entry(self) -> bool:
        """Whether a line end here separates two entries."""
        return self.frames[-1] is self.blocks[-1] and bool(self.blocks[-1].statement)

    def next_entry(self) -> None:
        """Begin an entry, after a line end or an error."""
        block = self.blocks[-1]
        del self.frames[self.frames.index(block) + 1 :]
        block.statement = []
        block.height = block.tallest = 0

    def leave_all(self) -> None:
        """Return to the outermost frame."""
        del self.frames[1:], self.blocks[1:]
        self.next_entry()

    def add(self, token: Token) -> None:
        """Take in a token that the parser has accepted.

        Raises:
            Reject: Where brackets and operators nest too deeply.
        """
        self.last = token
        kind = token.type
        block = self.blocks[-1]
        if kind in _PLAIN:
            pass
        elif kind in CLOSERS:
            self._open(token, block)
        elif kind in _CLOSING:
            self._close(token)
        elif kind in _DEEPER:
            self._deepen(token)
        elif kind == "_COMMA":
            frame = self.frames[-1]
            frame.tallest = max(frame.tallest, frame.height)
            frame.height = 0
        block.statement.append(token)

    def _open(self, token: Token, block: Block) -> None:
        outer = self.frames[-1]
        base = outer.base + outer.height + 1
        title = _title(token, block.statement)
        if token.type == "LBRACE":
            inner = Block(token, title, base)
            self.blocks.append(inner)
            self.frames.append(inner)
        else:
            self.frames.append(Frame(token, title, base))
        self._check(token, base)

    def _close(self, token: Token) -> None:
        frame = self.frames.pop()
        outer = self.frames[-1]
        outer.height = max(outer.height, frame.tallest + 1, frame.height + 1)
        if isinstance(frame, Block):
            self.blocks.pop()
            # The braces belong to the entry outside, whose list of tokens goes on.
            self.blocks[-1].statement.append(token)
            self._compare(frame.opener, token)

    def _deepen(self, token: Token) -> None:
        frame = self.frames[-1]
        frame.height += 1
        self._check(token, frame.base + frame.height)

    def _check(self, token: Token, depth: int) -> None:
        if depth > limits.DEPTH:
            raise Reject(
                "E0126",
                f"brackets and operators nest more than {limits.DEPTH} deep",
                join(token, token),
                "give a part a name of its own with `let` or in a line before",
            )

    def _compare(self, opener: Token | None, closer: Token) -> None:
        if opener is None:
            return
        begins_line, indentation = indent(self.source.text, _at(closer))
        if begins_line and indentation != indent(self.source.text, _at(opener))[1]:
            self.misfits.append((opener, closer))


def indent(text: str, offset: int) -> tuple[bool, str]:
    """Whether only blanks stand before `offset` in its line, and the blanks that begin the line."""
    begin = text.rfind("\n", 0, offset) + 1
    line = text[begin:offset]
    blanks = line[: len(line) - len(line.lstrip(" \t"))]
    return blanks == line, blanks


def spot(token: Token) -> Span:
    """Where a token stands."""
    return join(token, token)


def _at(token: Token) -> int:
    return int(token.start_pos or 0)


def _title(opener: Token, statement: list[Token]) -> str:
    """What an opening sign begins, as in "the arguments of `dense`"."""
    before = statement[-1] if statement else None
    if opener.type == "LBRACE":
        return _block_title(statement)
    if opener.type == "LMAP":
        return "the map"
    is_named = before is not None and before.type in _NAMES
    if opener.type == "LSQB":
        return f"the sizes of `{before}`" if is_named else "the list"
    if is_named:
        return f"the {'parameters' if statement[0].type == 'BLOCK' else 'arguments'} of `{before}`"
    return "the tuple" if before is None or before.type == "_ARROW" else "the parenthesis"


_NAMES = frozenset({"NAME", "INPUT", "OUTPUT", "ENCODER", "DECODER"})


def _block_title(statement: list[Token]) -> str:
    if statement[-1].type == "ELSE":
        return "`else`"
    first = statement[0]
    if first.type in {"NET", "BLOCK"}:
        return f"{first} `{statement[1]}`"
    return f"`{first}`"
