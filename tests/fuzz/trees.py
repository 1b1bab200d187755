"""Hypothesis strategies for syntax trees that the grammar can write."""

from __future__ import annotations

from hypothesis import strategies as st

from sparknet.grammar import syntax as s

NOWHERE = s.Span(start=0, end=0)
OPERATORS = ["+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or"]

names = st.sampled_from(["a", "b1", "_x", "relu", "dense", "Block", "data", "net", "input", "x3", "a" * 40, "train"])
identifiers = names.map(lambda text: s.Identifier(span=NOWHERE, text=text))
visible = st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Zl", "Zp", "Cs"])
texts = st.text(visible | st.sampled_from('\n\t"\\#'), max_size=12)
strings = texts.map(lambda value: s.String(span=NOWHERE, value=value))
numbers = st.one_of(
    st.integers(0, 10**18 - 1),
    st.floats(0, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, 1e-4, 9.9e-5, 1e7, 5e-324, 1.7e308]),
).map(lambda value: s.Number(span=NOWHERE, value=value))
leaves = st.one_of(
    numbers,
    strings,
    st.booleans().map(lambda value: s.Boolean(span=NOWHERE, value=value)),
    st.lists(st.integers(0, 999), min_size=2, max_size=4).map(lambda v: s.Dims(span=NOWHERE, sizes=tuple(v))),
    (names | st.just("onnxruntime-training")).map(lambda text: s.Name(span=NOWHERE, text=text)),
)


def _inner(expr: st.SearchStrategy[s.Expr]) -> st.SearchStrategy[s.Expr]:
    keys = identifiers | texts.map(lambda text: s.Identifier(span=NOWHERE, text=text))
    entries = st.builds(lambda key, value: s.MapEntry(span=NOWHERE, key=key, value=value), keys, expr)
    return st.one_of(
        st.builds(lambda o, x: s.Unary(span=NOWHERE, operator=o, operand=x), st.sampled_from(["-", "not"]), expr),
        st.builds(_binary, st.sampled_from(OPERATORS), expr, expr),
        st.lists(expr, max_size=3).map(lambda v: s.ListExpr(span=NOWHERE, items=tuple(v))),
        st.lists(entries, max_size=3).map(lambda v: s.MapExpr(span=NOWHERE, entries=tuple(v))),
        calls(expr),
    )


def _binary(operator: str, left: s.Expr, right: s.Expr) -> s.Expr:
    return s.Binary(span=NOWHERE, operator=operator, left=left, right=right)


def arguments(expr: st.SearchStrategy[s.Expr], least: int = 0) -> st.SearchStrategy[tuple[s.Argument, ...]]:
    one = st.builds(lambda key, value: s.Argument(span=NOWHERE, key=key, value=value), st.none() | identifiers, expr)
    return st.lists(one, min_size=least, max_size=3).map(tuple)


def calls(expr: st.SearchStrategy[s.Expr]) -> st.SearchStrategy[s.Call]:
    return st.builds(lambda n, a: s.Call(span=NOWHERE, name=n, arguments=a), identifiers, arguments(expr))


expressions = st.recursive(leaves, _inner, max_leaves=6)
steps = st.one_of(
    calls(expressions),
    identifiers.map(lambda name: s.Call(span=NOWHERE, name=name, arguments=None)),
    st.lists(expressions, min_size=1, max_size=5).map(lambda v: s.LayerTuple(span=NOWHERE, items=tuple(v))),
)
chains = st.lists(steps, min_size=1, max_size=6).map(lambda v: s.Chain(span=NOWHERE, steps=tuple(v)))
types = st.builds(lambda n, a: s.TypeExpr(span=NOWHERE, name=n, arguments=a), identifiers, arguments(expressions))
likes = identifiers.map(lambda name: s.LikeType(span=NOWHERE, name=name))
simple = st.one_of(
    chains,
    st.builds(lambda n, v: s.Assign(span=NOWHERE, name=n, value=v), identifiers, chains),
    st.builds(lambda n, t: s.Input(span=NOWHERE, name=n, type=t), identifiers, types),
    st.builds(
        lambda n, t, v: s.Output(span=NOWHERE, name=n, type=t, value=v), identifiers, types | likes, st.none() | chains
    ),
)


def _bodies(statement: st.SearchStrategy[s.Statement]) -> st.SearchStrategy[s.Statement]:
    body = st.lists(statement, max_size=3).map(tuple)
    parts = st.sampled_from(["encoder", "decoder"]).map(lambda text: s.Identifier(span=NOWHERE, text=text))
    return st.one_of(
        st.builds(lambda c, b: s.Repeat(span=NOWHERE, count=c, body=b), expressions, body),
        st.builds(lambda c, a, b: s.If(span=NOWHERE, condition=c, then=a, orelse=b), expressions, body, body),
        st.builds(lambda n, b: s.Part(span=NOWHERE, name=n, body=b), parts, body),
    )


bodies = st.lists(st.recursive(simple, _bodies, max_leaves=5), max_size=5).map(tuple)
parameters = st.builds(lambda n, d: s.Parameter(span=NOWHERE, name=n, default=d), identifiers, st.none() | expressions)
entries = st.builds(lambda k, v: s.Entry(span=NOWHERE, key=k, value=v), identifiers, expressions)
sections = st.sampled_from(["data", "train", "predict"]).map(lambda text: s.Identifier(span=NOWHERE, text=text))
items = st.one_of(
    strings.map(lambda path: s.Import(span=NOWHERE, path=path)),
    st.builds(lambda n, v: s.Let(span=NOWHERE, name=n, value=v), identifiers, expressions),
    st.builds(
        lambda n, p, b: s.Block(span=NOWHERE, name=n, parameters=tuple(p), body=b),
        identifiers,
        st.lists(parameters, max_size=3),
        bodies,
    ),
    st.builds(lambda n, b: s.Net(span=NOWHERE, name=n, body=b), identifiers, bodies),
    st.builds(lambda n, e: s.Section(span=NOWHERE, name=n, entries=tuple(e)), sections, st.lists(entries, max_size=4)),
)
files = st.lists(items, max_size=5).map(lambda v: s.File(span=NOWHERE, items=tuple(v)))
