"""Where to go on reading after an error."""

from __future__ import annotations

import re

from sparknet.grammar.layout import indent
from sparknet.grammar.misplaced import TOP_LEVEL_LINE

_ROUGH = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"?|#[^\n]*|[()\[\]{}]|\n\s*(?:#[^\n]*\s*)*')
_MAP = "{map"
_BEFORE_MAP = tuple("=:,([")
_NEAR = 80
"""Characters before a `{` that are searched for what tells a map from a block."""

_PAIRS = {")": "(", "]": "[", "}": "{"}
_GOES_ON = re.compile(r"->|else\b|\{")


def next_top_level(text: str, offset: int) -> int:
    """The beginning of the next line behind `offset` that begins a net or a section, or the end of the text."""
    line_end = text.find("\n", offset)
    match = TOP_LEVEL_LINE.search(text, line_end) if line_end >= 0 else None
    return match.start() if match else len(text)


def end_of_entry(text: str, begin: int, fault: int, *, lacks_brace: bool = False) -> int | None:
    """Where an entry of a block ends that begins at `begin` and is wrong at `fault`.

    It ends at a line end outside of brackets, or before the `}` of the block around it. A line that is indented no
    deeper than the entry ends it too, whatever brackets are open. None where a brace of the entry is never closed.
    With `lacks_brace` the entry is read as if it had the `{` that is missing at `fault`.
    """
    blanks = len(indent(text, begin)[1])
    stack = ["{"] if lacks_brace else []
    for match in _ROUGH.finditer(text, begin):
        sign, at = match[0], match.start()
        if sign == "{" and text[max(begin, at - _NEAR) : at].rstrip()[-1:] in _BEFORE_MAP:
            stack.append(_MAP)
        elif sign in "([{":
            stack.append(sign)
        elif sign in _PAIRS:
            while stack and stack[-1] in "([" and stack[-1] != _PAIRS[sign]:
                stack.pop()
            if lacks_brace and stack == ["{"] and sign == "}" and _is_outer(text, at, blanks):
                return at
            if stack and (stack[-1] == _PAIRS[sign] or (sign == "}" and stack[-1] == _MAP)):
                stack.pop()
            elif sign == "}" and at >= fault:
                return at
        elif sign[0] == "\n" and at >= fault and "{" not in stack and _ends(text, match.end(), blanks, stack):
            return at
    return None if "{" in stack else len(text)


def _is_outer(text: str, at: int, blanks: int) -> bool:
    """Whether the `}` at `at` begins a line and is indented less than the entry, so that it closes something else."""
    begins_line, before = indent(text, at)
    return begins_line and len(before) < blanks


def _ends(text: str, behind: int, blanks: int, stack: list[str]) -> bool:
    """Whether an entry that is indented by `blanks` has ended before the line that begins at `behind`."""
    if _GOES_ON.match(text, behind):
        return False
    if not stack:
        return True
    if _PAIRS.get(text[behind : behind + 1]) == stack[-1][0]:
        return False
    return len(indent(text, behind)[1]) <= blanks
