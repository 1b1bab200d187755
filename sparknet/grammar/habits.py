"""What people write who know another language, with what to write instead: the first half of `mistakes.MISTAKES`.

As there, each function looks at one `Fault` and answers with a diagnostic, or with None.
"""

from __future__ import annotations

import re

from sparknet.grammar.diagnostics import Diagnostic
from sparknet.grammar.fault import Fault, quoted
from sparknet.grammar.layout import spot
from sparknet.grammar.syntax import Span
from sparknet.grammar.tree import end, start

_JOINS = {"PLUS": "add", "STAR": "multiply"}
_OPERATORS = frozenset({"PLUS", "STAR", "MINUS", "SLASH"})
_NEAR = 80
"""Characters before a token that are searched for the layer that it follows."""
_TYPE = r"(?:float|class|token|bool)\b(?:[ \t]*\[[^\]\n]*\])?|like\b[ \t]*\w*"


def _text(fault: Fault, begin: int, stop: int) -> str:
    """A piece of the text in one line."""
    return " ".join(fault.source.text[begin:stop].split())


def _head(fault: Fault) -> str:
    """The entry at hand, as far as it was read."""
    return _text(fault, start(fault.statement[0]), end(fault.statement[-1]))


def _line(fault: Fault) -> str:
    """The rest of the line from the token on, without a comment."""
    return fault.rest.split("#")[0].rstrip()


def percent(fault: Fault) -> Diagnostic | None:
    """`dropout(20%)`."""
    if len(fault.statement) < 2 or fault.kind not in {"RPAR", "_COMMA", "RBRACE", "RSQB", "_NEWLINE", "$END"}:
        return None
    number, sign = fault.statement[-2:]
    if number.type != "NUMBER" or sign.type != "PERCENT":
        return None
    span = Span(start=start(number), end=end(sign))
    return fault.error("E0113", f"unexpected `{number}%`", f"write `{float(number) / 100:g}`", span=span)


def sizes(fault: Fault) -> Diagnostic | None:
    """`(3, 3)` and `3 x 3` for `3x3`, `(0.8, 0.2)` for a list."""
    if fault.kind == "_COMMA" and fault.bracket is not None and fault.bracket.title == "the parenthesis":
        opener = fault.bracket.opener
        assert opener is not None  # noqa: S101 - only the file has none
        items = re.compile(r"\(([^()\n]*)\)").match(fault.source.text, start(opener))
        if items is None:
            return fault.error("E0101", fault.expected(), "write a list in square brackets: `[a, b]`")
        whole = re.fullmatch(r"\s*([0-9]+)\s*,\s*([0-9]+)\s*", items[1])
        help_ = f"write `{whole[1]}x{whole[2]}`" if whole else f"write a list in square brackets: `[{items[1]}]`"
        span = Span(start=items.start(), end=items.end())
        return fault.error("E0113", f"unexpected {quoted(items[0])}", help_, span=span)
    by = re.match(r"x[ \t]*([0-9]+)\b", fault.rest)
    if fault.kind == "NAME" and by and fault.previous is not None and fault.previous.type == "NUMBER":
        span = Span(start=start(fault.previous), end=start(fault.found) + by.end())
        help_ = f"join sizes by `x` without blanks: `{fault.previous}x{by[1]}`"
        return fault.error("E0107", f"unexpected {quoted(fault.source.text[span.start : span.end])}", help_, span=span)
    return None


def applied(fault: Fault) -> Diagnostic | None:
    """`dense(16)(x)` for `x -> dense(16)`."""
    previous = fault.previous
    if fault.kind != "LPAR" or fault.bracket is not None or previous is None or previous.type != "RPAR":
        return None
    value = re.match(r"\(\s*(\w+)\s*\)", fault.rest)
    if not fault.is_adjacent or value is None or fault.place != "body":
        return None
    layer = re.search(r"\w+\s*\([^()]*(?:\([^()]*\)[^()]*)*\)$", _head(fault)[-_NEAR:])
    help_ = f"write `{value[1]} -> {layer[0]}`" if layer else f"begin the chain with it: `{value[1]} -> ...`"
    span = Span(start=start(fault.found), end=start(fault.found) + value.end())
    return fault.error("E0113", f"unexpected `{value[0]}`", help_, span=span)


