"""Characters that begin no word of the language, and what was probably meant."""

from __future__ import annotations

import re
import unicodedata

from lark import Token

from sparknet.grammar.diagnostics import Diagnostic
from sparknet.grammar.fault import Fault
from sparknet.grammar.syntax import Span
from sparknet.grammar.tree import start

_MEANT = {
    ";": "a line end is enough to end an entry",
    "&": "write `and`",
    "|": "write `or`",
    "!": "write `not`",
    "^": "there is no operator for powers; write the product out",
    "\\": "a line goes on where the next one begins with `->`, and inside brackets",
    "@": "names hold letters, digits and `_`",
    "$": "write the name of a `let` as it is",
    "'": 'put texts in double quotes: `"..."`',
    "`": 'put texts in double quotes: `"..."`',
    "→": "write the arrow as `->`",
    "⇒": "write the arrow as `->`",
    "×": "write sizes with the letter `x`, as in `3x3`, and a product with `*`",  # noqa: RUF001 - the sign that was meant
    "…": "write every value out",
    "?": "write a size; where rows differ in length, the most that there are, and `variable: true`",
}
_DASHES = "‐‑‒–—―−"  # noqa: RUF001 - the signs that editors put for `-`
_QUOTES = "“”„‟‘’‚‛«»"  # noqa: RUF001 - the signs that editors put for quotes
_FOREIGN = {"&", "|", "!"}
_FILES = ("csv", "parquet", "json", "orc", "libsvm")
"""Files whose ending is the name of what reads them."""
_NEAR = 80
"""Characters before a point that may belong to a path."""


def explain(fault: Fault) -> Diagnostic:
    """The diagnostic for a character that no terminal begins with."""
    character = str(fault.found)
    if character == '"':
        return _unclosed_text(fault)
    if character == ".":
        return _point(fault)
    at = start(fault.found)
    run = re.compile(re.escape(character) + "+").match(fault.source.text, at)
    size = len(run[0]) if run and character in _FOREIGN else 1
    span = Span(start=at, end=at + size)
    code = "E0113" if character in _FOREIGN else "E0104"
    text = re.match(r"'([^'\"\\\n]*)'", fault.rest)
    if text is not None:
        return _single_quotes(fault, text[1])
    return fault.error(code, f"unexpected {_name(character * size)}", *_helps(character, fault.rest[1:]), span=span)


def _single_quotes(fault: Fault, text: str) -> Diagnostic:
    at = start(fault.found)
    help_ = f'put texts in double quotes: `"{text}"`'
    if len(fault.statement) == 1 and fault.first in {"INPUT", "OUTPUT", "NET", "BLOCK", "LET"}:
        help_ = f"names stand without quotes: `{text}`"
    return fault.error("E0104", "unexpected `'`", help_, span=Span(start=at, end=at + len(text) + 2))


def _name(text: str) -> str:
    """The character, and its name where a reader could take it for another."""
    if text.isascii() or text.isalpha():
        return f"`{text}`"
    shown = "" if text.isspace() or unicodedata.category(text)[0] in "CM" else f"`{text}` "
    return f"{shown}U+{ord(text):04X} ({unicodedata.name(text, 'character without a name').lower()})"


def _helps(character: str, text_behind: str) -> tuple[str, ...]:
    if character in _MEANT:
        return (_MEANT[character],)
    if character in _DASHES and text_behind.startswith(">"):
        return ("write the arrow as `->`",)
    if character in _DASHES:
        return ("write the minus sign as `-`",)
    if character in _QUOTES:
        return ('put texts in straight double quotes: `"..."`',)
    if character.isspace():
        return ("replace it by an ordinary space",)
    if character.isalpha():
        return ("write names with the letters a to z, digits and `_`",)
    return ()


def _unclosed_text(fault: Fault) -> Diagnostic:
    rest = fault.rest.rstrip()
    begin = start(fault.found)
    help_ = 'close it with `"` in the same line'
    if rest.endswith("\\") or rest.endswith('\\"'):
        help_ = 'write a backslash in a text as `\\\\`, so that the `"` behind it closes the text'
    return fault.error(
        "E0105",
        "the text is not closed in its line",
        help_,
        span=Span(start=begin, end=begin + len(rest)),
    )


def _point(fault: Fault) -> Diagnostic:
    number = re.compile(r"\.[0-9]*").match(fault.source.text, start(fault.found))
    digits = number[0] if number else "."
    previous = fault.previous
    if previous is not None and fault.is_adjacent and previous.type == "NUMBER":
        span = Span(start=start(previous), end=start(fault.found) + len(digits))
        whole = f"an exponent is a whole number: write `{previous}`" if "e" in previous.lower() else ""
        help_ = whole or (f"write `{previous}`" if "." in previous else f"write `{previous}.0`")
        return fault.error("E0107", f"`{previous}{digits}` is not a number", help_, span=span)
    if previous is not None and fault.is_adjacent and previous.type == "NAME":
        return _dotted(fault, previous)
    if len(digits) > 1 and not fault.is_adjacent:
        span = Span(start=start(fault.found), end=start(fault.found) + len(digits))
        return fault.error("E0107", f"`{digits}` is not a number", f"write `0{digits}`", span=span)
    return fault.error("E0104", "unexpected `.`", "names hold letters, digits and `_`")


def _dotted(fault: Fault, first: Token) -> Diagnostic:
    """`torch.optim.SGD(...)`, `column("a").astype(...)` and the path of a file without quotes."""
    near = max(fault.source.text.rfind("\n", 0, start(first)) + 1, start(first) - _NEAR)
    before = re.search(r"[\w./-]*$", fault.source.text[near : start(first)])
    begin = near + before.start() if before else start(first)
    whole = re.compile(r"[\w./-]+").match(fault.source.text, begin)
    text = whole[0] if whole else str(first)
    span = Span(start=start(fault.found), end=start(fault.found) + 1)
    if fault.source.text[begin + len(text) :].startswith("("):
        return fault.error(
            "E0104", "unexpected `.`", f"write the last name alone: `{text.rpartition('.')[2]}`", span=span
        )
    if fault.bracket is not None:
        return fault.error("E0104", "unexpected `.`", f'put texts in double quotes: `"{text}"`', span=span)
    if text.rpartition(".")[2] in _FILES:
        help_ = f'the path of a file stands in quotes, within what reads it: `{text.rpartition(".")[2]}("{text}")`'
        return fault.error("E0104", "unexpected `.`", help_, span=span)
    return fault.error("E0104", "unexpected `.`", "names hold letters, digits and `_`", span=span)
