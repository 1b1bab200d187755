"""Arguments of calls: from what was written to a checked pydantic model, or diagnostics at the exact argument.

Layers, optimizers, data sources and synchronisations are all models whose fields, in order, are the arguments; so they
are bound, checked and complained about in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sparknet.compiler.forms import Form, form_of, usage
from sparknet.compiler.scope import Scope, Word, describe, evaluate, is_unknown, name_help
from sparknet.compiler.translate import argument_help, decimal, shorter, sizes_help, value_help, written
from sparknet.grammar import limits, syntax
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError
from sparknet.grammar.suggest import closest

Model = TypeVar("Model", bound=BaseModel)

_EXPECTED: dict[str, str] = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "`true` or `false`",
    "bool_parsing": "`true` or `false`",
    "string_type": 'a text in quotes, such as `"name"`',
    "tuple_type": "sizes such as `3x3`",
    "too_long": "two sizes, such as `3x3`",
    "dict_type": "a map such as `{train: 0.8, test: 0.2}`",
}


def bind(model: type[Model], call: syntax.Call, scope: Scope) -> Model:
    """The model that `call` describes; raises SparkNetError with one diagnostic for each wrong argument."""
    what = call.name.text
    form = form_of(model)
    placed, problems = place(call, form.names, scope, form.positional, form.gathers)
    values: dict[str, Any] = {}
    for name, argument in placed.items():
        try:
            values[name] = evaluate(argument.value, scope)
        except SparkNetError as error:
            problems.extend(error.diagnostics)
    if problems or len(values) < len(placed):
        raise SparkNetError(problems)
    for name, value in values.items():
        if help := sizes_help(name, placed[name].value, scope):
            message = f"`{name}` of `{what}` must be sizes such as `3x3`, found `{written(placed[name].value, scope)}`"
            raise scope.error("E0303", message, placed[name].value, help)
        if isinstance(value, Word) and name in form.texts:
            message = f"`{name}` of `{what}` must be a text in quotes, found {describe(value)}"
            raise scope.error("E0303", message, placed[name].value, f'write `"{value.text}"`')
    places = {name: argument.value for name, argument in placed.items()}
    return validated(model, values, places, call, lambda name: f"`{name}` of `{what}`" if name else f"`{what}`", scope)


def validated(
    model: type[Model],
    values: Mapping[str, Any],
    places: Mapping[str, syntax.Expr],
    call: syntax.Call | syntax.LayerTuple,
    subject: Callable[[str], str],
    scope: Scope,
) -> Model:
    """The model with these values, which stand at `places`; `subject` says what a message calls one of them.

    Values that nobody knows yet are right, and so is what depends on them: the model is then made of the others.
    """
    known = {name: plain(value) for name, value in values.items() if not is_unknown(value)}
    try:
        return model.model_validate(known)
    except ValidationError as error:
        problems = _explain(error, call, model, places, values, subject, scope)
    if problems or len(known) == len(values):
        raise SparkNetError(problems)
    return model.model_construct(**known)


def plain(value: Any) -> Any:
    """A value as the models take it: words become texts."""
    match value:
        case Word():
            return value.text
        case tuple():
            return tuple(plain(v) for v in value)
        case dict():
            return {k: plain(v) for k, v in value.items()}
        case _:
            return value


def place(
    call: syntax.Call, names: Sequence[str], scope: Scope, positional: int | None = None, gathers: str | None = None
) -> tuple[dict[str, syntax.Argument], list[Diagnostic]]:
    """Which of `names` each argument is for, as far as that is clear; only the first `positional` may go unnamed."""
    most = len(names) if positional is None else positional
    placed: dict[str, syntax.Argument] = {}
    problems: list[Diagnostic] = []
    what, known = call.name.text, set(names)
    for position, argument in enumerate(_gathered(call, gathers)):
        if argument.key is None:
            if position >= most:
                takes = f"`{what}` takes {_at_most(most)}{' without their names' if most < len(names) else ''}"
                help = decimal(call, argument, scope) or shorter(call, scope) or signature_help(what, names)
                problems += scope.error("E0304", takes, argument, help).diagnostics
                break
            name = names[position]
        else:
            name = argument.key.text
        if len(problems) >= limits.ERRORS:
            break
        if name not in known:
            near = closest(name, names)
            help = argument_help(argument, names, scope) or (
                f"did you mean `{near}`?" if near else signature_help(what, names)
            )
            problems += scope.error(
                "E0301", f"`{what}` has no argument `{name}`", argument.key or argument, help
            ).diagnostics
        elif name in placed:
            again = scope.label(argument, "given again here")
            first = scope.label(placed[name], "first given here")
            problems.append(Diagnostic("E0305", f"`{name}` of `{what}` is given twice", (again, first)))
        else:
            placed[name] = argument
    return placed, problems


def _gathered(call: syntax.Call, into: str | None) -> tuple[syntax.Argument, ...]:
    """The arguments, those without names joined to one list for the field `into`: `reshape(1, 28, 28)`."""
    arguments = call.arguments or ()
    items = [a for a in arguments if a.key is None]
    if into is None or not items:
        return arguments
    span = syntax.Span(start=items[0].span.start, end=items[-1].span.end)
    joined = syntax.ListExpr(span=span, items=tuple(a.value for a in items))
    return (syntax.Argument(span=span, key=None, value=joined), *(a for a in arguments if a.key is not None))


def _at_most(count: int) -> str:
    return f"at most {count} argument{'s' * (count > 1)}" if count else "no arguments"


def signature_help(what: str, names: Sequence[str]) -> str:
    """What a call may be given, as a help."""
    return f"its arguments are {', '.join(f'`{n}`' for n in names)}" if names else f"write `{what}` alone"


def _explain(
    error: ValidationError,
    call: syntax.Call | syntax.LayerTuple,
    model: type[BaseModel],
    places: Mapping[str, syntax.Expr],
    values: Mapping[str, Any],
    subject: Callable[[str], str],
    scope: Scope,
) -> list[Diagnostic]:
    """One diagnostic for each wrong value. Where some are unknown, what compares several of them says nothing."""
    diagnostics: list[Diagnostic] = []
    unknown = any(map(is_unknown, values.values()))
    seen: set[str] = set()
    for detail in error.errors():
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if name in seen or is_unknown(values.get(name)) or (unknown and detail["type"] == "value_error"):
            continue
        seen.add(name)
        if detail["type"] == "missing" and isinstance(call, syntax.Call):
            what = call.name.text
            given = {key: written(place, scope) for key, place in places.items()}
            example = f"write `{usage(what, form_of(model), given)}`"
            diagnostics += scope.error("E0302", f"`{what}` needs `{name}`", call, example).diagnostics
        else:
            node = _node(places[name], detail["loc"]) if name in places else call
            message, help = explain_value(detail, values)
            if name in places and isinstance(call, syntax.Call):
                meant = _meant(call, form_of(model), name, places[name], node, scope)
                help = meant or value_help(name, places[name], scope) or help
            if help is None and isinstance(found := values.get(name), Word):
                help = name_help(found.text, scope)
            diagnostics += scope.error("E0303", f"{subject(name)} {message}", node, help).diagnostics
    return diagnostics


def _meant(call: syntax.Call, form: Form, name: str, value: syntax.Expr, part: syntax.Node, scope: Scope) -> str | None:
    """What to write in place of a wrong `value` of the argument `name`, or of the `part` of it that is wrong."""
    if part is not value and isinstance(part, syntax.ListExpr | syntax.Dims):
        items = ", ".join(re.findall(r"[^][x,\s]+", written(part, scope)))
        return f"write `{call.name.text}({items})`"
    if isinstance(value, syntax.Dims) and name == "filters":
        return f"sizes stand behind the filters: `{call.name.text}(32, {written(value, scope)})`"
    if isinstance(value, syntax.Name) and value.text in form.names and value.text not in scope.names:
        return f"write `{value.text}: {'true' if value.text in form.switches else '...'}`"
    return None


def _node(value: syntax.Expr, place: Sequence[int | str]) -> syntax.Node:
    """What was written at `place` within `value`, as near as the tree goes."""
    if isinstance(value, syntax.ListExpr) and len(place) > 1 and isinstance(place[1], int):
        return value.items[place[1]]
    return value


def explain_value(detail: ErrorDetails, values: Mapping[str, Any]) -> tuple[str, str | None]:
    """What pydantic found wrong with one of `values`, in the words of the language, and a help."""
    kind, context = detail["type"], detail.get("ctx", {})
    found = describe(values[str(detail["loc"][0])] if len(detail["loc"]) == 1 else detail["input"])
    bounds = {
        "greater_than": ("above", "gt"),
        "greater_than_equal": ("at least", "ge"),
        "less_than": ("below", "lt"),
        "less_than_equal": ("at most", "le"),
    }
    if kind in bounds:
        words, key = bounds[kind]
        share = kind == "less_than" and context[key] == 1 and 2 <= detail["input"] <= 100
        help = f"{detail['input']:g} percent is `{detail['input'] / 100:g}`" if share else None
        bound = context[key]
        return f"must be {words} {f'{bound:,}' if isinstance(bound, int) else f'{bound:,g}'}, found {found}", help
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "`")
        return f"must be {choices}, found {found}", _did_you_mean(str(detail["input"]), choices.split("`")[1::2])
    if kind == "value_error":
        return str(context["error"]), None
    if kind == "unknown_word":
        return f"must be {context['what']}, found {found}", _did_you_mean(str(detail["input"]), context["choices"])
    return f"must be {_EXPECTED.get(kind, 'something else')}, found {found}", _plainer(kind, detail["input"])


def _plainer(kind: str, value: Any) -> str | None:
    """How to write a value of the wrong kind that says what a right one would say."""
    if kind.startswith("int_") and isinstance(value, float) and value.is_integer():
        return f"write `{int(value)}`"
    if kind.startswith(("int_", "float_")) and isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return f"write `{value}`, without quotes"
    if kind == "bool_type" and value in (0, 1):
        return f"write `{'true' if value else 'false'}`"
    return None


def explain_entries(
    error: ValidationError, entries: Mapping[str, syntax.Entry], values: Mapping[str, Any], scope: Scope
) -> Iterator[Diagnostic]:
    """A diagnostic at each key of a section whose value is wrong."""
    seen: set[str] = set()
    for detail in error.errors():
        key = str(detail["loc"][0])
        if key not in seen:
            seen.add(key)
            message, help = explain_value(detail, values)
            yield from scope.error("E0502", f"`{key}` {message}", entries[key].value, help).diagnostics


def _did_you_mean(word: str, choices: Sequence[str]) -> str:
    near = closest(word.lower(), choices)
    return f"did you mean `{near}`?" if near else f"one of {', '.join(f'`{c}`' for c in choices)}"
