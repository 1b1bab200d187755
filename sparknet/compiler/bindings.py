"""Bindings: what feeds an input or an output, each an expression over columns of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from sparknet.compiler.arguments import bind
from sparknet.compiler.encoders import AnyEncoder
from sparknet.compiler.functions import FUNCTIONS, Column, Fed, Function, MisfitError, Standardize
from sparknet.compiler.scope import Scope, Word, describe, evaluate
from sparknet.compiler.sections import Binding
from sparknet.grammar import syntax
from sparknet.grammar.suggest import closest

_NAMES = ("column", "columns", *FUNCTIONS, Standardize.name)
_BARE = (*FUNCTIONS, Standardize.name)
"""What may be written without arguments."""
_MEASURED = ("column", "columns", "image", "audio")
"""What `standardize` takes."""
WILDCARDS = "*?"
MAX_COLUMNS = 10_000


def elaborate_binding(value: syntax.Expr, port: Fed, scope: Scope) -> Binding:
    """What feeds `port`, the arithmetic around it checked; raises SparkNetError."""
    calls = list(_calls(value, scope))
    if len(calls) != 1:
        message = f"a binding needs one column, found {len(calls) or 'none'}"
        raise scope.error("E0505", message, value, 'write `column("name")`, with arithmetic around it if need be')
    call, kept = calls[0], port.kept
    if kept and isinstance(value, syntax.Binary | syntax.Unary):
        message = f"the column of {kept} is taken as it is"
        raise scope.error("E0505", message, value, "prepare the column in Spark before this")
    label = scope.label(value)
    if call.name.text == Standardize.name:
        return _standardized(call, port, scope).model_copy(update={"label": label})
    if call.name.text == "columns":
        names = _names(call, scope)
        _check_several(call, names, port, scope)
        return Binding(port=port.name, columns=names, label=label, patterns=True)
    column, encoder = _encoded(call, port, scope)
    return Binding(port=port.name, columns=(column,), label=label, encoder=encoder)


def _standardized(call: syntax.Call, port: Fed, scope: Scope) -> Binding:
    """`standardize` around what gives numbers; without an argument, around the column that is called like the port."""
    first = next(iter(call.arguments or ()), None)
    inner, options = None, call.arguments or ()
    if first is not None and first.key is None:
        inner, options = first.value, options[1:]
        if not isinstance(inner, syntax.Call) or inner.name.text not in _MEASURED:
            help = f"write arithmetic around it; it takes {', '.join(f'`{name}`' for name in _MEASURED)}"
            raise scope.error("E0505", "`standardize` takes columns", inner, help)
    found = bind(Standardize, call.model_copy(update={"arguments": options}), scope)
    try:
        axis = found.axis_of(port)
    except MisfitError as error:
        raise scope.error("E0505", error.message, options[0] if error.argument else call, error.help) from None
    binding = Binding(port=port.name, columns=(port.name,), label=scope.label(call))
    if inner is not None:
        binding = elaborate_binding(inner, port, scope)
    return binding.model_copy(update={"axis": axis})


def is_prepared(value: syntax.Expr) -> bool:
    """Whether the graphs compute something before the net: what a binding's expression says around the column."""
    if isinstance(value, syntax.Binary | syntax.Unary):
        return True
    name = value.name.text if isinstance(value, syntax.Call) else getattr(value, "text", "")
    return name == Standardize.name or (name in FUNCTIONS and FUNCTIONS[name].divisor != 1)


def _encoded(call: syntax.Call, port: Fed, scope: Scope) -> tuple[str, AnyEncoder | None]:
    """The column that a call reads, and what becomes of its cells."""
    function: type[Function] = FUNCTIONS.get(call.name.text, Column)
    if function is Column:
        plain = tuple(a for a in call.arguments or () if a.key is None)
        column = _names(call.model_copy(update={"arguments": plain}), scope)[0]
    else:
        column, plain = _inner(call, port, scope)
    options = tuple(a for a in call.arguments or () if a not in plain)
    found = bind(function, call.model_copy(update={"arguments": options}), scope)
    try:
        return column, found.encoder(port)
    except MisfitError as error:
        places = {a.key.text: a for a in options if a.key is not None}
        place = places.get(error.argument or "", call)
        raise scope.error("E0505", error.message, place, error.help) from None


