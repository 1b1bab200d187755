"""Nets from Python objects: trees without a text, to be compiled or written as a formatted `.net` file.

    from sparknet.grammar import construct as c, write

    file = c.file(
        c.net(
            "Digits",
            c.input("image", "float", 1, 8, 8),
            (8, 3, 3, 32, "RELU"),                      # a layer tuple, as in the document
            c.layer("maxpool", 2),
            c.chain("flatten", c.layer("dense", 128, c.word("relu")), c.layer("dense", 10)),
            c.output("digit", "class", 10),
        ),
        c.section("train", epochs=10, optimizer=c.call("adam", lr=0.001)),
    )
    print(write(file))

Values are Python's: numbers, texts, booleans, lists, dictionaries for maps; a tuple of whole numbers such as `(3, 3)`
stands for sizes, `3x3`. `expr` reads anything else from text, such as `c.expr("width * 2")`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparknet.grammar import syntax as s
from sparknet.grammar.bare import same
from sparknet.grammar.diagnostics import Label, SparkNetError
from sparknet.grammar.format import write
from sparknet.grammar.parse import parse
from sparknet.grammar.source import Source

_NOWHERE = s.Span(start=0, end=0)

Value = s.Expr | bool | int | float | str | Sequence[Any] | Mapping[Any, Any]
Layer = s.Call | s.LayerTuple | str | tuple[Any, ...]
"""A layer: made by `layer`, a name alone, or a layer tuple."""
Line = Layer | s.Statement


def file(*items: s.Item) -> s.File:
    """A whole file. What it returns is as if read from `write(file(...))`, spans included.

    Raises:
        SparkNetError: Where a part cannot stand in a file, such as a name with a blank in it.
        ValueError: Where the parts, written down, would mean something else.
    """
    made = s.File(span=_NOWHERE, items=items)
    read = parse(write(made), "<built>")
    if not same(made, read):
        raise ValueError("a name in this net is not a name: written as text, the net would be another one")
    return read


def net(name: str, *body: Line) -> s.Net:
    """`net Name { ... }`."""
    return s.Net(span=_NOWHERE, name=_name(name), body=_body(body))


def block(name: str, parameters: Mapping[str, Value | None], *body: Line) -> s.Block:
    """`block Name(parameters) { ... }`; the value of a parameter is its default, None if it has none."""
    made = (
        s.Parameter(span=_NOWHERE, name=_name(key), default=None if default is None else value(default))
        for key, default in parameters.items()
    )
    return s.Block(span=_NOWHERE, name=_name(name), parameters=tuple(made), body=_body(body))


def let(name: str, what: Value) -> s.Let:
    """`let name = value`."""
    return s.Let(span=_NOWHERE, name=_name(name), value=value(what))


def imports(path: str) -> s.Import:
    """`import "path"`."""
    return s.Import(span=_NOWHERE, path=s.String(span=_NOWHERE, value=path))


def section(name: str, **entries: Value) -> s.Section:
    """`train { key = value ... }`."""
    made = (s.Entry(span=_NOWHERE, key=_name(key), value=value(what)) for key, what in entries.items())
    return s.Section(span=_NOWHERE, name=_name(name), entries=tuple(made))


# ----- statements -----


def input(name: str, kind: str, *sizes: Value, **options: Value) -> s.Input:
    """`input name: kind[sizes, option: value]`."""
    return s.Input(span=_NOWHERE, name=_name(name), type=_type(kind, sizes, options))


def output(name: str, kind: str, *sizes: Value, of: s.Chain | Layer | None = None) -> s.Output:
    """`output name: kind[sizes]`, `output name: like input` for the kind "like image", `= chain` with `of`."""
    like = kind.removeprefix("like ")
    made = _type(kind, sizes, {}) if like == kind else s.LikeType(span=_NOWHERE, name=_name(like))
    return s.Output(span=_NOWHERE, name=_name(name), type=made, value=None if of is None else _chain(of))


def layer(name: str, *arguments: Value, **options: Value) -> s.Call:
    """`name(arguments, option: value)`, or `name` alone without any."""
    made = _arguments(arguments, options)
    return s.Call(span=_NOWHERE, name=_name(name), arguments=made or None)


def chain(*steps: Layer) -> s.Chain:
    """Layers joined by `->`."""
    return s.Chain(span=_NOWHERE, steps=tuple(map(_step, steps)))


def assign(name: str, what: s.Chain | Layer) -> s.Assign:
    """`name = chain`."""
    return s.Assign(span=_NOWHERE, name=_name(name), value=_chain(what))


def repeat(count: Value, *body: Line) -> s.Repeat:
    """`repeat count { ... }`."""
    return s.Repeat(span=_NOWHERE, count=value(count), body=_body(body))


def when(condition: Value, then: Sequence[Line], orelse: Sequence[Line] = ()) -> s.If:
    """`if condition { ... } else { ... }`."""
    return s.If(span=_NOWHERE, condition=value(condition), then=_body(then), orelse=_body(orelse))


def part(name: str, *body: Line) -> s.Part:
    """`encoder { ... }` or `decoder { ... }`."""
    return s.Part(span=_NOWHERE, name=_name(name), body=_body(body))


# ----- values -----


def word(name: str) -> s.Name:
    """A bare word: `relu`, `same`, the name of a let."""
    return s.Name(span=_NOWHERE, text=name)


def call(name: str, *arguments: Value, **options: Value) -> s.Call:
    """`name(arguments, option: value)` as a value, such as `adam(lr: 0.001)`."""
    return s.Call(span=_NOWHERE, name=_name(name), arguments=_arguments(arguments, options))


def expr(text: str, name: str = "<expression>") -> s.Expr:
    """An expression read from text, which messages call `name`; raises SparkNetError."""
    (item,) = _read(Source(name, text), "let x = ", "").items
    if not isinstance(item, s.Let):
        raise TypeError(f"no expression: {text!r}")
    return item.value


def lines(text: str, name: str = "<lines>") -> tuple[s.Statement, ...]:
    """The lines of a net's body read from text, which messages call `name`; raises SparkNetError."""
    (item,) = _read(Source(name, text), "net N {\n", "\n}\n").items
    if not isinstance(item, s.Net):
        raise TypeError(f"no lines of a net: {text!r}")
    return item.body


