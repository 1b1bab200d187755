"""Elaboration of the keys of `train` that say how training rows are fed: `augment` and `balance`.

A net with one image gives `augment` a plain list; one with several, a map from their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sparknet.compiler.arguments import bind
from sparknet.compiler.augmentations import AUGMENTATIONS, AnyAugmentation
from sparknet.compiler.net import NetInput, NetOutput
from sparknet.compiler.scope import Scope, describe, evaluate
from sparknet.compiler.translate import word, written
from sparknet.grammar import syntax
from sparknet.grammar.diagnostics import Diagnostic, SparkNetError
from sparknet.grammar.suggest import closest

FEEDING_KEYS = ("augment", "balance")


def elaborate_feeding(
    entries: Mapping[str, syntax.Entry],
    inputs: Sequence[NetInput],
    outputs: Sequence[NetOutput],
    scope: Scope,
    problems: list[Diagnostic],
) -> dict[str, Any]:
    """For each of the keys that is written its value; what is wrong with one becomes a problem."""
    readers: dict[str, Callable[[syntax.Entry], Any]] = {
        "augment": lambda entry: _augment(entry, inputs, scope),
        "balance": lambda entry: _balance(entry, outputs, scope),
    }
    found = {}
    for key, reader in readers.items():
        if key in entries:
            try:
                found[key] = reader(entries[key])
            except SparkNetError as error:
                problems.extend(error.diagnostics)
    return found


# ----- augment -----


def _augment(entry: syntax.Entry, inputs: Sequence[NetInput], scope: Scope) -> dict[str, tuple[AnyAugmentation, ...]]:
    images = {i.name: i for i in inputs if _is_image(i)}
    if not images:
        message = "`augment` changes images, inputs `float[channels, height, width]`, and this net has none"
        raise scope.error("E0502", message, entry.key, "remove this line")
    if not isinstance(entry.value, syntax.MapExpr):
        if len(images) > 1:
            spread = ", ".join(f"{name}: {written(entry.value, scope)}" for name in images)
            message = "`augment` must say which input it means"
            raise scope.error("E0502", message, entry.value, f"write `augment = {{{spread}}}`")
        (image,) = images.values()
        return {image.name: _list(entry.value, image, scope)}
    problems: list[Diagnostic] = []
    found: dict[str, tuple[AnyAugmentation, ...]] = {}
    for item in entry.value.entries:
        try:
            found[item.key.text] = _list(item.value, _named(item.key, inputs, images, found, scope), scope)
        except SparkNetError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise SparkNetError(problems)
    return found


def _is_image(each: NetInput) -> bool:
    return each.type.dtype == "float32" and len(each.type.shape) == 3 and each.type.lengths is None


def _named(
    key: syntax.Identifier,
    inputs: Sequence[NetInput],
    images: Mapping[str, NetInput],
    found: Mapping[str, object],
    scope: Scope,
) -> NetInput:
    if key.text in found:
        raise scope.error("E0205", f"`{key.text}` is given twice", key)
    if key.text in images:
        return images[key.text]
    other = next((i for i in inputs if i.name == key.text), None)
    listed = f"images of this net: {', '.join(f'`{name}`' for name in images)}"
    if other is not None:
        message = f"`{key.text}` is `{other.type}`, no image `float[channels, height, width]`"
        raise scope.error("E0502", message, key, listed)
    near = closest(key.text, images)
    raise scope.error("E0501", f"the net has no input `{key.text}`", key, f"did you mean `{near}`?" if near else listed)


def _list(value: syntax.Expr, image: NetInput, scope: Scope) -> tuple[AnyAugmentation, ...]:
    """One augmentation or a list of them; each once."""
    items = value.items if isinstance(value, syntax.ListExpr) else (value,)
    if not items:
        raise scope.error("E0502", "`augment` has nothing to do", value, "write `[flip]`, or leave the key out")
    found: dict[str, AnyAugmentation] = {}
    problems: list[Diagnostic] = []
    for item in items:
        try:
            each = _augmentation(item, image, scope)
            if each.label in found:
                raise scope.error("E0205", f"`{each.label}` is given twice", item)
            found[each.label] = each
        except SparkNetError as error:
            problems.extend(error.diagnostics)
    if problems:
        raise SparkNetError(problems)
    return tuple(found.values())


def _augmentation(value: syntax.Expr, image: NetInput, scope: Scope) -> AnyAugmentation:
    call = value
    if isinstance(value, syntax.Name):
        call = syntax.Call(span=value.span, name=syntax.Identifier(span=value.span, text=value.text), arguments=None)
    choices = f"augmentations are {', '.join(f'`{name}`' for name in AUGMENTATIONS)}"
    if not isinstance(call, syntax.Call):
        text = value.value if isinstance(value, syntax.String) else ""
        near = text if text in AUGMENTATIONS else word("augmentation", text, AUGMENTATIONS)
        message = f"`augment` must name augmentations, found {describe(evaluate(value, scope))}"
        raise scope.error("E0502", message, value, f"write `{near}`, without quotes" if near else choices)
    name = call.name.text
    if name not in AUGMENTATIONS:
        near = word("augmentation", name, AUGMENTATIONS) or closest(name, AUGMENTATIONS)
        help = f"did you mean `{near}`?" if near else choices
        raise scope.error("E0502", f"unknown augmentation `{name}`", call.name, help)
    found = bind(AUGMENTATIONS[name], call, scope)
    misfit = found.misfit(image.type.shape)
    if misfit is not None:
        raise scope.error("E0502", misfit[0], value, misfit[1])
    return found


# ----- balance -----


def _balance(entry: syntax.Entry, outputs: Sequence[NetOutput], scope: Scope) -> str:
    fitting = [o.name for o in outputs if o.kind == "class" or (o.kind == "bool" and o.size == 1)]
    if not fitting:
        message = "`balance` needs an output `class[...]` or `bool[1]`, and this net has none"
        raise scope.error("E0502", message, entry.key, "remove this line")
    value = entry.value
    help = "write " + " or ".join(f"`{name}`" for name in fitting)
    if not isinstance(value, syntax.Name):
        found = f"`{value.name.text}(...)`" if isinstance(value, syntax.Call) else describe(evaluate(value, scope))
        raise scope.error("E0502", f"`balance` must name an output, found {found}", value, help)
    if value.text in fitting:
        return value.text
    output = next((o for o in outputs if o.name == value.text), None)
    if output is None:
        near = closest(value.text, fitting)
        help = f"did you mean `{near}`?" if near else help
        raise scope.error("E0502", f"the net has no output `{value.text}`", value, help)
    why = "several answers a row" if output.kind == "bool" else "numbers"
    raise scope.error("E0502", f"`{value.text}` is `{output.type}`: {why}, and no classes", value, help)
