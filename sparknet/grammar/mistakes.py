"""What a syntax error probably is: a list of mistakes that people make, each with what to write instead.

Each function looks at one `Fault` and answers with a diagnostic, or with None where the fault is something else. The
first answer in `MISTAKES` counts. To explain another mistake, add a function and a file in `tests/grammar/invalid`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sparknet.grammar import characters, misplaced, unclosed
from sparknet.grammar.diagnostics import Diagnostic
from sparknet.grammar.fault import Fault, quoted
from sparknet.grammar.habits import HABITS, let_inside
from sparknet.grammar.layout import spot
from sparknet.grammar.machine import UNKNOWN
from sparknet.grammar.syntax import Span
from sparknet.grammar.terminals import OPERATORS, VALUES
from sparknet.grammar.tree import end, start

_WORDS = frozenset({"NAME", "INPUT", "OUTPUT", "ENCODER", "DECODER"})
_ENTRIES = _WORDS | {"LPAR", "REPEAT", "IF", "IMPORT", "LET", "BLOCK", "NET", "DATA", "TRAIN", "PREDICT"}
_ENDS = frozenset({"_NEWLINE", "$END", "RBRACE"})


def explain(fault: Fault) -> Diagnostic:
    """The diagnostic for a fault."""
    for mistake in MISTAKES:
        if diagnostic := mistake(fault):
            return diagnostic
    return fault.error("E0101", fault.expected())


def unknown_character(fault: Fault) -> Diagnostic | None:
    """`;`, a quote of another kind, a letter of another alphabet."""
    return characters.explain(fault) if fault.kind == UNKNOWN else None


def malformed_number(fault: Fault) -> Diagnostic | None:
    """`3px`, `3X3`, `1_000`."""
    token = fault.previous if fault.is_adjacent and fault.kind in _WORDS | VALUES else fault.found
    if token is None or token.type not in {"NUMBER", "DIMS"}:
        return None
    word = re.compile(r"[0-9]\w*(?:\.[0-9]+\w*)?").match(fault.source.text, start(token))
    if word is None or word.end() <= end(token):
        return None
    text = word[0]
    suffixed = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)[fFdDlL]", text)
    help_ = f"write `{suffixed[1]}`" if suffixed else "begin a name with a letter"
    if re.fullmatch(r"[0-9]+(_[0-9]+)+", text):
        help_ = f"write `{text.replace('_', '')}`"
    elif re.fullmatch(r"[0-9]+([xX][0-9]+)+", text):
        help_ = f"write `{re.sub('[xX]', 'x', text)}`"
    elif re.fullmatch(r"[0-9]+[xX]", text):
        help_ = "join sizes by `x` without blanks, as in `3x3`"
    span = Span(start=start(token), end=word.end())
    return fault.error("E0107", f"{quoted(text)} is neither a number nor a name", help_, span=span)


def foreign_sign(fault: Fault) -> Diagnostic | None:
    """`=>`, `<-`, `:=`, `**`, `//` before a comment, `=` in a condition."""
    previous = fault.previous
    pair = f"{previous}{fault.found}" if previous is not None and fault.is_adjacent else ""
    help_ = {
        "=>": "write the arrow as `->`",
        "**": "there is no operator for powers; write the product out",
        "++": "write `+` once",
        "/*": "begin a comment with `#`",
    }.get(pair)
    if help_ and previous is not None:
        span = Span(start=start(previous), end=end(fault.found))
        return fault.error("E0113", f"unexpected `{pair}`", help_, span=span)
    if fault.rest.startswith(":="):
        at = start(fault.found)
        return fault.error("E0113", "unexpected `:=`", "write `=` alone", span=Span(start=at, end=at + 2))
    if fault.rest.startswith("<-"):
        at = start(fault.found)
        return fault.error(
            "E0113", "unexpected `<-`", "name a value with `=`, as in `short = in`", span=Span(start=at, end=at + 2)
        )
    if fault.rest.startswith(("//", "/*")) and "FLOORDIV" not in fault.accepts:
        at = start(fault.found)
        return fault.error(
            "E0113", f"unexpected `{fault.rest[:2]}`", "begin a comment with `#`", span=Span(start=at, end=at + 2)
        )
    if fault.first == "IF" and fault.kind == "EQUAL" and fault.bracket is None:
        return fault.error("E0113", fault.expected("`==`"), "compare with `==`")
    return None


def slashes_before_comment(fault: Fault) -> Diagnostic | None:
    """`epochs = 10 // a comment`, where `//` divides and the comment cannot be read."""
    slashes = next((token for token in fault.statement if token.type == "FLOORDIV"), None)
    if slashes is None or fault.bracket is not None or fault.kind not in _WORDS:
        return None
    return fault.error(
        "E0113",
        f"expected the end of the line, found {fault.words}",
        "begin a comment with `#`",
        more=((slashes, "this divides"),),
    )


def colon_or_equal(fault: Fault) -> Diagnostic | None:
    """`lr = 0.001` in a call, `epochs: 10` in a section, and the like."""
    previous = fault.previous
    if previous is None or fault.kind not in {"COLON", "EQUAL"} or previous.type not in _WORDS | {"STRING", "NUMBER"}:
        return None
    wanted = ":" if fault.kind == "EQUAL" else "="
    if {"COLON": "EQUAL", "EQUAL": "COLON"}[fault.kind] not in fault.accepts:
        return None
    example = f"{previous}{wanted if wanted == ':' else ' ='} {_value(fault)}"
    help_ = f"write {quoted(example, 64)}"
    is_port = fault.first in {"INPUT", "OUTPUT"} and fault.bracket is None
    if is_port and not re.match(r"=[ \t]*(float|class|token|bool|like)\b", fault.rest):
        line = f"{fault.statement[0]} {previous}: float[...] = {_value(fault)}"
        help_ = f"say its type first: {quoted(line, 64)}"
    if fault.kind == "COLON" and fault.place == "body" and fault.bracket is None:
        if re.match(r":[ \t]*(float|class|token|bool|like)\b", fault.rest):
            help_ = f"write `input {previous}: ...` or `output {previous}: ...`"
        else:
            help_ = f"name a value with `=`: {quoted(example)}"
    return fault.error("E0109", f"expected `{wanted}` after `{previous}`, found `{fault.found}`", help_)


def _value(fault: Fault) -> str:
    """The value behind a `:` or a `=`, as far as it can be told without a parser."""
    value = re.match(r"[:=][ \t]*((?:[^\s,(){}\[\]#]|\([^()]*\)|\[[^\[\]]*\])*)", fault.rest)
    return (value[1] if value else "") or "..."


def stray_arrow(fault: Fault) -> Diagnostic | None:
    """A chain that ends in an arrow, begins with one, or stands where a value is asked for."""
    previous = fault.previous
    if previous is not None and previous.type == "_ARROW" and fault.kind in _ENDS:
        help_ = "name a layer behind the arrow"
        if fault.kind == "_NEWLINE":
            help_ += ", or move the arrow to the beginning of the next line"
        return fault.error("E0112", f"expected a layer after `->`, found {fault.words}", help_, span=spot(previous))
    if fault.kind != "_ARROW":
        return None
    if previous is not None and previous.type == "_ARROW":
        return fault.error("E0112", "expected a layer after `->`, found `->`", "remove one of the arrows")
    if fault.bracket is not None and unclosed.closes_nowhere(fault):
        return unclosed.missing_bracket(fault, fault.bracket)
    if fault.bracket is not None:
        return fault.error(
            "E0115",
            f"a chain cannot stand in {fault.bracket.title}",
            "name its result in a line before, as in `short = in -> batchnorm`, and write the name here",
        )
    if fault.first == "OUTPUT" and previous is not None and previous.type in {"RSQB", "NAME"}:
        begin = start(fault.statement[0])
        chain = fault.rest[2:].split("#")[0].strip()
        help_ = f"write {quoted(f'{fault.source.text[begin : end(previous)]} = {chain}', 64)}"
        return fault.error("E0112", "expected `=` before the chain of an output, found `->`", help_)
    if fault.place != "body":
        return fault.error("E0115", "a chain stands outside a net", "layers are joined by `->` in nets and blocks only")
    return fault.error(
        "E0112", "expected a layer before `->`", "begin a chain with a layer, or with a value such as an input or `in`"
    )


def declaration(fault: Fault) -> Diagnostic | None:
    """`input float[3]` and `input image float[3]`."""
    if fault.first not in {"INPUT", "OUTPUT"} or len(fault.statement) > 2 or fault.bracket is not None:
        return None
    keyword = fault.statement[0]
    if fault.kind == "LSQB" and len(fault.statement) == 2:
        return fault.error(
            "E0101",
            f"expected a name for the {keyword}, found a type",
            f"write `{keyword} NAME: {fault.previous}{_type(fault.rest, '[...]')}`",
            span=spot(fault.statement[1]),
        )
    if fault.kind in {"NAME", "_COMMA"} and len(fault.statement) == 2:
        help_ = f"write `{keyword} {fault.previous}: {_type(fault.rest.lstrip(', '), 'float[...]')}`"
        return fault.error("E0101", fault.expected("`:`"), help_)
    if fault.kind == "MINUS" and len(fault.statement) == 2:
        begin = start(fault.statement[1])
        word = re.compile(r"[\w-]*").match(fault.source.text, begin)
        assert word is not None  # noqa: S101 - even nothing is a match
        help_ = f"names hold letters, digits and `_`: write `{word[0].replace('-', '_').strip('_')}`"
        return fault.error("E0104", f"`{word[0]}` is no name", help_, span=Span(start=begin, end=word.end()))
    if len(fault.statement) == 1 and fault.kind in {"COLON", "_NEWLINE", "NUMBER", "STRING"}:
        word = re.fullmatch(r'"([A-Za-z_]\w*)"', str(fault.found))
        name = word[1] if word else "NAME"
        help_ = f"write `{keyword} {name}: {_type(fault.rest.lstrip(': ') if not word else '', 'float[...]')}`"
        return fault.error("E0101", fault.expected("a name"), help_)
    return None


def _type(text: str, otherwise: str) -> str:
    """The type, or the rest of one, that a text begins with."""
    found = re.match(r"\w*[ \t]*\[[^\]\n]*\]|(?:class|float|token|bool)\b", text)
    if found is None:
        return otherwise
    return found[0] if found[0].endswith("]") else f"{found[0]}[...]"


def sizes_of_a_type(fault: Fault) -> Diagnostic | None:
    """`float(3)` and `float[24][5]`."""
    parts = fault.statement
    if fault.first not in {"INPUT", "OUTPUT"} or fault.bracket is not None or len(parts) < 4:
        return None
    begin = start(parts[3])
    found = re.compile(r"(\w+)[ \t]*\(([^()\n]*)\)|(\w+)((?:\[[^\]\n]*\]){2,})").match(fault.source.text, begin)
    if found is None or fault.kind not in {"LPAR", "LSQB"} or len(parts) > (4 if fault.kind == "LPAR" else 99):
        return None
    inside = found[2] if found[2] is not None else found[4][1:-1].replace("][", ", ")
    span = Span(start=start(fault.found), end=found.end())
    text = fault.source.text[span.start : span.end]
    return fault.error("E0101", f"unexpected {quoted(text)}", f"write `{found[1] or found[3]}[{inside}]`", span=span)


def nameless(fault: Fault) -> Diagnostic | None:
    """`net {`, `let = 3`, `import blocks`, `else` without `if`."""
    if fault.kind == "ELSE":
        return fault.error("E0101", fault.expected("a layer"), "`else` follows the `}` of an `if`")
    if len(fault.statement) != 1:
        return None
    keyword = fault.statement[0]
    if fault.first == "IMPORT" and fault.kind in _WORDS:
        return fault.error("E0101", fault.expected(), f'write `import "{fault.found}.net"`')
    if fault.first in {"NET", "BLOCK", "LET"}:
        rest = {"NET": "{", "BLOCK": "{", "LET": "= ..."}[fault.first]
        word = re.fullmatch(r'"([A-Za-z_]\w*)"', str(fault.found))
        help_ = f"write `{keyword} {word[1] if word else 'NAME'} {rest}`"
        return fault.error("E0101", fault.expected(f"a name for the {keyword}"), help_)
    return None


def missing_sign(fault: Fault) -> Diagnostic | None:
    """`dense 3` for `dense(3)`, `lr 0.1` for `lr = 0.1`, `(3,, 4)`."""
    previous = fault.previous
    if previous is None:
        return None
    if fault.place == "section" and fault.accepts == {"EQUAL"} and fault.kind in OPERATORS | {"DOT", "LSQB", "LPAR"}:
        return fault.error("E0101", fault.expected("`=`"), f"write `{previous} = ...`")
    if fault.kind == "_COMMA" and previous.type == "_COMMA":
        return fault.error("E0101", fault.expected(), "remove one of the commas")
    if fault.bracket is not None or previous.type not in _WORDS or fault.kind not in VALUES or len(fault.statement) > 2:
        return None
    if fault.place == "section" and fault.accepts == {"EQUAL"}:
        return fault.error("E0101", fault.expected("`=`"), f"write `{previous} = {quoted(str(fault.found), 64)[1:]}")
    if fault.place == "body" and fault.kind in {"NUMBER", "STRING", "DIMS"}:
        return fault.error("E0101", fault.expected("`(`"), f"put arguments in parentheses: `{previous}({fault.found})`")
    return None


def missing_comma(fault: Fault) -> Diagnostic | None:
    """Two values side by side in brackets."""
    bracket, previous = fault.bracket, fault.previous
    if bracket is None or previous is None or "_COMMA" not in fault.accepts or fault.kind not in VALUES:
        return None
    return fault.error(
        "E0111", fault.expected(), f"put a comma between {quoted(str(previous))} and {quoted(str(fault.found))}"
    )


def two_entries(fault: Fault) -> Diagnostic | None:
    """What should stand in a line of its own."""
    if fault.bracket is not None or "_NEWLINE" not in fault.accepts or not fault.statement:
        return None
    wanted = fault.expected("the end of the line")
    if fault.kind == "_COMMA":
        how = "one layer a line, or join layers by `->`" if fault.place == "body" else "one entry a line"
        joined = re.match(r",[ \t]*(\w+)[ \t]*->[ \t]*(add|multiply|concat)\b", fault.rest)
        if fault.place == "body" and len(fault.statement) == 1 and joined:
            how = f"`{joined[2]}({fault.statement[0]}, {joined[1]})`"
        return fault.error("E0110", wanted, f"write {how}")
    if fault.kind not in VALUES | _ENTRIES or fault.kind in {"MINUS", "LSQB"}:
        return None
    if fault.kind not in _ENTRIES:
        return fault.error("E0110", wanted)
    help_ = f"put {fault.words} in a line of its own"
    joinable = fault.place == "body" and fault.kind in {"NAME", "LPAR"} and "_ARROW" in fault.accepts
    return fault.error("E0110", wanted, help_ + (", or join the layers by `->`" if joinable else ""))


def brace_in_next_line(fault: Fault) -> Diagnostic | None:
    """`net Digits`, and the `{` in the line below."""
    if fault.kind != "_NEWLINE" or "LBRACE" not in fault.accepts:
        return None
    below = fault.source.text[end(fault.found) :].lstrip()
    help_ = "move the `{` to the end of this line" if below.startswith("{") else "write `{` at the end of this line"
    return fault.error("E0101", fault.expected("`{`"), help_)


MISTAKES: tuple[Callable[[Fault], Diagnostic | None], ...] = (
    unknown_character,
    malformed_number,
    let_inside,
    unclosed.brace,
    misplaced.outside,
    slashes_before_comment,
    *HABITS,
    misplaced.misspelt,
    unclosed.bracket,
    unclosed.nothing_to_close,
    foreign_sign,
    declaration,
    sizes_of_a_type,
    nameless,
    colon_or_equal,
    missing_sign,
    stray_arrow,
    missing_comma,
    two_entries,
    brace_in_next_line,
)
