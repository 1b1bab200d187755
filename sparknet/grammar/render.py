"""Diagnostics as text, in the manner of rustc, and as plain data for other tools."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sparknet.grammar.diagnostics import Diagnostic, Label
from sparknet.grammar.source import Source

_WINDOW = 120
"""Characters of a line that are shown; a longer one is cut around its first mark."""

_BEFORE = 40
"""Characters of a cut line that stay in front of the mark."""

_TAB = 4

_REPLACEMENT = "\ufffd"
_TURNS_DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_RED = "\x1b[1;31m"
_BLUE = "\x1b[1;34m"
_BOLD = "\x1b[1m"
_RESET = "\x1b[0m"


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """The diagnostic as text for a terminal, without a line end behind it.

    Args:
        diagnostic: What to show.
        color: Whether to use ANSI colours.
    """
    paint = _paint if color else _plain
    title = paint(_RED, f"error[{diagnostic.code}]") + paint(_BOLD, f": {_clean(diagnostic.message)}")
    files = _by_file(diagnostic.labels)
    gutter = max((len(str(line)) for _, lines in files for line in lines), default=1)
    out = [title]
    for i, (source, lines) in enumerate(files):
        first = next(label for label in diagnostic.labels if label.source is source)
        line, column = source.line_column(first.span.start)
        arrow = "-->" if i == 0 else ":::"
        out.append(f"{' ' * (gutter + 1)}{paint(_BLUE, arrow)} {_clean(source.name)}:{line}:{column}")
        out.append(paint(_BLUE, " " * (gutter + 2) + "|"))
        out += _excerpt(source, lines, diagnostic.labels[0], gutter, color)
    for kind, texts in (("note", diagnostic.notes), ("help", diagnostic.helps)):
        indentation = " " * (gutter + 2)
        for text in texts:
            body = _clean(text).replace("\n", f"\n{indentation}        ")
            out.append(f"{indentation}{paint(_BLUE, '=')} {paint(_BOLD, kind)}: {body}")
    return "\n".join(line.rstrip() for line in out)


def to_dict(diagnostic: Diagnostic) -> dict[str, Any]:
    """The diagnostic as data for JSON; its place is that of the first label, and None where it has none."""
    nowhere = dict.fromkeys(("file", "line", "column", "end_line", "end_column"))
    return {
        "code": diagnostic.code,
        "message": diagnostic.message,
        **(_place(diagnostic.labels[0]) if diagnostic.labels else nowhere),
        "labels": [{**_place(label), "text": label.text} for label in diagnostic.labels],
        "notes": list(diagnostic.notes),
        "helps": list(diagnostic.helps),
    }


def _place(label: Label) -> dict[str, Any]:
    line, column = label.source.line_column(label.span.start)
    end_line, end_column = label.source.line_column(label.span.end)
    return {
        "file": label.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }


def _by_file(labels: Iterable[Label]) -> list[tuple[Source, dict[int, list[Label]]]]:
    """Labels by file, in order of appearance, and in it by the line where they begin."""
    files: dict[Source, dict[int, list[Label]]] = {}
    for label in labels:
        line = label.source.line_column(label.span.start)[0]
        files.setdefault(label.source, {}).setdefault(line, []).append(label)
    return list(files.items())


def _excerpt(source: Source, lines: dict[int, list[Label]], primary: Label, gutter: int, color: bool) -> Iterable[str]:
    """The lines of one file that bear labels, each with its marks below."""
    paint = _paint if color else _plain
    previous = 0
    for number in sorted(lines):
        if previous and number == previous + 2:
            yield _numbered(number - 1, _Line(source, number - 1, 0).shown, gutter, color)
        elif previous and number > previous + 2:
            yield paint(_BLUE, "...")
        labels = lines[number]
        anchor = min(labels, key=lambda label: (label is not primary, label.span.start))
        line = _Line(source, number, source.line_column(anchor.span.start)[1] - 1)
        yield _numbered(number, line.shown, gutter, color)
        for row in _marks([_mark(label, line, label is primary) for label in labels]):
            yield paint(_BLUE, " " * (gutter + 2) + "|") + " " + row.text(color)
        previous = number


def _numbered(number: int, text: str, gutter: int, color: bool) -> str:
    paint = _paint if color else _plain
    return f"{paint(_BLUE, f' {number:>{gutter}} |')} {text}"


class _Line:
    """A line as a terminal shows it, and where its characters come to stand."""

    def __init__(self, source: Source, number: int, anchor: int) -> None:
        text = source.line_text(number)
        self.first = 0 if len(text) <= _WINDOW else max(0, min(anchor - _BEFORE, len(text) - _WINDOW))
        window = text[self.first : self.first + _WINDOW]
        self._cells: list[int] = []
        """The cell where each character of the window begins, and the one behind the last."""
        pieces = ["…"] if self.first else []
        cell = len(pieces)
        for character in window:
            self._cells.append(cell)
            piece, width = _display(character, cell)
            pieces.append(piece)
            cell += width
        self._cells.append(cell)
        if self.first + _WINDOW < len(text):
            pieces.append("…")
        self.shown = "".join(pieces)

    def cell(self, column: int) -> int:
        """The cell of a 0-based column; what the window leaves out is as near as the window goes."""
        return self._cells[max(0, min(column - self.first, len(self._cells) - 1))]


def _display(character: str, cell: int) -> tuple[str, int]:
    """A character as it may be printed, and the number of cells that it fills."""
    if character == "\t":
        width = _TAB - cell % _TAB
        return " " * width, width
    if " " <= character <= "~":
        return character, 1
    category = unicodedata.category(character)
    if category in {"Cc", "Cs", "Zl", "Zp"} or character in _TURNS_DIRECTION:
        return _REPLACEMENT, 1
    if category in {"Mn", "Me", "Cf"}:
        return character, 0
    return character, 2 if unicodedata.east_asian_width(character) in "WF" else 1


@dataclass(frozen=True)
class _Mark:
    """One label in cells: `first` up to, not including, `last`."""

    first: int
    last: int
    text: str
    is_primary: bool

    @property
    def style(self) -> str:
        return _RED if self.is_primary else _BLUE


def _mark(label: Label, line: _Line, is_primary: bool) -> _Mark:
    """Where a label stands; one over several lines reaches to the end of its first."""
    number, column = label.source.line_column(label.span.start)
    end_number, end_column = label.source.line_column(label.span.end)
    end = end_column - 1 if end_number == number else len(label.source.line_text(number))
    first = line.cell(column - 1)
    return _Mark(first, max(line.cell(end), first + 1), _clean(label.text), is_primary)


class _Row:
    """A row of marks and texts that is written cell by cell."""

    def __init__(self) -> None:
        self._cells: list[tuple[str, str]] = []

    def put(self, cell: int, text: str, style: str) -> None:
        """Write `text` from `cell` on, over whatever stands there."""
        self._cells.extend((" ", "") for _ in range(cell + len(text) - len(self._cells)))
        self._cells[cell : cell + len(text)] = [(character, style) for character in text]

    def text(self, color: bool) -> str:
        """The row as one string."""
        if not color:
            return "".join(character for character, _ in self._cells)
        out, current = [], ""
        for character, style in self._cells:
            if style != current:
                out.append((_RESET if current else "") + style)
                current = style
            out.append(character)
        return "".join(out) + (_RESET if current else "")


def _marks(marks: Sequence[_Mark]) -> list[_Row]:
    """The rows below a line: all marks, with the text of the last one beside it; the other texts hang below theirs."""
    # Written last, the primary mark stays visible where marks overlap.
    drawn = _Row()
    for mark in sorted(marks, key=lambda mark: mark.is_primary):
        drawn.put(mark.first, ("^" if mark.is_primary else "-") * (mark.last - mark.first), mark.style)
    rows = [drawn]
    ordered = sorted(marks, key=lambda mark: (mark.first, mark.last))
    hanging = [mark for mark in ordered if mark.text]
    if hanging and hanging[-1] is ordered[-1] and all(mark.last <= ordered[-1].last for mark in ordered):
        last = hanging.pop()
        drawn.put(last.last + 1, last.text, last.style)
    if hanging:
        rows.append(_pillars(hanging))
    while hanging:
        mark = hanging.pop()
        row = _pillars(hanging)
        row.put(mark.first, mark.text, mark.style)
        rows.append(row)
    return rows


def _pillars(marks: Iterable[_Mark]) -> _Row:
    row = _Row()
    for mark in marks:
        row.put(mark.first, "|", mark.style)
    return row


def _clean(text: str) -> str:
    """Text without characters that a terminal would obey."""
    return "".join(c if c == "\n" or c.isprintable() else _REPLACEMENT for c in text)


def _paint(style: str, text: str) -> str:
    return f"{style}{text}{_RESET}"


def _plain(_style: str, text: str) -> str:
    return text
