"""The terminals of `net.lark` in plain words."""

from __future__ import annotations

from collections.abc import Iterable

TERMINALS = {
    "IMPORT": "`import`",
    "LET": "`let`",
    "BLOCK": "`block`",
    "NET": "`net`",
    "DATA": "`data`",
    "TRAIN": "`train`",
    "PREDICT": "`predict`",
    "INPUT": "`input`",
    "OUTPUT": "`output`",
    "ENCODER": "`encoder`",
    "DECODER": "`decoder`",
    "REPEAT": "`repeat`",
    "IF": "`if`",
    "ELSE": "`else`",
    "LIKE": "`like`",
    "TRUE": "`true`",
    "FALSE": "`false`",
    "AND": "`and`",
    "OR": "`or`",
    "NOT": "`not`",
    "NAME": "a name",
    "HYPHENATED": "`onnxruntime-training`",
    "DIMS": "sizes such as `3x3`",
    "NUMBER": "a number",
    "STRING": "a text in quotes",
    "_ARROW": "`->`",
    "_COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LBRACE": "`{`",
    "LMAP": "`{`",
    "RBRACE": "`}`",
    "EQ": "`==`",
    "NE": "`!=`",
    "LE": "`<=`",
    "GE": "`>=`",
    "LT": "`<`",
    "GT": "`>`",
    "PLUS": "`+`",
    "MINUS": "`-`",
    "STAR": "`*`",
    "FLOORDIV": "`//`",
    "SLASH": "`/`",
    "PERCENT": "`%`",
    "_NEWLINE": "the end of the line",
    "CONTINUATION": "the end of the line",
    "COMMENT": "a comment",
    "BLANK": "a blank",
    "$END": "the end of the file",
}
"""Every terminal, and the end of the text, as an error message names it."""

VALUES = frozenset(
    {"NUMBER", "DIMS", "STRING", "TRUE", "FALSE", "NAME", "HYPHENATED", "LPAR", "LSQB", "LMAP", "MINUS", "NOT"}
)
"""What an expression may begin with."""

OPERATORS = frozenset(
    {"OR", "AND", "EQ", "NE", "LT", "LE", "GT", "GE", "PLUS", "MINUS", "STAR", "SLASH", "FLOORDIV", "PERCENT"}
)
"""What may join two operands."""

CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LMAP": "RBRACE", "LBRACE": "RBRACE"}
"""What opens, and what closes it."""

SIGNS = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}

_GROUPS = (
    (frozenset({"INPUT", "OUTPUT", "REPEAT", "IF", "ENCODER", "DECODER", "NAME", "LPAR"}), "a layer"),
    (frozenset({"NET", "BLOCK", "DATA", "TRAIN", "PREDICT", "LET", "IMPORT"}), "`net` or another section"),
    (VALUES, "a value"),
    (frozenset({"NAME", "LPAR"}), "a layer"),
    (frozenset({"NAME", "STRING", "NUMBER"}), "a key"),
    (frozenset({"NAME", "LIKE"}), "a type"),
    (frozenset({"DATA", "TRAIN", "PREDICT"}), "a section"),
)


def in_words(terminals: Iterable[str]) -> str:
    """What a set of terminals that may stand in one place comes to, as in "`,` or `)`"."""
    left = set(terminals)
    words = []
    for group, name in _GROUPS:
        if group <= left:
            words.append(name)
            left -= group
    # That an operator may follow a value is true everywhere, and helps nowhere.
    if left == OPERATORS and not words:
        return "an operator"
    left -= OPERATORS
    # The end of the text is no separate choice where a line may end, and neither is one before the first entry.
    if "_NEWLINE" in left or words == ["`net` or another section"]:
        left -= {"$END", *(["_NEWLINE"] if words else [])}
    words += [name for terminal, name in TERMINALS.items() if terminal in left]
    words = list(dict.fromkeys(words))
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
