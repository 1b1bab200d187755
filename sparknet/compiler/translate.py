"""Helps for words of other frameworks: what was written, as it is written here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from sparknet.compiler.forms import Form, call, form_of, usage
from sparknet.compiler.layers import JOINS, LAYERS
from sparknet.compiler.scope import Scope
from sparknet.compiler.synonyms import ADVICE, ARGUMENTS, FOREIGN_LAYERS, KNOWN, NEAREST, NOTES, WORDS, plain_name
from sparknet.grammar import syntax

_POSITION = re.compile(r"\w+|\*")
_SIZES = ("kernel", "window", "stride", "dilation", "scale", "amount")
_TEXTS = ("activation", "init", "pad", "method", "return", "kind")
"""Arguments whose words may stand in quotes elsewhere."""
_PYTHON = {"True": "true", "False": "false"}


def written(node: syntax.Node, scope: Scope) -> str:
    """The text of a node, in one line."""
    label = scope.label(node)
    return " ".join(label.source.text[label.span.start : label.span.end].split())


def word(key: str, name: str, known: Iterable[str]) -> str | None:
    """What `name` is called here as a value of `key`, one of `known`; None where nothing is known."""
    choices = list(known)
    found = WORDS.get(key, {}).get(plain_name(name))
    if found is None:
        found = next((k for k in choices if k != name and plain_name(k) == plain_name(name)), None)
    return found if found is not None and found.partition("(")[0] in choices else None


def argument_help(argument: syntax.Argument, names: Sequence[str], scope: Scope) -> str | None:
    """What to write in place of an argument that a call, whose arguments are `names`, does not have."""
    assert argument.key is not None  # noqa: S101 - without a key it would not be unknown
    ours = _argument(argument.key.text, names)
    if plain_name(argument.key.text) == "betas" and "beta1" in names:
        return "write `beta1: 0.9, beta2: 0.999`"
    if ours is not None:
        value = _value(argument.key.text, ours, argument.value, scope)
        return "leave it out" if value is None else f"write `{ours}: {value}`"
    return "leave it out: it is known from what arrives" if plain_name(argument.key.text) in KNOWN else None


def value_help(key: str, value: syntax.Expr, scope: Scope) -> str | None:
    """What to write in place of the value of an argument of ours, where another framework has it so."""
    found = _value(key, key, value, scope)
    if found is None:
        return "leave it out"
    if isinstance(value, syntax.String) and key not in _TEXTS:
        return None
    same = value.value if isinstance(value, syntax.String) else written(value, scope)
    return f"write `{found}`" if plain_name(found) != plain_name(same) else None


def sizes_help(key: str, value: syntax.Expr, scope: Scope) -> str | None:
    """How to write sizes of two sides that were written as a list, or as the product of two numbers."""
    if key not in _SIZES:
        return None
    sides: tuple[syntax.Expr, ...] = ()
    if isinstance(value, syntax.ListExpr) and len(value.items) == 2:
        sides = value.items
    elif isinstance(value, syntax.Binary) and value.operator == "*":
        sides = value.left, value.right
    if not sides or not all(isinstance(side, syntax.Number) for side in sides):
        return None
    return f"write `{'x'.join(written(side, scope) for side in sides)}`"


def decimal(step: syntax.Call, too_many: syntax.Argument, scope: Scope) -> str | None:
    """How to write `0,2`, which is two arguments."""
    arguments = step.arguments or ()
    before = next((a for a, b in pairwise(arguments) if b is too_many), None)
    if before is None or not isinstance(before.value, syntax.Number) or not isinstance(too_many.value, syntax.Number):
        return None
    adjacent = before.value.span.end + 1 == too_many.value.span.start
    return f"write `{written(before, scope)}.{written(too_many, scope)}`, with a point" if adjacent else None


def layer_helps(step: syntax.Call, scope: Scope) -> list[str]:
    """What to write in place of a layer that is unknown; nothing where its name says nothing."""
    name = plain_name(step.name.text)
    if name in ADVICE:
        return [ADVICE[name]]
    if name in NEAREST:
        return [f"there is no such layer; `{NEAREST[name]}` comes nearest to it"]
    forms = _forms(step.name.text)
    if not forms:
        return []
    ours = forms[0][0]
    example = call(ours, ["a", "b"]) if ours in JOINS else usage(ours, _form(ours), {})
    found = _translated(step, forms, scope) or example
    note = NOTES.get(ours)
    return [f"write `{found}`", *([note] if note and "pad:" not in found else [])]


def shorter(step: syntax.Call, scope: Scope) -> str | None:
    """A layer of ours with arguments that it has elsewhere, as it is written here."""
    found = _translated(step, _forms(step.name.text), scope)
    return f"write `{found}`" if found else None


def _form(ours: str) -> Form:
    return form_of(LAYERS[ours] if ours in LAYERS else JOINS[ours])


def _forms(name: str) -> list[tuple[str, list[str]]]:
    """The ways to write a layer: its name here, and the names of the arguments that stand without one."""
    pattern = FOREIGN_LAYERS.get(name) or FOREIGN_LAYERS.get(plain_name(name))
    if pattern is not None:
        return [(form.partition("(")[0], _POSITION.findall(form.partition("(")[2])) for form in pattern.split(" | ")]
    ours = plain_name(name)
    if ours not in LAYERS and ours not in JOINS:
        return []
    form = _form(ours)
    return [(ours, ["*"] if ours in JOINS or form.gathers else list(form.names[: form.positional]))]


def _translated(step: syntax.Call, forms: list[tuple[str, list[str]]], scope: Scope) -> str | None:
    """What a call says, in the first of several forms that suits it; None where something is not understood."""
    for ours, positions in forms:
        parts = _parts(step, positions, _form(ours).names, scope)
        if parts is None:
            continue
        several = [value for key, value in parts.items() if key.startswith("*")]
        if several:
            return call(ours, several + [f"{k}: {v}" for k, v in parts.items() if not k.startswith("*")])
        if positions != ["*"] and all(name in parts for name in _form(ours).needed):
            return usage(ours, _form(ours), parts)
    return None


def _parts(step: syntax.Call, positions: list[str], names: Sequence[str], scope: Scope) -> dict[str, str] | None:
    """Our arguments, as they are written here, `*0`, `*1`, ... those of any number; None where one has no meaning."""
    parts: dict[str, str] = {}
    unnamed = 0
    for argument in step.arguments or ():
        if argument.key is not None:
            key = _argument(argument.key.text, names)
            if key is None and plain_name(argument.key.text) in KNOWN:
                continue
        else:
            key = f"*{unnamed}" if positions == ["*"] else positions[unnamed] if unnamed < len(positions) else None
            unnamed += 1
        if key == "_":
            continue
        if key is None or key in parts or (argument.key is None and not _suits(key, argument.value)):
            return None
        value = _value(argument.key.text if argument.key else key, key, argument.value, scope)
        if value is not None:
            parts[key] = value
    return parts


def _argument(name: str, names: Sequence[str]) -> str | None:
    """What an argument is called here."""
    candidates = [name, *ARGUMENTS.get(plain_name(name), "").split()]
    return next((ours for c in candidates for ours in names if plain_name(ours) == plain_name(c)), None)


def _suits(key: str, value: syntax.Expr) -> bool:
    """Whether a value without a name may be that of the argument `key`."""
    is_word = isinstance(value, syntax.Name | syntax.String)
    return key.startswith("*") or not is_word or key in _TEXTS if key != "activation" else is_word


def _value(key: str, ours: str, value: syntax.Expr, scope: Scope) -> str | None:
    """A value as it is written here for our argument `ours`, elsewhere called `key`; None for no value at all."""
    text = written(value, scope)
    if isinstance(value, syntax.ListExpr) and ours in _SIZES and len(value.items) == 2:
        return "x".join(written(item, scope) for item in value.items)
    if not isinstance(value, syntax.Name | syntax.Number | syntax.Boolean | syntax.String):
        return text
    found = value.value if isinstance(value, syntax.String) else _PYTHON.get(text, text)
    for table in (plain_name(key), ours):
        if plain_name(found) in WORDS.get(table, {}):
            return WORDS[table][plain_name(found)]
    if found == "None" or (ours == "activation" and plain_name(found) in ("linear", "identity", "none")):
        return None
    return found.lower() if ours in _TEXTS else text if isinstance(value, syntax.String) else found