def arithmetic(fault: Fault) -> Diagnostic | None:
    """`a + b` between values of a net."""
    previous = fault.previous
    if fault.kind not in _OPERATORS or fault.place != "body" or fault.bracket is not None or previous is None:
        return None
    if previous.type not in {"NAME", "RPAR"} or fault.first in {"INPUT", "OUTPUT"} or fault.rest[1:2] in "*/+":
        return None
    other = re.match(r"[+*]\s*(\w+)(?!\s*[\w(])", fault.rest)
    join = _JOINS.get(fault.kind)
    help_ = "values are joined by `add(a, b)`, `multiply(a, b)` and `concat(a, b)`"
    if join and other and previous.type == "NAME":
        help_ = f"write `{join}({previous}, {other[1]})`"
    return fault.error("E0113", f"unexpected `{fault.found}`", help_)


def name_behind(fault: Fault) -> Diagnostic | None:
    """`x -> dense(16) = a`."""
    if fault.kind != "EQUAL" or fault.place != "body" or fault.bracket is not None or len(fault.statement) < 2:
        return None
    if "_ARROW" not in fault.accepts or fault.first in {"INPUT", "OUTPUT"}:
        return None
    name = re.fullmatch(r"=\s*(\w+)", _line(fault))
    help_ = f"name a value in front: `{name[1]} = {quoted(_head(fault), 64)[1:]}" if name else "name a value in front"
    return fault.error("E0113", "unexpected `=` behind a chain", help_)


def doubled(fault: Fault) -> Diagnostic | None:
    """`epochs == 30`."""
    previous = fault.previous
    if fault.kind == "EQ" and fault.accepts == {"EQUAL"}:
        return fault.error("E0113", "expected `=`, found `==`", "write `=` once")
    if fault.kind == "EQUAL" and previous is not None and previous.type == "EQUAL":
        span = Span(start=start(previous), end=end(fault.found))
        return fault.error("E0113", "unexpected `==`", "write `=` once", span=span)
    return None


def sign_before_brace(fault: Fault) -> Diagnostic | None:
    """`train: {`, `train = {`, `net Digits:`, `encoder = {`."""
    if fault.bracket is not None or not fault.statement:
        return None
    if fault.kind in {"COLON", "EQUAL"} and "LBRACE" in fault.accepts and (fault.first, fault.kind) != ("IF", "EQUAL"):
        help_ = f"write {quoted(_head(fault) + ' {', 64)}"
        return fault.error("E0113", f"expected `{{`, found `{fault.found}`", help_)
    parts = fault.statement
    halves = len(parts) == 2 and parts[0].type in {"ENCODER", "DECODER"} and parts[1].type == "EQUAL"
    if halves and fault.kind in {"LBRACE", "LMAP"}:
        help_ = f"write `{parts[0]} {{`"
        return fault.error("E0113", f"expected `{{`, found `{parts[1]}`", help_, span=spot(parts[1]))
    return None


def port_in_chain(fault: Fault) -> Diagnostic | None:
    """`dense(1) -> output price`, where `output` is read as a layer."""
    if len(fault.statement) < 2 or fault.bracket is not None or fault.kind not in {"NAME", "COLON"}:
        return None
    arrow, word = fault.statement[-2:]
    if arrow.type != "_ARROW" or word not in ("input", "output"):
        return None
    declared = re.match(rf"(\w+)(?:[ \t]*:[ \t]*({_TYPE}))?", fault.rest)
    name = declared[1] if declared else "NAME"
    help_ = f"put it in a line of its own: `{word} {name}: {(declared and declared[2]) or 'float[...]'}`"
    return fault.error("E0115", f"an {word} cannot stand in a chain", help_, span=spot(word))


def returned(fault: Fault) -> Diagnostic | None:
    """`return x`."""
    if len(fault.statement) != 1 or fault.statement[0] != "return" or fault.kind in {"_ARROW", "EQUAL"}:
        return None
    help_ = "a net says what it gives in a line such as `output label: class[10]`"
    if fault.block.title.startswith("block"):
        help_ = "leave it out: a block gives the value of its last line"
    return fault.error("E0113", "unexpected `return`", help_, span=spot(fault.statement[0]))


