"""From the parser's reductions to the syntax tree.

The automaton calls one method of `Builder` for each rule that is complete, with the parts of the rule in order, so no
parse tree is built in between and nothing here recurses. A method may refuse what the grammar cannot: it raises
`Reject`, which knows no source; the driver in `parse.py` turns it into a diagnostic.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, cast

from lark import Token

from sparknet.grammar import limits
from sparknet.grammar.operators import order
from sparknet.grammar.syntax import (
    Argument,
    Assign,
    Block,
    Boolean,
    Call,
    Chain,
    Dims,
    Entry,
    Expr,
    File,
    Identifier,
    If,
    Import,
    Input,
    Item,
    Let,
    LikeType,
    ListExpr,
    MapEntry,
    MapExpr,
    Name,
    Net,
    Node,
    Number,
    Output,
    Parameter,
    Part,
    Repeat,
    Section,
    Span,
    Statement,
    Step,
    String,
    TypeExpr,
)
from sparknet.grammar.syntax import LayerTuple as TupleNode
from sparknet.grammar.tree import Reject, join, make, span_of, start, widened

RESERVED = frozenset({"and", "else", "false", "if", "like", "not", "or", "repeat", "true"})
"""Words that some place could not read as a name, so that nothing may be called so."""

FOREIGN_WORDS = {"True": "true", "False": "false", "TRUE": "true", "FALSE": "false"}
"""Constants of other languages, with what to write here."""

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True)
class _Group:
    """The items between two delimiters, on their way into a node."""

    span: Span
    items: tuple[Any, ...]


def _name(token: Token) -> str:
    if len(token) > limits.NAME_LENGTH:
        raise Reject("E0124", f"name of {len(token)} characters, the most is {limits.NAME_LENGTH}", join(token, token))
    return str(token)


def _identifier(token: Token) -> Identifier:
    return make(Identifier, span=join(token, token), text=_name(token))


def _declared(token: Token) -> Identifier:
    """The identifier of a thing that the file names; it must be one that every place can read back."""
    if token in RESERVED:
        raise Reject(
            "E0114",
            f"`{token}` is a word of the language and cannot be a name",
            join(token, token),
            f"choose another name, such as `{token}_`",
        )
    return _identifier(token)


def _group(*parts: Token | Node) -> _Group:
    """Whatever stands between the first part and the last, which are the delimiters."""
    return _Group(join(parts[0], parts[-1]), parts[1:-1])


class Builder:
    """One method a rule of `net.lark`; keeps no state, so one builder serves every parse."""

    # ----- top level -----

    def file(self, *items: Item) -> File:
        """The file; the driver widens its span to the whole text."""
        span = join(items[0], items[-1]) if items else span_of(0, 0)
        return make(File, span=span, items=items)

    def import_(self, keyword: Token, path: Token) -> Import:
        """`import "blocks.net"`."""
        return make(Import, span=join(keyword, path), path=self.string(path))

    def let(self, keyword: Token, name: Token, _equal: Token, value: Expr) -> Let:
        """`let width = 64`."""
        return make(Let, span=join(keyword, value), name=_declared(name), value=value)

    def block(self, keyword: Token, name: Token, *rest: _Group) -> Block:
        """`block Residual(channels) { ... }`; the parentheses may be missing."""
        parameters, body = rest if len(rest) == 2 else (None, rest[0])
        return make(
            Block,
            span=join(keyword, body),
            name=_declared(name),
            parameters=parameters.items if parameters else (),
            body=body.items,
        )

    def net(self, keyword: Token, name: Token, body: _Group) -> Net:
        """`net Digits { ... }`."""
        return make(Net, span=join(keyword, body), name=_declared(name), body=body.items)

    def section(self, name: Token, *braced: Any) -> Section:
        """`data { ... }`, `train { ... }` or `predict { ... }`."""
        return make(Section, span=join(name, braced[-1]), name=_identifier(name), entries=braced[1:-1])

    def entry(self, key: Token, _equal: Token, value: Expr) -> Entry:
        """`key = value`."""
        return make(Entry, span=join(key, value), key=_identifier(key), value=value)

    def parameter(self, name: Token, *default: Any) -> Parameter:
        """`stride` or `stride = 1`."""
        value = default[1] if default else None
        return make(Parameter, span=join(name, value or name), name=_declared(name), default=value)

    parameters = body = shape = arguments = staticmethod(_group)

    # ----- statements -----

    def head(self, word: Token) -> Token:
        """A name at the beginning of a statement, where `input` may be one."""
        return word

    def assign(self, name: Token, _equal: Token, value: Chain) -> Assign:
        """`name = chain`."""
        return make(Assign, span=join(name, value), name=_declared(name), value=value)

    def input(self, keyword: Token, name: Token, _colon: Token, kind: TypeExpr) -> Input:
        """`input image: float[1, 8, 8]`."""
        return make(Input, span=join(keyword, kind), name=_declared(name), type=kind)

    def output(self, keyword: Token, name: Token, _colon: Token, kind: TypeExpr | LikeType, *rest: Any) -> Output:
        """`output digit: class[10]`, perhaps with a chain of its own."""
        value = rest[1] if rest else None
        return make(Output, span=join(keyword, value or kind), name=_declared(name), type=kind, value=value)

    def repeat(self, keyword: Token, count: Expr, body: _Group) -> Repeat:
        """`repeat 3 { ... }`."""
        return make(Repeat, span=join(keyword, body), count=count, body=body.items)

    def if_(self, keyword: Token, condition: Expr, then: _Group, *rest: Any) -> If:
        """`if condition { ... }`, perhaps with `else`, which holds a body or another `if`."""
        last = rest[1] if rest else then
        orelse: tuple[Statement, ...] = ()
        if rest:
            orelse = (last,) if isinstance(last, If) else last.items
        return make(If, span=join(keyword, last), condition=condition, then=then.items, orelse=orelse)

    def part(self, name: Token, body: _Group) -> Part:
        """`encoder { ... }` or `decoder { ... }`."""
        return make(Part, span=join(name, body), name=_identifier(name), body=body.items)

    def chain(self, *steps: Step) -> Chain:
        """Steps joined by arrows."""
        return make(Chain, span=join(steps[0], steps[-1]), steps=steps)

    def step(self, name: Token, arguments: _Group | None = None) -> Call:
        """A layer, a block or a value, with or without arguments."""
        return make(
            Call,
            span=join(name, arguments or name),
            name=_identifier(name),
            arguments=None if arguments is None else arguments.items,
        )

    def tuple(self, *parts: Any) -> TupleNode:
        """`(8, 3, 3, 32, "RELU")`."""
        return make(TupleNode, span=join(parts[0], parts[-1]), items=parts[1:-1])

    def type(self, name: Token, shape: _Group | None = None) -> TypeExpr:
        """`float[1, 8, 8]`."""
        return make(
            TypeExpr,
            span=join(name, shape or name),
            name=_identifier(name),
            arguments=() if shape is None else shape.items,
        )

    def like(self, keyword: Token, name: Token) -> LikeType:
        """`like image`."""
        return make(LikeType, span=join(keyword, name), name=_identifier(name))

    def argument(self, *parts: Any) -> Argument:
        """`value` or `key: value`."""
        key = _identifier(parts[0]) if len(parts) == 3 else None
        return make(Argument, span=join(parts[0], parts[-1]), key=key, value=parts[-1])

    # ----- expressions -----

    def expression(self, *parts: Expr | Token) -> Expr:
        """Operands and operators in a row."""
        return order(parts)

    def group(self, left: Token, value: Expr, right: Token) -> Expr:
        """An expression in parentheses: the same node, its span with the parentheses."""
        return cast(Expr, widened(value, join(left, right)))

    def number(self, token: Token) -> Number:
        """A whole number or a decimal within sensible limits."""
        span = join(token, token)
        if len(token) > limits.DIGITS:
            _check_digits(token, span)
        if token.isdigit():
            return make(Number, span=span, value=int(token))
        value = float(token)
        if math.isinf(value) or (value == 0 and token.lower().split("e")[0].strip("0.")):
            size = "large" if value else "small"
            raise Reject("E0108", f"the number `{token}` is too {size} to be held", span)
        return make(Number, span=span, value=value)

    def dims(self, token: Token) -> Dims:
        """`3x3`."""
        span = join(token, token)
        _check_digits(token, span)
        return make(Dims, span=span, sizes=tuple(map(int, token.split("x"))))

    def string(self, token: Token) -> String:
        """A quoted text, its escapes resolved."""
        if len(token) - 2 > limits.STRING_LENGTH:
            raise Reject(
                "E0124", f"text of {len(token) - 2} characters, the most is {limits.STRING_LENGTH}", join(token, token)
            )
        body = token[1:-1]
        value = _ESCAPE.sub(lambda match: _unescape(match, token), body) if "\\" in body else body
        return make(String, span=join(token, token), value=value)

    def boolean(self, token: Token) -> Boolean:
        """`true` or `false`."""
        return make(Boolean, span=join(token, token), value=token.type == "TRUE")

    def variable(self, token: Token) -> Name:
        """A bare name."""
        if token in FOREIGN_WORDS:
            word = FOREIGN_WORDS[token]
            raise Reject("E0113", f"expected `{word}`, found `{token}`", join(token, token), f"write `{word}`")
        return make(Name, span=join(token, token), text=_name(token))

    def call(self, name: Token, arguments: _Group) -> Call:
        """A name with arguments."""
        return make(Call, span=join(name, arguments), name=_identifier(name), arguments=arguments.items)

    def list(self, *parts: Any) -> ListExpr:
        """`[1, 2]`."""
        return make(ListExpr, span=join(parts[0], parts[-1]), items=parts[1:-1])

    def map(self, *parts: Any) -> MapExpr:
        """`{a: 1}`."""
        return make(MapExpr, span=join(parts[0], parts[-1]), entries=parts[1:-1])

    def map_entry(self, key: Identifier, _colon: Token, value: Expr) -> MapEntry:
        """`key: value`."""
        return make(MapEntry, span=join(key, value), key=key, value=value)

    def key(self, token: Token) -> Identifier:
        """The key of a map: a name, or a label that is a text or a number."""
        if token.type == "STRING":
            text = self.string(token)
            return make(Identifier, span=text.span, text=text.value)
        return _identifier(token)


def _check_digits(token: Token, span: Span) -> None:
    """Refuse numbers that `int` and `float` would take long over, or hold wrongly."""
    if len(token) > limits.NUMBER_LENGTH:
        raise Reject("E0108", f"number of {len(token)} characters, the most is {limits.NUMBER_LENGTH}", span)
    if max(map(len, re.findall(r"[0-9]+", token))) > limits.DIGITS:
        raise Reject("E0108", f"the number has more than {limits.DIGITS} digits in a row", span)


def _unescape(match: re.Match[str], token: Token) -> str:
    if match[1] in _ESCAPES:
        return _ESCAPES[match[1]]
    at = start(token) + 1 + match.start()
    raise Reject(
        "E0106",
        f"unknown escape `{match[0]}` in a text",
        Span(start=at, end=at + 2),
        'the escapes are `\\"`, `\\\\`, `\\n` and `\\t`; write `\\\\` for a backslash',
    )
