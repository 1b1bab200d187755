"""Entries outside a net, sections inside one, and keywords that are misspelt."""

from __future__ import annotations

import re

from lark import Token

from sparknet.grammar.diagnostics import Diagnostic
from sparknet.grammar.fault import Fault, quoted
from sparknet.grammar.layout import spot
from sparknet.grammar.suggest import closest
from sparknet.grammar.syntax import Span

TOP_LEVEL = r"(?:net\s+\w+\s*\{|block\s+\w+\s*[({]|(?:data|train|predict)\s*\{|import\s*\"|let\s+\w+\s*=)"
"""How the entries of a file begin; nothing inside a net begins so."""

TOP_LEVEL_LINE = re.compile(r"^[ \t]*" + TOP_LEVEL, re.MULTILINE)

_TOP_WORDS = ("import", "let", "block", "net", "data", "train", "predict")
_BODY_WORDS = ("input", "output", "repeat", "if", "encoder", "decoder")
_HEADER = r"\w+\s+\w+\s*[({]|\w+\s*\{|\w+\s*\"|\w+\s+\w+\s*="

_FOREIGN = {
    "model": "net",
    "network": "net",
    "nn": "net",
    "dataset": "data",
    "training": "train",
    "fit": "train",
    "infer": "predict",
    "inference": "predict",
    "define": "block",
    "def": "block",
    "module": "block",
    "function": "block",
    "class": "net",
    "include": "import",
    "use": "import",
    "from": "import",
    "var": "let",
    "const": "let",
    "set": "let",
}
_FOREIGN_IN_BODY = {"for": "repeat", "loop": "repeat", "while": "repeat", "elif": "else if", "elseif": "else if"}


def begins_top_level(fault: Fault) -> bool:
    """Whether the entry at hand begins as a net or a section does."""
    return fault.first == "NAME" and fault.statement[0] in _TOP_WORDS and fault.follows(TOP_LEVEL)


def outside(fault: Fault) -> Diagnostic | None:
    """What stands outside every net and section."""
    if fault.place != "file" or fault.statement or fault.kind in {"RBRACE", "RPAR", "RSQB"}:
        return None
    word = str(fault.found)
    if fault.kind == "NAME" and fault.follows(_HEADER):
        meant = _FOREIGN.get(word) or closest(word, _TOP_WORDS)
        if meant:
            return fault.error("E0117", fault.expected(), f"did you mean `{meant}`?")
    if fault.kind == "NAME" and fault.follows(r"\w+\s*=[^=]"):
        value = re.match(r"\w+\s*=\s*([^\s#]+)", fault.rest)
        line = f"let {word} = {value[1] if value else '...'}"
        help_ = f"write {quoted(line, 64)}"
        return fault.error("E0115", f"{quoted(word)} stands outside a section", help_)
    if fault.kind in {"NAME", "LPAR", "INPUT", "OUTPUT", "REPEAT", "IF", "ENCODER", "DECODER"}:
        more = closed_early(fault)
        help_ = (
            "remove the `}` that closes the net too early"
            if more
            else "put the lines of a net between `net NAME {` and `}`"
        )
        return fault.error("E0115", f"{fault.words} stands outside a net", help_, more=more)
    return None


def closed_early(fault: Fault) -> tuple[tuple[Token, str], ...]:
    """The braces, if any, that close each other though they are indented differently."""
    if not fault.layout.misfits:
        return ()
    opener, closer = fault.layout.misfits[0]
    return (opener, "this `{`"), (closer, "is closed here, by a `}` that is indented otherwise")


def misspelt(fault: Fault) -> Diagnostic | None:
    """`inpt image: float[1]`, `repat 3 {`, `elif x {`."""
    if fault.place != "body" or fault.bracket is not None or fault.kind in {"_NEWLINE", "$END", "RBRACE", "_ARROW"}:
        return None
    if fault.kind == "NAME" and fault.found in _FOREIGN_IN_BODY and fault.statement:
        word = fault.found
    elif len(fault.statement) == 1 and fault.first == "NAME" and fault.kind in {"NAME", "NUMBER", "LBRACE"}:
        word = fault.statement[0]
    else:
        return None
    meant = _FOREIGN_IN_BODY.get(word) or closest(word, _BODY_WORDS)
    if meant is None:
        return None
    span: Span = spot(word)
    return fault.error("E0117", f"unexpected `{word}`", f"did you mean `{meant}`?", span=span)
