"""Comments of a text, which the parser drops: where they stand, for the formatter to put them back."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

_SCAN = re.compile(r'"(?:[^"\\\r\n]|\\[^\r\n])*+"|(#[^\r\n]*)')
_BLANKS = " \t\r"


@dataclass(frozen=True)
class Comment:
    """One comment; `alone` where nothing else stands in its line."""

    start: int
    text: str
    alone: bool


class Comments:
    """The comments of a text that parses, each to be taken once."""

    def __init__(self, text: str) -> None:
        self._text = text
        found = [match for match in _SCAN.finditer(text) if match[1]]
        self._all = [Comment(m.start(), m[1].rstrip(), self._begins_line(m.start())) for m in found]
        self._starts = [comment.start for comment in self._all]
        self._taken = [False] * len(self._all)
        self._next = 0

    def between(self, start: int, end: int) -> list[Comment]:
        """Those that begin in a range and were not taken yet."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        return [self._all[i] for i in range(max(first, self._next), last) if not self._taken[i]]

    def take_before(self, end: int) -> list[Comment]:
        """All that are left before a place."""
        last = bisect_left(self._starts, end)
        found = [self._all[i] for i in range(self._next, last) if not self._taken[i]]
        self._next = max(self._next, last)
        return found

    def take(self, comments: Iterable[Comment]) -> None:
        """Mark comments as put back."""
        for comment in comments:
            self._taken[bisect_left(self._starts, comment.start)] = True

    def take_behind(self, place: int, before: int) -> Comment | None:
        """The comment that ends the line of `place`, if it begins ahead of `before`."""
        index = bisect_left(self._starts, place)
        if index == len(self._all) or self._taken[index] or self._starts[index] >= before:
            return None
        if "\n" in self._text[place : self._starts[index]]:
            return None
        self._taken[index] = True
        return self._all[index]

    def blank_before(self, place: int) -> bool:
        """Whether the line above that of `place` is empty."""
        if not self._begins_line(place):
            return False
        line = self._text.rfind("\n", 0, place)
        return line > 0 and self._begins_line(line)

    def _begins_line(self, place: int) -> bool:
        begin = self._text.rfind("\n", 0, place) + 1
        return not self._text[begin:place].strip(_BLANKS + "\ufeff")