def _read(source: Source, before: str, behind: str) -> s.File:
    """A text with what it needs around it; messages show it without."""
    try:
        return parse(f"{before}{source.text}{behind}", source.name)
    except SparkNetError as error:
        found = tuple(
            replace(each, labels=tuple(_moved(label, source, len(before)) for label in each.labels))
            for each in error.diagnostics
        )
        raise SparkNetError(found) from error


def _moved(label: Label, source: Source, by: int) -> Label:
    start, end = (min(max(0, place - by), len(source.text)) for place in (label.span.start, label.span.end))
    return replace(label, source=source, span=s.Span(start=start, end=end))


def value(what: Value) -> s.Expr:
    """A Python value as an expression."""
    match what:
        case s.Node():
            return what
        case bool():
            return s.Boolean(span=_NOWHERE, value=what)
        case int() | float():
            return _number(what)
        case str():
            return s.String(span=_NOWHERE, value=what)
        case Mapping():
            entries = (s.MapEntry(span=_NOWHERE, key=_name(str(k)), value=value(v)) for k, v in what.items())
            return s.MapExpr(span=_NOWHERE, entries=tuple(entries))
        case tuple() if len(what) > 1 and all(type(size) is int and size >= 0 for size in what):
            return s.Dims(span=_NOWHERE, sizes=what)
        case Sequence():
            return s.ListExpr(span=_NOWHERE, items=tuple(map(value, what)))
    raise TypeError(f"no value of the language: {what!r}")


def _number(number: float) -> s.Expr:
    if not math.isfinite(number):
        raise ValueError(f"the language has no number {number}")
    made = s.Number(span=_NOWHERE, value=abs(number))
    return s.Unary(span=_NOWHERE, operator="-", operand=made) if number < 0 else made


def _name(text: str) -> s.Identifier:
    return s.Identifier(span=_NOWHERE, text=text)


def _arguments(arguments: Sequence[Value], options: Mapping[str, Value]) -> tuple[s.Argument, ...]:
    placed = [s.Argument(span=_NOWHERE, key=None, value=value(what)) for what in arguments]
    return (*placed, *(s.Argument(span=_NOWHERE, key=_name(key), value=value(v)) for key, v in options.items()))


def _type(kind: str, sizes: Sequence[Value], options: Mapping[str, Value]) -> s.TypeExpr:
    return s.TypeExpr(span=_NOWHERE, name=_name(kind), arguments=_arguments(sizes, options))


def _step(what: Layer) -> s.Step:
    if isinstance(what, s.Node):
        return what
    if isinstance(what, str):
        return layer(what)
    return s.LayerTuple(span=_NOWHERE, items=tuple(map(value, what)))


def _chain(what: s.Chain | Layer) -> s.Chain:
    return what if isinstance(what, s.Chain) else chain(what)


def _body(body: Sequence[Line]) -> tuple[s.Statement, ...]:
    return tuple(chain(line) if isinstance(line, str | tuple | s.Call | s.LayerTuple) else line for line in body)
