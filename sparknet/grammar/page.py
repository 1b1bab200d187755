"""Lines of formatted text while they are written, and the column of the comments behind them."""

from __future__ import annotations

from dataclasses import dataclass

WIDTH = 100
"""Columns of code in a line; comments may reach further."""
INDENT = 2

_COMMENT_COLUMN = 38
"""Where the comments behind code begin, unless a line of the group reaches further."""
_FURTHEST = 64
"""A line that reaches further has its comment right behind it, and does not move those of its neighbours."""


@dataclass
class _Line:
    code: str
    group: int
    comment: str = ""


class Page:
    """What has been written so far; `column` is where the next piece goes."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._group = 0
        self._current = ""

    @property
    def column(self) -> int:
        """The column behind the line at hand."""
        return len(self._current)

    def open(self, indent: int) -> None:
        """Begin a line."""
        self._current = " " * indent

    def write(self, text: str) -> None:
        """Go on with the line at hand."""
        self._current += text

    def close(self, comment: str = "") -> None:
        """End the line at hand, with a comment behind it."""
        self._lines.append(_Line(self._current.rstrip(), self._group, comment))
        self._current = ""

    def alone(self, indent: int, comment: str) -> None:
        """A line that is a comment; within an entry it comes before the line at hand."""
        self._lines.append(_Line(" " * indent + comment, self._group))

    def blank(self) -> None:
        """An empty line, unless there is one or the text begins here."""
        if self._lines and self._lines[-1].code:
            self._lines.append(_Line("", self._group))

    def regroup(self) -> None:
        """From here on comments have a column of their own."""
        self._group += 1

    @property
    def at_begin(self) -> bool:
        """Whether nothing is written yet."""
        return not self._lines

    def text(self) -> str:
        """All lines."""
        columns: dict[int, int] = {}
        for line in self._lines:
            if line.comment and len(line.code) + 2 <= _FURTHEST:
                columns[line.group] = max(columns.get(line.group, _COMMENT_COLUMN), len(line.code) + 2)
        return "".join(_text(line, columns.get(line.group, _COMMENT_COLUMN)) + "\n" for line in self._lines)


def _text(line: _Line, column: int) -> str:
    if not line.comment:
        return line.code
    behind = len(line.code) + 2
    return line.code.ljust(column if behind <= _FURTHEST else behind) + line.comment