def _inner(call: syntax.Call, port: Fed, scope: Scope) -> tuple[str, tuple[syntax.Argument, ...]]:
    """The column inside a function, and the argument that says so; without one, the column is called like the port."""
    first = next(iter(call.arguments or ()), None)
    if first is None or first.key is not None:
        return port.name, ()
    inner = first.value
    if not isinstance(inner, syntax.Call) or inner.name.text != "column":
        example = FUNCTIONS[call.name.text].example
        raise scope.error("E0505", f"`{call.name.text}` takes a column", first, f"write `{example}`")
    return _names(inner, scope)[0], (first,)


def _calls(expr: syntax.Expr, scope: Scope) -> Iterator[syntax.Call]:
    """The calls that an expression computes with."""
    match expr:
        case syntax.Call():
            _check_name(expr, scope)
            yield expr
        case syntax.Name() if expr.text in _BARE and expr.text not in scope.names:
            yield syntax.Call(span=expr.span, name=syntax.Identifier(span=expr.span, text=expr.text), arguments=None)
        case syntax.Binary(operator="+" | "-" | "*" | "/"):
            yield from _calls(expr.left, scope)
            yield from _calls(expr.right, scope)
            if expr.operator == "/" and isinstance(expr.right, syntax.Number) and expr.right.value == 0:
                raise scope.error("E0207", "division by zero", expr.right)
        case syntax.Unary(operator="-"):
            yield from _calls(expr.operand, scope)
        case _:
            value = evaluate(expr, scope)
            if isinstance(value, Word):
                hint = f'a column is written `column("{value.text}")`'
                raise scope.error("E0505", f"expected a column or a number, found `{value.text}`", expr, hint)
            if isinstance(value, bool) or not isinstance(value, int | float):
                help = f'write `column("{value}")`' if isinstance(value, str) else None
                raise scope.error("E0505", f"expected a column or a number, found {describe(value)}", expr, help)


def _check_name(call: syntax.Call, scope: Scope) -> None:
    if call.name.text not in _NAMES:
        near = closest(call.name.text, _NAMES)
        help = f"did you mean `{near}`?" if near else "a binding is `column(...)` and arithmetic: `+`, `-`, `*`, `/`"
        raise scope.error("E0505", f"unknown function `{call.name.text}`", call.name, help)


def _names(call: syntax.Call, scope: Scope) -> tuple[str, ...]:
    """The quoted names in `column("x")` or `columns("a", "b")`."""
    what, arguments = call.name.text, call.arguments or ()
    names = tuple(a.value.value for a in arguments if a.key is None and isinstance(a.value, syntax.String))
    wanted = len(names) == len(arguments) > 0
    if what == "column" and (not wanted or len(names) > 1):
        message = "`column` takes one name in quotes" if arguments else "`column` needs the name of a column"
        first = arguments[0].value if arguments else None
        helps = [f'write `column("{first.text if isinstance(first, syntax.Name) else "name"}")`']
        if len(names) == len(arguments) > 1:
            helps = [f"write `columns({', '.join(map(_quoted, names[:3]))}{', ...' * (len(names) > 3)})`"]
        raise scope.error("E0505", message, call, *helps)
    if not wanted:
        message = "`columns` takes names in quotes" if arguments else "`columns` needs the names of columns"
        raise scope.error("E0505", message, call, 'write `columns("a", "b")`, or `columns("f*")` for all that begin so')
    return names


def _quoted(name: str) -> str:
    return f'"{name}"'


def _check_several(call: syntax.Call, names: tuple[str, ...], port: Fed, scope: Scope) -> None:
    """Raises SparkNetError where several columns cannot make a row of `port`, as far as their names tell."""
    if port.kind == "class" or port.type.lengths is not None:
        what = f"`{port.name}` is a class" if port.kind == "class" else f"the rows of `{port.name}` vary in length"
        raise scope.error("E0505", f"{what}: it takes one column", call, 'write `column("name")`')
    if len(names) > MAX_COLUMNS:
        raise scope.error("E0505", f"more than {MAX_COLUMNS:,} names", call, 'write a pattern, such as `columns("f*")`')
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise scope.error("E0505", f"column {_quoted(twice)} is named twice", call)
    if any(sign in name for name in names for sign in WILDCARDS):
        return
    if len(names) != port.type.size:
        count = f"{len(names)} column{'s' * (len(names) > 1)}"
        numbers = f"{port.type.size:,} number{'s' * (port.type.size > 1)}"
        message = f"`columns` names {count}, but `{port.name}` takes {numbers}"
        raise scope.error("E0505", message, call, "each column gives one number")