def arguments_without_parentheses(fault: Fault) -> Diagnostic | None:
    """`conv channels 3x3`, `optimizer = sgd lr 0.1`."""
    previous = fault.previous
    if fault.kind != "NAME" or previous is None or previous.type != "NAME" or fault.bracket is not None:
        return None
    option = re.fullmatch(r"(\w+)[ \t]*[:=]?[ \t]*([0-9][\w.-]*)", _line(fault))
    if fault.place == "section" and len(fault.statement) > 2:
        given = f"{option[1]}: {option[2]}" if option else "..."
        help_ = f"put arguments in parentheses: `{previous}({given})`"
        return fault.error("E0101", f"expected `(`, found {fault.words}", help_)
    listed = re.match(r"\w+(?:[ \t]*,[ \t]*|[ \t]+)[0-9][\w.]*", fault.rest)
    if fault.place == "body" and listed and "_ARROW" in fault.accepts:
        given = re.sub(r"[ \t]*,[ \t]*|[ \t]+", ", ", listed[0])
        help_ = f"put arguments in parentheses: `{previous}({given})`"
        return fault.error("E0101", f"expected `(`, found {fault.words}", help_)
    return None


def several_values(fault: Fault) -> Diagnostic | None:
    """`metrics = accuracy, top_k(3)`, `schedule = warmup -> cosine`, `batch = 32,`."""
    if fault.place != "section" or fault.bracket is not None or len(fault.statement) < 3:
        return None
    if fault.kind not in {"_COMMA", "_ARROW"} or fault.statement[1].type != "EQUAL":
        return None
    rest = _line(fault)[len(str(fault.found)) :].strip()
    if not rest and fault.kind == "_COMMA":
        return fault.error("E0110", fault.expected("the end of the line"), "remove the comma: a line end ends an entry")
    if re.match(r"\w+\s*[=:]", rest):
        return None
    first = _text(fault, start(fault.statement[2]), end(fault.statement[-1]))
    items = ", ".join([first, *re.split(r"\s*->\s*", rest)])
    help_ = f"write several values as a list: {quoted(f'[{items}]', 64)}"
    return fault.error("E0110", fault.expected("the end of the line"), help_)


def loop(fault: Fault) -> Diagnostic | None:
    """`for i in range(3) {`."""
    if not fault.statement or fault.statement[0] != "for" or fault.place != "body":
        return None
    begin = start(fault.statement[0])
    over = re.compile(r"for\s+\w+\s+in\s+(?:range\s*\(\s*)?(\w+)\s*\)?\s*[:{]").match(fault.source.text, begin)
    if over is None:
        return None
    span = spot(fault.statement[0])
    return fault.error("E0113", "unexpected `for`", f"write `repeat {over[1]} {{`", span=span)


def times(fault: Fault) -> Diagnostic | None:
    """`repeat 3 times {`."""
    if fault.first != "REPEAT" or str(fault.found).lower() not in {"times", "time"} or len(fault.statement) < 2:
        return None
    count = _text(fault, start(fault.statement[1]), end(fault.statement[-1]))
    return fault.error("E0113", f"unexpected `{fault.found}`", f"write {quoted(f'repeat {count} {{', 64)}")


def docstring(fault: Fault) -> Diagnostic | None:
    """A text in three quotes."""
    if fault.kind != "STRING" or not fault.rest.startswith('"""'):
        return None
    at = start(fault.found)
    return fault.error("E0113", 'unexpected `"""`', "begin a comment with `#`", span=Span(start=at, end=at + 3))


def let_inside(fault: Fault) -> Diagnostic | None:
    """`let a = x -> dense(3)` in a net."""
    if fault.place != "body" or fault.first != "NAME" or fault.statement[0] != "let" or fault.kind != "NAME":
        return None
    word = fault.statement[0]
    value = re.match(r"\w+[ \t]*=[ \t]*[a-z_A-Z(][^#\n]*->", fault.rest)
    if value is None:
        return None
    help_ = f"write it without `let`: `{fault.found} = ...`"
    return fault.error("E0115", f"`let` cannot stand inside {fault.block.title}", help_, span=spot(word))


HABITS = (
    docstring,
    percent,
    sizes,
    applied,
    returned,
    port_in_chain,
    sign_before_brace,
    doubled,
    loop,
    times,
    arithmetic,
    name_behind,
    several_values,
    arguments_without_parentheses,
)
